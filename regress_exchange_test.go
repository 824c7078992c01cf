package peerpool

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// regressOpaque hides the socket of a connection, so that nothing but a read tells of its end.
type regressOpaque struct{ net.Conn }

// TestARequestThatCannotBeWrittenLeavesItsConnectionWatched: the read that watches an opaque connection is not
// the failed exchange's to keep.
func TestARequestThatCannotBeWrittenLeavesItsConnectionWatched(t *testing.T) {
	hangUp := make(chan struct{})
	w := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
		c.ReadRequest()
		c.Write(httptestutil.Response("ok"))
		c.Await(hangUp)
	})
	tr := peerTransport(t, &Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return regressOpaque{nc}, err
	}})
	if err := peerTry(tr, peerRequest(t, w.URL(), nil)); err != nil {
		t.Fatal(err)
	}
	unfit := peerRequest(t, w.URL(), nil)
	unfit.ContentLength = 5 // of no body
	if err := peerTry(tr, unfit); err == nil {
		t.Error("a request without the body that it announces was sent")
	}
	if s := tr.Stats(); s.Idle != 1 || s.Opened != 1 {
		t.Fatalf("%d of %d connections idle, want one of one", s.Idle, s.Opened)
	}
	close(hangUp)
	peerEventually(t, "the connection is closed as its peer has closed it", func() bool {
		s := tr.Stats()
		return s.Idle == 0 && s.Closes["peer_closed"] == 1
	})
}

// regressBroken is a connection that carries one request; the write of the second fails.
type regressBroken struct {
	net.Conn
	writes atomic.Int32
	failed chan struct{} // closed by then
}

func (c *regressBroken) Write(p []byte) (int, error) {
	switch c.writes.Add(1) {
	case 1:
		return c.Conn.Write(p)
	case 2:
		close(c.failed)
	}
	return 0, errors.New("broken pipe")
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
	tr := peerTransport(t, &Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err == nil && dials.Add(1) == 1 {
			nc = &regressBroken{Conn: nc, failed: failed}
		}
		return nc, err
	}})
	if err := peerTry(tr, peerRequest(t, w.URL(), nil)); err != nil {
		t.Fatal(err)
	}
	req, body := regressPost(t, w.URL())
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMisdirectedRequest || dials.Load() != 1 {
		t.Errorf("the answer is %s after %d dials, want the 421", resp.Status, dials.Load())
	}
	peerEventually(t, "the request's body is closed", body.closed.Load)
	if body.readBehind.Load() {
		t.Error("the request's body was read after it had been closed")
	}
}

func TestNTLMBindsAConnectionHoweverItsFieldIsSpelled(t *testing.T) {
	for _, name := range []string{"Authorization", "authorization", "AUTHORIZATION", "proxy-authorization"} {
		t.Run(name, func(t *testing.T) {
			o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
			tr := peerTransport(t, &Transport{})
			req := peerRequest(t, o.URL(), nil)
			req.Header[name] = []string{"NTLM AAAA"}
			peerSend(t, tr, req)
			if s := tr.Stats(); s.Idle != 0 || s.Closes["connection_auth"] != 1 {
				t.Errorf("%d connections idle, closes: %v; want one for %q", s.Idle, s.Closes, "connection_auth")
			}
			if seen := peerGet(t, tr, o.URL(), nil); seen.Conn != 2 {
				t.Errorf("the next request went over connection %d, want another one", seen.Conn)
			}
		})
	}
}
