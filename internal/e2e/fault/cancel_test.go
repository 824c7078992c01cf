package fault_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// phase is a point at which a request can be held up for ever, and what its end leaves behind.
type phase struct {
	transport func(*peerpool.Transport, *httptestutil.Listener)
	script    httptestutil.Script
	body      io.Reader
	lasts     time.Duration // after its end, for a Read of the request's body that only Close ends
	opened    uint64        // connections, once the request has ended
	close     bool          // one of them is closed for what ended the request
}

// phases in the order of the walk.
var phases = map[string]phase{
	"resolving": {transport: func(tr *peerpool.Transport, _ *httptestutil.Listener) {
		names := new(httptestutil.Resolver)
		names.Hold("example.test")
		tr.DialContext, tr.Resolver = nil, names
	}},
	"dialing": {transport: func(tr *peerpool.Transport, _ *httptestutil.Listener) {
		tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done() // the dial ends by its own timeout, not with the request
			return nil, ctx.Err()
		}
	}},
	"waiting for a proxy": {transport: func(tr *peerpool.Transport, _ *httptestutil.Listener) {
		peer, err := peerpool.NewPeer(peerpool.PeerOptions{Addr: "example.test:80", Proxy: mustURL("socks5://proxy.test:1")})
		tr.PeerFor = func(*http.Request) (*peerpool.Peer, error) { return peer, err }
	}},
	"sending the body":  {script: func(c *httptestutil.WireConn) { c.Stall() }, body: testkit.Zeros{}, opened: 1, close: true},
	"reading its body":  {script: func(c *httptestutil.WireConn) { c.WaitClosed() }, body: testkit.Never{}, lasts: testkit.ReadWait, opened: 1, close: true},
	"awaiting the head": {script: func(c *httptestutil.WireConn) { c.WaitClosed() }, opened: 1, close: true},
	"within the head": {
		script: httptestutil.ReplyThenStall("HTTP/1.1 200 OK\r\nContent-Le"), opened: 1, close: true,
	},
	"after an interim response": {
		script: httptestutil.ReplyThenStall("HTTP/1.1 103 Early Hints\r\n\r\n"), opened: 1, close: true,
	},
	"within the response's body": {
		script: httptestutil.ReplyThenStall("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
		opened: 1, close: true,
	},
	"within a chunk": {
		script: httptestutil.ReplyThenStall("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf"),
		opened: 1, close: true,
	},
	"before the trailer's end": {
		script: httptestutil.ReplyThenStall("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\nX-A: 1\r\n"),
		opened: 1, close: true,
	},
}

func TestARequestCanBeCanceledAtEveryPoint(t *testing.T) {
	eachPhase(t, "canceled", func(t *testing.T, p phase, attempt func(context.Context) error) {
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- attempt(ctx) }()
		synctest.Wait()
		select {
		case err := <-ended:
			t.Fatalf("ended by itself: %v", err)
		default:
		}
		cancel(testkit.ErrChangedMind)
		time.Sleep(p.lasts)
		synctest.Wait()
		select {
		case err := <-ended:
			if err != testkit.ErrChangedMind {
				t.Errorf("got %T %v, want the cause of the context", err, err)
			}
		default:
			t.Error("still under way after it was canceled")
		}
	})
}

func TestARequestRunsOutOfTimeAtEveryPoint(t *testing.T) {
	eachPhase(t, "timeout", func(t *testing.T, p phase, attempt func(context.Context) error) {
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		err := attempt(ctx)
		if after := time.Since(start); after != 5*time.Second+p.lasts {
			t.Errorf("ended after %v", after)
		}
		if timeout, ok := err.(net.Error); !ok || !timeout.Timeout() || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %T %v, want a deadline exceeded", err, err)
		}
	})
}

func TestClientTimeoutEndsARequestAtEveryPoint(t *testing.T) {
	eachPhase(t, "timeout", func(t *testing.T, p phase, attempt func(context.Context) error) {
		start := time.Now()
		err := attempt(context.WithValue(t.Context(), clientTimeout{}, 5*time.Second))
		if after := time.Since(start); after != 5*time.Second+p.lasts {
			t.Errorf("ended after %v", after)
		}
		if timeout, ok := err.(net.Error); !ok || !timeout.Timeout() {
			t.Errorf("got %T %v, want a timeout", err, err)
		}
	})
}

// clientTimeout asks the attempt of eachPhase to go through an http.Client with that timeout.
type clientTimeout struct{}

// eachPhase runs a test in a bubble of its own for each phase. attempt sends a request that is held up in that phase, and
// returns its error. At the end nothing may be left of the request. If it had a connection, the connection must have been
// closed for the reason of the phase.
func eachPhase(t *testing.T, reason peerpool.CloseReason, test func(t *testing.T, p phase, attempt func(context.Context) error)) {
	for name, p := range phases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				script := p.script
				if script == nil {
					script = func(c *httptestutil.WireConn) { c.WaitClosed() }
				}
				ln := httptestutil.NewListener(64 << 10)
				httptestutil.NewWireWith(t, httptestutil.WireOptions{Listener: ln, Bound: time.Hour}, script)
				tr := &peerpool.Transport{DialContext: ln.Dial}
				if p.transport != nil {
					p.transport(tr, ln)
				}
				s := testkit.Observe(t, tr)
				body := testkit.NewHeldBody(p.body)
				test(t, p, func(ctx context.Context) error { return p.attempt(ctx, s, "http://example.test", body) })
				body.WantClosed(t)
				p.leftNothing(s, reason)
			})
		})
	}
}

func (p phase) attempt(ctx context.Context, s *testkit.Subject, url string, body *testkit.TrackedBody) error {
	req := testkit.NewRequest(s.T, http.MethodPost, url, body).WithContext(ctx)
	if p.body == nil {
		req.ContentLength = int64(len("body"))
	}
	send := s.RoundTrip
	if d, ok := ctx.Value(clientTimeout{}).(time.Duration); ok {
		send = (&http.Client{Transport: s, Timeout: d}).Do
	}
	resp, err := send(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.ReadAll(resp.Body)
	return err
}

// leftNothing waits for everything that takes time in the bubble, and then checks the rest.
func (p phase) leftNothing(s *testkit.Subject, reason peerpool.CloseReason) {
	s.T.Helper()
	time.Sleep(5 * time.Minute) // longer than any dial
	st := s.Stats()
	if st.Opened != p.opened || st.Active+st.Waiting+st.Dialing+st.Idle > 0 {
		s.T.Errorf("left behind: %+v", st)
	}
	if p.close && st.Closes[reason] != 1 {
		s.T.Errorf("closes: %v, want one for %q", st.Closes, reason)
	}
	if st.Retries != (peerpool.Retries{}) {
		s.T.Errorf("sent again: %+v", st.Retries)
	}
}

func mustURL(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}
