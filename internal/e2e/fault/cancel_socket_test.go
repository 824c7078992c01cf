package fault_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

func TestCancelingReachesAServerBehindASocket(t *testing.T) {
	const half = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"
	for name, opts := range map[string]httptestutil.WireOptions{"plain": {}, "TLS": {CA: httptestutil.NewCA(t)}} {
		for where, reply := range map[string]string{"before the head": "", "within the body": half} {
			t.Run(name+" "+where, func(t *testing.T) {
				httptestutil.CheckLeaks(t)
				wire := httptestutil.NewWireWith(t, opts, httptestutil.ReplyThenStall(reply))
				s := testkit.Observe(t, &peerpool.Transport{TLSClientConfig: wire.ClientTLS()})
				ctx, cancel := context.WithCancelCause(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- phase{}.attempt(ctx, s, wire.URL(), testkit.TrackBody(strings.NewReader("body"))) }()
				wire.WaitRequests(1)
				cancel(testkit.ErrChangedMind)
				if err := <-ended; err != testkit.ErrChangedMind {
					t.Errorf("got %T %v, want the cause", err, err)
				}
				wire.WaitClientClosed(1)
				s.Closes("canceled", 1)
			})
		}
	}
}

func TestACanceledRequestIsNotBegun(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	s := testkit.Observe(t, &peerpool.Transport{})
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(testkit.ErrChangedMind)
	body := testkit.TrackBody(strings.NewReader("body"))
	if _, err := s.RoundTrip(testkit.NewRequest(t, "POST", origin.URL(), body).WithContext(ctx)); err != testkit.ErrChangedMind {
		t.Errorf("got %v", err)
	}
	body.WantClosed(t)
	if st := s.Stats(); st.Dials != 0 || len(s.Events.Acquisitions()) != 0 {
		t.Errorf("%+v", st)
	}
}

func TestCancelingAfterTheEndHarmsNobody(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	s := testkit.Observe(t, &peerpool.Transport{})
	for range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		s.Ok(testkit.NewRequest(t, "GET", origin.URL(), nil).WithContext(ctx))
		cancel()
	}
	if n := origin.Conns(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

func TestAWaiterThatGivesUpLeavesTheConnectionToTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		_, tr := testkit.InMemory(t, func(c *httptestutil.WireConn) {
			for c.ReadRequest() != nil && c.Await(release) {
				c.Write(httptestutil.Response("ok"))
			}
		})
		tr.MaxConnsPerHost = 1
		s := testkit.Observe(t, tr)
		get := func(ctx context.Context, ended chan<- error) {
			resp, err := s.RoundTrip(testkit.NewRequest(t, "GET", "http://example.test", nil).WithContext(ctx))
			if err == nil {
				testkit.ReadBody(t, resp)
			}
			ended <- err
		}
		first, second, third := make(chan error, 1), make(chan error, 1), make(chan error, 1)
		ctx, cancel := context.WithCancelCause(t.Context())
		go get(t.Context(), first)
		synctest.Wait()
		go get(ctx, second)
		synctest.Wait()
		go get(t.Context(), third)
		synctest.Wait()
		if st := s.Stats(); st.Waiting != 2 || st.Active != 1 {
			t.Errorf("before: %+v", st)
		}
		cancel(testkit.ErrChangedMind)
		if err := <-second; err != testkit.ErrChangedMind {
			t.Errorf("the waiter got %v", err)
		}
		if st := s.Stats(); st.Waiting != 1 || st.Active != 1 || st.Opened != 1 {
			t.Errorf("after: %+v", st)
		}
		release <- struct{}{}
		release <- struct{}{}
		if err := errors.Join(<-first, <-third); err != nil {
			t.Error(err)
		}
	})
}

// dialAndLeave sends a request that is canceled while it is dialed for, and then lets the dial end.
func dialAndLeave(t *testing.T, tr *peerpool.Transport, url string) *testkit.Subject {
	t.Helper()
	dialing, proceed := make(chan struct{}, 2), make(chan struct{})
	tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dialing <- struct{}{}
		<-proceed
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	s := testkit.Observe(t, tr)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := s.RoundTrip(testkit.NewRequest(t, "GET", url, nil).WithContext(ctx))
		ended <- err
	}()
	<-dialing
	cancel()
	if err := <-ended; err != context.Canceled {
		t.Errorf("got %v", err)
	}
	close(proceed)
	s.Await("the dial has ended", func(st peerpool.Stats) bool { return st.Opened == 1 && st.Dialing+st.Active == 0 })
	return s
}

func TestADialGoesOnForTheNextRequest(t *testing.T) {
	httptestutil.CheckLeaks(t)
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	s := dialAndLeave(t, &peerpool.Transport{}, origin.URL())
	if st := s.Stats(); st.Idle != 1 {
		t.Errorf("%+v", st)
	}
	s.Get(origin.URL())
	if n := origin.Conns(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

func TestADialThatNobodyWaitsForIsNotKeptWithoutKeepAlives(t *testing.T) {
	httptestutil.CheckLeaks(t)
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	s := dialAndLeave(t, &peerpool.Transport{DisableKeepAlives: true}, origin.URL())
	s.Closes("unpooled", 1)
}

func TestResponseHeaderTimeoutBoundsTheWaitForTheHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const patience = 7 * time.Second
		_, tr := testkit.InMemory(t, httptestutil.PerConn(
			httptestutil.ReplyThenStall("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200"),
			httptestutil.Replies(httptestutil.Response("ok")),
		))
		tr.ResponseHeaderTimeout = patience
		s := testkit.Observe(t, tr)
		start := time.Now()
		err := testkit.FailsToExchange(s, testkit.NewRequest(t, "GET", "http://example.test", nil))
		if after := time.Since(start); after != patience || !err.Timeout() ||
			err.Error() != "net/http: timeout awaiting response headers" {
			t.Errorf("after %v: %v", after, err)
		}
		if st := s.Stats(); st.Closes["timeout"] != 1 || st.Retries != (peerpool.Retries{}) {
			t.Errorf("%+v", st)
		}
		s.Get("http://example.test")
	})
}

func TestResponseHeaderTimeoutDoesNotBoundTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, tr := testkit.InMemory(t, func(c *httptestutil.WireConn) {
			for c.ReadRequest() != nil {
				c.Write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha")
				time.Sleep(time.Minute)
				c.Write("lf")
			}
		})
		tr.ResponseHeaderTimeout = time.Second
		s := testkit.Observe(t, tr)
		for range 2 {
			if got := s.Get("http://example.test"); got != "half" {
				t.Errorf("got %q", got)
			}
		}
		if st := s.Stats(); st.Opened != 1 {
			t.Errorf("%+v", st)
		}
	})
}

func TestResponseHeaderTimeoutStartsWithTheRequestsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, tr := testkit.InMemory(t, httptestutil.Replies(httptestutil.Response("ok")))
		tr.ResponseHeaderTimeout = time.Second
		s := testkit.Observe(t, tr)
		slow := testkit.AtEnd(func() { time.Sleep(time.Minute) })
		req := testkit.NewRequest(t, http.MethodPost, "http://example.test", slow)
		if got := s.Ok(req); got != "ok" {
			t.Errorf("got %q", got)
		}
	})
}
