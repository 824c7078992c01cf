package http1

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/exchange"
)

// ours is in the stack of every goroutine that belongs to this package.
const ours = "peerpool/internal/http1."

// owner takes note of how an exchange ends. Ending twice panics.
type owner struct {
	done chan struct{}
	end  exchange.End
}

func newOwner() *owner { return &owner{done: make(chan struct{})} }

func (o *owner) ExchangeDone(end exchange.End, _ exchange.Outcome) {
	o.end = end
	close(o.done)
}

// exchangeOn returns one that is ready to run.
func exchangeOn(c *Conn, req *http.Request) *Exchange {
	return &Exchange{Conn: c, Req: req, Opts: new(Options), Owner: newOwner()}
}

// endOfExchange waits until e has ended, and says how.
func endOfExchange(t *testing.T, e *Exchange) exchange.End {
	t.Helper()
	o := e.Owner.(*owner)
	select {
	case <-o.done:
	case <-time.After(httptestutil.Bound):
		t.Fatal("the exchange has not ended")
	}
	return o.end
}

func ended(e *Exchange) bool {
	select {
	case <-e.Owner.(*owner).done:
		return true
	default:
		return false
	}
}

func wantEnd(t *testing.T, e *Exchange, want exchange.End) {
	t.Helper()
	if got := endOfExchange(t, e); got != want {
		t.Errorf("the exchange ended as %q, want %q", got, want)
	}
}

// run runs e, which must get a response.
func run(t *testing.T, e *Exchange) *http.Response {
	t.Helper()
	resp, err := e.Run()
	if err != nil {
		t.Fatalf("the exchange failed: %v", err)
	}
	return resp
}

// runFails runs e, which must fail.
func runFails(t *testing.T, e *Exchange) error {
	t.Helper()
	resp, err := e.Run()
	if err == nil {
		t.Fatalf("the exchange got %s", resp.Status)
	}
	return err
}

// wantBody reads a body to its end.
func wantBody(t *testing.T, resp *http.Response, want string) {
	t.Helper()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("reading the body: %v", err)
	}
	if string(got) != want {
		t.Errorf("the body is %s, want %s", shorten(string(got)), shorten(want))
	}
}

func readAll(t *testing.T, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Errorf("reading: %v", err)
	}
	return string(b)
}

// shorten quotes s, or its beginning if it is long.
func shorten(s string) string {
	const most = 200
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r", `\r`), "\n", `\n`)
}

func request(t testing.TB, method, url string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func get(t testing.TB) *http.Request {
	t.Helper()
	return request(t, http.MethodGet, "http://example.test/", nil)
}

// cancelable gives a request a context that can be canceled with a cause.
func cancelable(req *http.Request) (*http.Request, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(req.Context())
	return req.WithContext(ctx), cancel
}

// dial connects to a server of raw bytes.
func dial(t *testing.T, w *httptestutil.Wire) *Conn {
	t.Helper()
	nc, err := net.Dial("tcp", w.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return NewConn(nc)
}

// A peer is the server's end of a connection in memory.
type peer struct {
	*httptestutil.PipeConn
	t  *testing.T
	br *bufio.Reader
}

// head reads the head of a request, whose body it leaves on the connection.
func (p *peer) head() *http.Request {
	req, err := http.ReadRequest(p.br)
	if err != nil {
		p.t.Errorf("the server reads a request: %v", err)
		return request(p.t, http.MethodGet, "http://example.test/", http.NoBody)
	}
	return req
}

// request reads a request with its body.
func (p *peer) request() (*http.Request, string) {
	req := p.head()
	return req, readAll(p.t, req.Body)
}

func (p *peer) say(s string) {
	if _, err := io.WriteString(p, s); err != nil {
		p.t.Errorf("the server writes: %v", err)
	}
}

// untilClosed reads until the client closes, and returns what it read.
func (p *peer) untilClosed() string {
	b, _ := io.ReadAll(p.br)
	return string(b)
}

// with runs test in a bubble, with a connection in memory that serve serves at the other end. Each
// direction holds up to buffer bytes, any number if it is 0. Everything must be over when test is: the
// bubble fails if a goroutine remains.
func with(t *testing.T, buffer int, serve func(*peer), test func(*testing.T, *Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		near, far := httptestutil.Pipe(buffer)
		var server sync.WaitGroup
		server.Go(func() {
			defer far.Close()
			serve(&peer{PipeConn: far, t: t, br: bufio.NewReader(far)})
		})
		defer server.Wait()
		defer near.Close()
		test(t, NewConn(near))
	})
}

// answers is a server that answers one request and then keeps the connection.
func answers(response string) func(*peer) {
	return func(p *peer) {
		p.request()
		p.say(response)
		p.untilClosed()
	}
}

const (
	ok    = "HTTP/1.1 200 OK\r\n"
	hello = ok + "Content-Length: 5\r\n\r\nhello"
)

// tracked is a request's body that counts how often it is closed.
type tracked struct {
	io.Reader
	closer io.Closer // may be nil
	closes atomic.Int32
}

func (b *tracked) Close() error {
	b.closes.Add(1)
	if b.closer != nil {
		return b.closer.Close()
	}
	return nil
}

// wantClosedOnce checks that a body has been closed, and no more than once.
func (b *tracked) wantClosedOnce(t *testing.T) {
	t.Helper()
	if n := b.closes.Load(); n != 1 {
		t.Errorf("the body has been closed %d times", n)
	}
}

// likeSocket is a Conn over nc that passes for a socket when it comes to writing.
func likeSocket(nc net.Conn) *Conn {
	c := NewConn(nc)
	c.traits |= kernelSocket
	return c
}
