package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/peerpool/peerpool/internal/exchange"
	wire "github.com/peerpool/peerpool/internal/http1"
)

var exchangeSuite = suite{
	name:        "exchange",
	about:       "a GET on a connection in memory, which answers at once: the code alone, without the system",
	comparisons: exchangeComparisons,
	work:        newExchangeWorker,
}

func exchangeComparisons(short bool) []comparison {
	window := 200 * time.Millisecond
	if short {
		window = 5 * time.Millisecond
	}
	return []comparison{{
		name: "GET, response of 512 B", candidates: []candidate{netHTTP, again, ours}, baseline: netHTTP, twin: again,
		metric: "cpuns", columns: []string{"ns", "cpuns", "poolallocs"}, window: window,
		targets: []target{{"cpuns", netHTTP, 0.12}},
	}}
}

// memoryConn answers each write with the same response. A Read waits for it, as on a socket.
type memoryConn struct {
	asked, closed chan struct{}
	left          string
}

var memoryAnswer = largeHead(512) + strings.Repeat("x", 512)

func newMemoryConn() *memoryConn {
	return &memoryConn{asked: make(chan struct{}, 1), closed: make(chan struct{})}
}

func (c *memoryConn) Read(p []byte) (int, error) {
	if c.left == "" {
		select {
		case <-c.asked:
			c.left = memoryAnswer
		case <-c.closed:
			return 0, net.ErrClosed
		}
	}
	n := copy(p, c.left)
	c.left = c.left[n:]
	return n, nil
}

func (c *memoryConn) Write(p []byte) (int, error) {
	c.asked <- struct{}{}
	return len(p), nil
}

func (c *memoryConn) Close() error {
	close(c.closed)
	return nil
}

func (c *memoryConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *memoryConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *memoryConn) SetDeadline(time.Time) error      { return nil }
func (c *memoryConn) SetReadDeadline(time.Time) error  { return nil }
func (c *memoryConn) SetWriteDeadline(time.Time) error { return nil }

// exchangeWorker exchanges, one request after the other.
type exchangeWorker struct {
	do  func(*http.Request) (*http.Response, error)
	req *http.Request
}

func newExchangeWorker(j job) (worker, error) {
	req, err := http.NewRequest(http.MethodGet, "http://example.com/", nil)
	if err != nil {
		return nil, err
	}
	w := &exchangeWorker{req: req}
	switch j.Candidate {
	case ours:
		conn := wire.NewConn(newMemoryConn())
		w.do = func(req *http.Request) (*http.Response, error) {
			return (&wire.Exchange{Conn: conn, Req: req, Owner: noOwner{}}).Run()
		}
	case netHTTP, again:
		rt, err := newTransport(j.Candidate, transportOptions{
			dial: func(context.Context, string, string) (net.Conn, error) { return newMemoryConn(), nil },
		})
		if err != nil {
			return nil, err
		}
		w.do = rt.RoundTrip
	default:
		return nil, fmt.Errorf("%s has no exchange of its own", j.Candidate)
	}
	return w, nil
}

// noOwner does nothing when an exchange ends.
type noOwner struct{}

func (noOwner) ExchangeDone(exchange.End, exchange.Outcome) {}

func (w *exchangeWorker) measure(o order) (reading, error) {
	buf := make([]byte, 4<<10)
	if err := w.repeat(buf, o.Window/4, new(int64)); err != nil {
		return reading{}, err
	}
	runtime.GC()
	var n int64
	before := usageNow()
	if err := w.repeat(buf, o.Window, &n); err != nil {
		return reading{}, err
	}
	used := usageNow().since(before)
	s := sample{"ns": float64(used.wall.Nanoseconds()) / float64(n), "poolallocs": used.mallocs / float64(n)}
	if used.measured {
		s["cpuns"] = float64((used.user + used.sys).Nanoseconds()) / float64(n)
	}
	return reading{Values: s, Protocol: http1}, nil
}

// repeat exchanges for as long as window, and counts in n. It looks at the clock only now and then, because that takes as long as a
// part of an exchange.
func (w *exchangeWorker) repeat(buf []byte, window time.Duration, n *int64) error {
	const looks = 100
	for end := time.Now().Add(window); time.Now().Before(end); *n += looks {
		for range looks {
			if err := w.once(buf); err != nil {
				return err
			}
		}
	}
	return nil
}

// once sends the request and reads the response to its end.
func (w *exchangeWorker) once(buf []byte) error {
	resp, err := w.do(w.req)
	if err != nil {
		return err
	}
	for err == nil {
		_, err = resp.Body.Read(buf)
	}
	resp.Body.Close()
	if err == io.EOF {
		return nil
	}
	return err
}
