package fault_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

func TestAStaleConnectionIsReplacedIfTheRequestMayBeSentTwice(t *testing.T) {
	large := strings.Repeat("all of it ", 100_000)
	for _, c := range []struct {
		name, method string
		body         func(string) io.Reader
		text         string
		fields       []string
		retried      bool
	}{
		{"GET", "GET", testkit.None, "", nil, true},
		{"HEAD", "HEAD", testkit.None, "", nil, true},
		{"OPTIONS", "OPTIONS", testkit.None, "", nil, true},
		{"DELETE", "DELETE", testkit.None, "", nil, true},
		{"PUT with GetBody", "PUT", testkit.Again, "small", nil, true},
		{"PUT of a large body with GetBody", "PUT", testkit.Again, large, nil, true},
		{"PUT without GetBody", "PUT", testkit.Once, "small", nil, false},
		{"POST", "POST", testkit.None, "", nil, false},
		{"POST with GetBody", "POST", testkit.Again, "small", nil, false},
		{"PATCH with GetBody", "PATCH", testkit.Again, "small", nil, false},
		{"POST with a key", "POST", testkit.Again, large, []string{"Idempotency-Key: 1"}, true},
		{"POST with the other key", "POST", testkit.Again, "small", []string{"X-Idempotency-Key: 1"}, true},
		{"POST with a key, without GetBody", "POST", testkit.Once, "small", []string{"Idempotency-Key: 1"}, false},
	} {
		for leaving, leave := range map[string]func(*httptestutil.WireConn){
			"closes": (*httptestutil.WireConn).Close, "resets": (*httptestutil.WireConn).Reset,
		} {
			t.Run(c.name+", the server "+leaving, func(t *testing.T) {
				httptestutil.CheckLeaks(t)
				wire := httptestutil.NewWire(t, testkit.GoneOnReuse(1, leave))
				s := testkit.Observe(t, &peerpool.Transport{})
				s.Get(wire.URL())
				req := testkit.With(testkit.NewRequest(t, c.method, wire.URL(), c.body(c.text)), c.fields...)
				if !c.retried {
					err := testkit.FailsToExchange(s, req)
					if !err.Reused || !err.Wrote || err.Started || wire.Conns() != 1 {
						t.Errorf("%+v, %d connections", err, wire.Conns())
					}
					s.Events.WantRetries(t)
					return
				}
				got, want := s.Ok(req), testkit.DigestOf(c.text, int64(len(c.text)))
				if c.method == http.MethodHead {
					want = ""
				}
				if got != want {
					t.Errorf("the server got %s, want %s", got, want)
				}
				s.Events.WantRetries(t, "stale")
				if st := s.Stats(); st.Retries != (peerpool.Retries{Stale: 1, Saved: 1}) || wire.Conns() != 2 {
					t.Errorf("%+v, %d connections", st, wire.Conns())
				}
			})
		}
	}
}

func TestOnlyOneStaleConnectionIsTried(t *testing.T) {
	wire, s := testkit.Stale(t, 5)
	s.Get(wire.URL())
	tries := s.Events.Acquisitions()[5:]
	if len(tries) != 2 || !tries[0].Reused || tries[0].Attempt != 1 || tries[1].Reused || tries[1].Attempt != 2 || tries[1].Miss != "fresh" {
		t.Errorf("%+v", tries)
	}
	if wire.Conns() != 6 {
		t.Errorf("%d connections, want 6", wire.Conns())
	}
}

func TestARetryIsSeenByWhoeverWatches(t *testing.T) {
	wire, s := testkit.Stale(t, 1)
	s.Get(wire.URL())
	retried := s.Events.Retries()
	if len(retried) != 1 || retried[0].Attempt != 1 || retried[0].Reason != "stale" || retried[0].Identity.Address() != wire.Addr() ||
		!errors.Is(retried[0].Err, io.EOF) {
		t.Errorf("retried: %+v", retried)
	}
	ends := s.Events.Ends()[1:]
	if len(ends) != 2 || ends[0].Status != 0 || ends[0].Close != "error" || ends[1].Status != 200 || ends[1].Close != "" {
		t.Errorf("done: %+v", ends)
	}
}

