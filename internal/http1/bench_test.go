package http1

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/peerpool/peerpool/internal/exchange"
)

// The response of the benchmarks: a head of four fields, and half a kilobyte.
const benchHead = ok + "Date: Mon, 02 Jan 2006 15:04:05 GMT\r\n" +
	"Content-Type: text/plain; charset=utf-8\r\n" + "Server: example\r\n" + "Content-Length: 512\r\n\r\n"

var benchResponse = benchHead + strings.Repeat("x", 512)

// canned is a connection in memory that answers each write with the same response. A Read waits for it,
// as on a socket.
type canned struct {
	asked  chan struct{}
	closed chan struct{}
	left   string
}

func newCanned() *canned {
	return &canned{asked: make(chan struct{}, 1), closed: make(chan struct{})}
}

func (c *canned) Read(p []byte) (int, error) {
	if c.left == "" {
		select {
		case <-c.asked:
			c.left = benchResponse
		case <-c.closed:
			return 0, net.ErrClosed
		}
	}
	n := copy(p, c.left)
	c.left = c.left[n:]
	return n, nil
}

func (c *canned) Write(p []byte) (int, error) {
	c.asked <- struct{}{}
	return len(p), nil
}

func (c *canned) Close() error {
	close(c.closed)
	return nil
}

func (c *canned) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *canned) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *canned) SetDeadline(time.Time) error      { return nil }
func (c *canned) SetReadDeadline(time.Time) error  { return nil }
func (c *canned) SetWriteDeadline(time.Time) error { return nil }

// noOwner does nothing when an exchange ends.
type noOwner struct{}

func (noOwner) ExchangeDone(exchange.End, exchange.Outcome) {}

// roundTrip runs one exchange and reads its body into buf, to the end.
func roundTrip(tb testing.TB, c *Conn, req *http.Request, buf []byte) {
	e := &Exchange{Conn: c, Req: req, Owner: noOwner{}}
	resp, err := e.Run()
	if err != nil {
		tb.Fatal(err)
	}
	drain(tb, resp.Body, buf)
}

// drain reads body to its end and closes it.
func drain(tb testing.TB, body io.ReadCloser, buf []byte) {
	for {
		if _, err := body.Read(buf); err == io.EOF {
			break
		} else if err != nil {
			tb.Fatal(err)
		}
	}
	body.Close()
}

// BenchmarkExchange is a GET on this package's own connection; see BenchmarkNetHTTP.
func BenchmarkExchange(b *testing.B) {
	c, req, buf := NewConn(newCanned()), get(b), make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		roundTrip(b, c, req, buf)
	}
}

// BenchmarkNetHTTP is the same GET through http.Transport, pool included.
func BenchmarkNetHTTP(b *testing.B) {
	transport := &http.Transport{
		DisableCompression: true,
		DialContext:        func(context.Context, string, string) (net.Conn, error) { return newCanned(), nil },
	}
	defer transport.CloseIdleConnections()
	req, buf := get(b), make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		resp, err := transport.RoundTrip(req)
		if err != nil {
			b.Fatal(err)
		}
		drain(b, resp.Body, buf)
	}
}

// BenchmarkHead parses the head of a response.
func BenchmarkHead(b *testing.B) {
	received := make([]byte, len(benchHead))
	b.SetBytes(int64(len(received)))
	b.ReportAllocs()
	for b.Loop() {
		copy(received, benchHead)
		var h head
		if _, err := h.parse(received, make([]string, fewFields)); err != nil || h.code != http.StatusOK {
			b.Fatal(h, err)
		}
	}
}

// BenchmarkRequestHead writes the head of a request.
func BenchmarkRequestHead(b *testing.B) {
	req := get(b)
	req.Header = http.Header{"Accept": {"*/*"}, "Authorization": {"Bearer 0123456789"}, "X-Request-Id": {"42"}}
	e := exchangeOn(nil, req)
	buf := make([]byte, DefaultBufferSize)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.appendHead(buf[:0], &outgoing{}); err != nil {
			b.Fatal(err)
		}
	}
}
