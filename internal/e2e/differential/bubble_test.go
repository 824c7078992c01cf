package differential_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/h2server"
)

// aWeek is longer than anything takes by the clock of a bubble.
const aWeek = 7 * 24 * time.Hour

// host is a Transport in a bubble, and the place where its connections arrive.
type host struct {
	*peerpool.Transport
	t     *testing.T
	ln    *httptestutil.Listener
	conns []*conn
}

// conn is the server's end of a connection.
type conn struct {
	*h2server.FrameConn
	t  *testing.T
	nc net.Conn
}

// bubble runs a test in a bubble of its own. When it ends, nothing may be left of the Transport: no goroutine, no
// connection, no request.
func bubble(t *testing.T, tr *peerpool.Transport, test func(h *host)) {
	t.Helper()
	bubbleOver(t, 0, tr, test)
}

// bubbleOver is bubble with connections that hold buffer bytes in each direction, or any number if buffer is 0.
func bubbleOver(t *testing.T, buffer int, tr *peerpool.Transport, test func(h *host)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &host{tr, t, httptestutil.NewListener(buffer), nil}
		tr.DialContext, tr.Protocols = h.ln.Dial, h2c()
		test(h)
		tr.CloseIdleConnections()
		h.ln.Close()
		for _, c := range h.conns {
			c.Close()
		}
		synctest.Wait()
		if st := tr.Stats(); st.Active+st.Idle != 0 {
			t.Errorf("connections are left: %+v", st)
		}
	})
}

// accept returns the next connection, on which the server has not said anything yet.
func (h *host) accept() *conn {
	h.t.Helper()
	synctest.Wait()
	nc, err := h.ln.Accept()
	if err != nil {
		h.t.Fatal(err)
	}
	nc.SetDeadline(time.Now().Add(aWeek))
	c := &conn{h2server.Frames(nc), h.t, nc}
	h.conns = append(h.conns, c)
	return c
}

// answered is the result of a request.
type answered struct {
	t    *testing.T
	done chan struct{} // closed when the rest is set
	resp *http.Response
	body string
	err  error
}

// send sends a request on a goroutine of its own, and reads what comes.
func (h *host) send(method, path string, body io.Reader) *answered {
	h.t.Helper()
	return h.sendContext(h.t.Context(), method, path, body)
}

func (h *host) sendContext(ctx context.Context, method, path string, body io.Reader) *answered {
	h.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, "http://example.test/"+path, body)
	if err != nil {
		h.t.Fatal(err)
	}
	a := &answered{t: h.t, done: make(chan struct{})}
	go func() {
		defer close(a.done)
		if a.resp, a.err = h.RoundTrip(req); a.err != nil {
			return
		}
		defer a.resp.Body.Close()
		var b []byte
		b, a.err = io.ReadAll(a.resp.Body)
		a.body = string(b)
	}()
	synctest.Wait()
	return a
}

// open sends a request and returns its response, the body unread. The server answers with head meanwhile.
func (h *host) open(c *conn, path string, fields ...string) (*http.Response, uint32) {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), "GET", "http://example.test/"+path, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	got := make(chan *http.Response, 1)
	go func() {
		resp, err := h.RoundTrip(req)
		if err != nil {
			h.t.Error(err)
		}
		got <- resp
	}()
	stream := c.request().Stream
	c.Head(stream, 200, false, fields...)
	resp := <-got
	if resp == nil {
		h.t.FailNow()
	}
	return resp, stream
}

// request returns the next request on the connection.
func (c *conn) request() *h2server.FrameRequest {
	c.t.Helper()
	req := c.ReadRequest()
	if req == nil {
		c.t.Fatalf("no request: %v", c.Err())
	}
	return req
}

// ended waits for the end of the exchange.
func (a *answered) ended() {
	a.t.Helper()
	select {
	case <-a.done:
	case <-time.After(aWeek):
		a.t.Fatal("the exchange hangs")
	}
}

// gets checks that the response has that body.
func (a *answered) gets(body string) {
	a.t.Helper()
	if a.ended(); a.err != nil || a.body != body {
		a.t.Errorf("got %.100q, %v, want %q", a.body, a.err, body)
	}
}

// fails checks that the exchange ends with an error that says text.
func (a *answered) fails(text string) {
	a.t.Helper()
	if a.ended(); a.err == nil || !strings.Contains(a.err.Error(), text) {
		a.t.Errorf("got %.100q, %v, want an error with %q", a.body, a.err, text)
	}
}

// over reports whether the exchange has ended by now.
func (a *answered) over() bool {
	synctest.Wait()
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

// works checks that the connection still serves requests.
func (h *host) works(c *conn) {
	h.t.Helper()
	dials := h.ln.Dials()
	a := h.send("GET", "works", nil)
	if n := h.ln.Dials(); n != dials {
		h.t.Fatal("the connection is not used again")
	}
	c.Respond(c.request().Stream, 200, "works")
	a.gets("works")
}

// hungUp checks that the client closes the connection.
func (c *conn) hungUp() {
	c.t.Helper()
	for c.Next() != nil {
	}
	if !errors.Is(c.Err(), io.EOF) && !errors.Is(c.Err(), net.ErrClosed) {
		c.t.Errorf("the connection ended with %v", c.Err())
	}
}