func TestANewConnectionThatFailsIsNotReplaced(t *testing.T) {
	gone := func(c *httptestutil.WireConn) { c.ReadRequest() }
	for name, c := range map[string]struct {
		script httptestutil.Script
		first  int // good requests, on a connection that is then stale
		want   peerpool.Retries
	}{
		"at once":           {gone, 0, peerpool.Retries{}},
		"after a stale one": {httptestutil.PerConn(testkit.GoneOnReuse(1, (*httptestutil.WireConn).Close), gone), 1, peerpool.Retries{Stale: 1, Failed: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			httptestutil.CheckLeaks(t)
			wire := httptestutil.NewWire(t, c.script)
			s := testkit.Observe(t, &peerpool.Transport{})
			for range c.first {
				s.Get(wire.URL())
			}
			err := testkit.FailsToExchange(s, testkit.NewRequest(t, "GET", wire.URL(), nil))
			if err.Reused || !err.Wrote || !errors.Is(err, io.EOF) || wire.Conns() != 1+c.first {
				t.Errorf("%+v, %d connections", err, wire.Conns())
			}
			if got := s.Stats().Retries; got != c.want {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestAResponseThatHasBegunIsNotAskedForAgain(t *testing.T) {
	wire := httptestutil.NewWire(t, testkit.GoneOnReuse(1, func(c *httptestutil.WireConn) { c.Write("H") }))
	s := testkit.Observe(t, &peerpool.Transport{})
	s.Get(wire.URL())
	if err := testkit.FailsToExchange(s, testkit.NewRequest(t, "GET", wire.URL(), nil)); !err.Started || !err.Reused {
		t.Errorf("%+v", err)
	}
	s.Events.WantRetries(t)
}

// deafened returns a Transport whose first n connections can be deafened.
func deafened(t *testing.T, n int64) (s *testkit.Subject, down *atomic.Bool) {
	t.Helper()
	down = new(atomic.Bool)
	var dials atomic.Int64
	return testkit.Observe(t, &peerpool.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err == nil && dials.Add(1) <= n {
				nc = testkit.Deaf{Conn: nc, Down: down}
			}
			return nc, err
		},
	}), down
}

func TestARequestOfWhichNothingWasWrittenIsSentAgain(t *testing.T) {
	const text = "the body"
	for name, body := range map[string]func() io.Reader{
		"a small body, to be had again": func() io.Reader { return testkit.Again(text) },
		"a body that is untouched":      func() io.Reader { return testkit.Once(text) },
		"no body":                       func() io.Reader { return testkit.None(text) },
	} {
		for where, reuse := range map[string]bool{"new": false, "reused": true} {
			t.Run(name+", on a connection that is "+where, func(t *testing.T) {
				httptestutil.CheckLeaks(t)
				wire := httptestutil.NewWire(t, testkit.Digests)
				s, down := deafened(t, 1)
				if reuse {
					s.Get(wire.URL())
				}
				down.Store(true)
				req, want := testkit.NewRequest(t, http.MethodPost, wire.URL(), body()), testkit.DigestOf(text, -1)
				switch {
				case req.Body == nil:
					want = testkit.DigestOf("", 0)
				case req.GetBody != nil:
					want = testkit.DigestOf(text, int64(len(text)))
				}
				if req.Body != nil && req.GetBody == nil {
					req.ContentLength = -1
				}
				if got := s.Ok(req); got != want {
					t.Errorf("the server got %s, want %s", got, want)
				}
				s.Events.WantRetries(t, "unsent")
				if st := s.Stats().Retries; st != (peerpool.Retries{Unsent: 1, Saved: 1}) {
					t.Errorf("%+v", st)
				}
			})
		}
	}
}

func TestARequestIsSentThreeTimesAtMost(t *testing.T) {
	httptestutil.CheckLeaks(t)
	wire := httptestutil.NewWire(t, testkit.Digests)
	s, down := deafened(t, 100)
	down.Store(true)
	body := testkit.TrackBody(strings.NewReader("body"))
	err := testkit.FailsToExchange(s, testkit.NewRequest(t, http.MethodPost, wire.URL(), body))
	if err.Wrote || err.Reused || !errors.Is(err, syscall.EPIPE) {
		t.Errorf("%+v", err)
	}
	body.WantClosed(t)
	s.Events.WantRetries(t, "unsent", "unsent")
	if st := s.Stats(); st.Retries != (peerpool.Retries{Unsent: 2, Failed: 1}) || st.Opened != 3 {
		t.Errorf("%+v", st)
	}
}

func TestABodyThatCannotBeHadAgainEndsTheRetry(t *testing.T) {
	wire, s := testkit.Stale(t, 1)
	req := testkit.NewRequest(t, http.MethodPut, wire.URL(), testkit.Again("body"))
	gone := errors.New("no body any more")
	req.GetBody = func() (io.ReadCloser, error) { return nil, gone }
	if _, err := s.RoundTrip(req); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
	if st := s.Stats(); st.Active != 0 || st.Dials != 1 {
		t.Errorf("%+v", st)
	}
}

func TestNothingIsSentAgainAfterATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, tr := testkit.InMemory(t, testkit.GoneOnReuse(1, func(c *httptestutil.WireConn) { c.WaitClosed() }))
		tr.ResponseHeaderTimeout = time.Minute
		s := testkit.Observe(t, tr)
		s.Get("http://example.test")
		err := testkit.FailsToExchange(s, testkit.NewRequest(t, "GET", "http://example.test", nil))
		if !err.Timeout() || !err.Reused || err.Started {
			t.Errorf("%+v", err)
		}
		s.Events.WantRetries(t)
	})
}

func TestNothingIsSentAgainAfterItWasCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, tr := testkit.InMemory(t, testkit.GoneOnReuse(1, func(c *httptestutil.WireConn) { c.WaitClosed() }))
		s := testkit.Observe(t, tr)
		s.Get("http://example.test")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, testkit.ErrChangedMind)
		defer cancel()
		if _, err := s.RoundTrip(testkit.NewRequest(t, "GET", "http://example.test", nil).WithContext(ctx)); err != testkit.ErrChangedMind {
			t.Errorf("got %v", err)
		}
		s.Events.WantRetries(t)
	})
}

func TestARetryEndsWithItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, tr := testkit.InMemory(t, httptestutil.PerConn(
			testkit.GoneOnReuse(1, (*httptestutil.WireConn).Close),
			func(c *httptestutil.WireConn) { c.WaitClosed() },
		))
		s := testkit.Observe(t, tr)
		s.Get("http://example.test")
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := s.RoundTrip(testkit.NewRequest(t, "GET", "http://example.test", nil).WithContext(ctx))
		if took := time.Since(start); took != time.Minute || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after %v: %v", took, err)
		}
		if got := s.Stats().Retries; got != (peerpool.Retries{Stale: 1, Failed: 1}) {
			t.Errorf("%+v", got)
		}
	})
}
