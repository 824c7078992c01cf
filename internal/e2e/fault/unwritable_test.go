package fault_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// opaque hides the socket of a connection, so that only a read tells of its end.
type opaque struct{ net.Conn }

// TestARequestThatCannotBeWrittenLeavesItsConnectionWatched checks that a failed exchange starts the read again that
// watches an opaque connection.
func TestARequestThatCannotBeWrittenLeavesItsConnectionWatched(t *testing.T) {
	hangUp := make(chan struct{})
	w := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
		c.ReadRequest()
		c.Write(httptestutil.Response("ok"))
		c.Await(hangUp)
	})
	s := testkit.Observe(t, &peerpool.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return opaque{nc}, err
	}})
	s.Get(w.URL())
	unfit := testkit.NewRequest(t, "GET", w.URL(), nil)
	unfit.ContentLength = 5 // of no body
	if _, err := s.Try(unfit); err == nil {
		t.Error("a request without the body that it announces was sent")
	}
	if st := s.Stats(); st.Idle != 1 || st.Opened != 1 {
		t.Fatalf("%d of %d connections idle, want one of one", st.Idle, st.Opened)
	}
	close(hangUp)
	s.Closes("peer_closed", 1)
}

// brokenConn is a connection that carries one request; the write of the second fails.
type brokenConn struct {
	net.Conn
	writes atomic.Int32
	failed chan struct{} // closed by then
}

func (c *brokenConn) Write(p []byte) (int, error) {
	switch c.writes.Add(1) {
	case 1:
		return c.Conn.Write(p)
	case 2:
		close(c.failed)
	}
	return 0, errors.New("broken pipe")
}

// closedOnce is a body that notices if it is read after it was closed.
type closedOnce struct {
	strings.Reader
	closed, readBehind atomic.Bool
}

func (b *closedOnce) Read(p []byte) (int, error) {
	if b.closed.Load() {
		b.readBehind.Store(true)
	}
	return b.Reader.Read(p)
}

func (b *closedOnce) Close() error {
	b.closed.Store(true)
	return nil
}

// TestABodyThatIsClosedIsNotSentAgainAfterA421 is about an answer to a request whose head could not be written:
// its body has not been read, but closed.
func TestABodyThatIsClosedIsNotSentAgainAfterA421(t *testing.T) {
	failed := make(chan struct{})
	w := httptestutil.NewWire(t, httptestutil.PerConn(
		func(c *httptestutil.WireConn) {
			c.ReadRequest()
			c.Write(httptestutil.Response("ok"))
			c.Await(failed)
			c.Write(httptestutil.ResponseWith(http.StatusMisdirectedRequest, "", "Connection: close"))
			c.WaitClosed()
		},
		httptestutil.Replies(httptestutil.Response("sent again")),
	))
	var dials atomic.Int32
	s := testkit.Observe(t, &peerpool.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err == nil && dials.Add(1) == 1 {
			nc = &brokenConn{Conn: nc, failed: failed}
		}
		return nc, err
	}})
	s.Get(w.URL())
	body := &closedOnce{Reader: *strings.NewReader("body")}
	resp, _ := s.Send(testkit.NewRequest(t, "POST", w.URL(), body))
	if resp.StatusCode != http.StatusMisdirectedRequest || dials.Load() != 1 {
		t.Errorf("the answer is %s after %d dials, want the 421", resp.Status, dials.Load())
	}
	s.Await("the request's body is closed", func(peerpool.Stats) bool { return body.closed.Load() })
	if body.readBehind.Load() {
		t.Error("the request's body was read after it had been closed")
	}
}
