package peerpool_test

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

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// goneOnReuse answers one request on each of its first n connections. It takes the second one and leaves without
// a word, once it has a byte of its body: what a probe cannot foresee. Later connections digest what they get.
func goneOnReuse(n int, leave func(*httptestutil.WireConn)) httptestutil.Script {
	return func(c *httptestutil.WireConn) {
		if c.Number() > n {
			digests(c)
			return
		}
		c.ReadRequest()
		c.Write(ok)
		if req := c.ReadHead(); req != nil {
			req.Body.Read(make([]byte, 1))
		}
		leave(c)
	}
}

func digests(c *httptestutil.WireConn) {
	for req := c.ReadRequest(); req != nil; req = c.ReadRequest() {
		body, _ := io.ReadAll(req.Body)
		if req.Method == http.MethodHead {
			c.Write("HTTP/1.1 200 OK\r\n\r\n")
		} else {
			c.Write(httptestutil.Response(digestOf(string(body), req.ContentLength)))
		}
	}
	c.WaitClosed()
}

// again is a body that can be had more than once, once is one that cannot, and none is none.
func again(text string) io.Reader { return strings.NewReader(text) }
func once(text string) io.Reader  { return io.MultiReader(strings.NewReader(text)) }
func none(string) io.Reader       { return nil }

func TestAStaleConnectionIsReplacedIfTheRequestMayBeSentTwice(t *testing.T) {
	large := strings.Repeat("all of it ", 100_000)
	for _, c := range []struct {
		name, method string
		body         func(string) io.Reader
		text         string
		fields       []string
		retried      bool
	}{
		{"GET", "GET", none, "", nil, true},
		{"HEAD", "HEAD", none, "", nil, true},
		{"OPTIONS", "OPTIONS", none, "", nil, true},
		{"DELETE", "DELETE", none, "", nil, true},
		{"PUT with GetBody", "PUT", again, "small", nil, true},
		{"PUT of a large body with GetBody", "PUT", again, large, nil, true},
		{"PUT without GetBody", "PUT", once, "small", nil, false},
		{"POST", "POST", none, "", nil, false},
		{"POST with GetBody", "POST", again, "small", nil, false},
		{"PATCH with GetBody", "PATCH", again, "small", nil, false},
		{"POST with a key", "POST", again, large, []string{"Idempotency-Key: 1"}, true},
		{"POST with the other key", "POST", again, "small", []string{"X-Idempotency-Key: 1"}, true},
		{"POST with a key, without GetBody", "POST", once, "small", []string{"Idempotency-Key: 1"}, false},
	} {
		for leaving, leave := range map[string]func(*httptestutil.WireConn){
			"closes": (*httptestutil.WireConn).Close, "resets": (*httptestutil.WireConn).Reset,
		} {
			t.Run(c.name+", the server "+leaving, func(t *testing.T) {
				httptestutil.CheckLeaks(t)
				wire := httptestutil.NewWire(t, goneOnReuse(1, leave))
				s := observe(t, &peerpool.Transport{})
				s.get(wire.URL())
				req := with(newRequest(t, c.method, wire.URL(), c.body(c.text)), c.fields...)
				if !c.retried {
					err := failsToExchange(s, req)
					if !err.Reused || !err.Wrote || err.Started || wire.Conns() != 1 {
						t.Errorf("%+v, %d connections", err, wire.Conns())
					}
					s.events.wantRetries(t)
					return
				}
				got, want := s.ok(req), digestOf(c.text, int64(len(c.text)))
				if c.method == http.MethodHead {
					want = ""
				}
				if got != want {
					t.Errorf("the server got %s, want %s", got, want)
				}
				s.events.wantRetries(t, "stale")
				if st := s.Stats(); st.Retries != (peerpool.Retries{Stale: 1, Saved: 1}) || wire.Conns() != 2 {
					t.Errorf("%+v, %d connections", st, wire.Conns())
				}
			})
		}
	}
}

// stale leaves n idle connections behind that are gone on reuse.
func stale(t *testing.T, n int) (*httptestutil.Wire, *subject) {
	t.Helper()
	httptestutil.CheckLeaks(t)
	wire := httptestutil.NewWire(t, goneOnReuse(n, (*httptestutil.WireConn).Close))
	s := observe(t, &peerpool.Transport{})
	var open []*http.Response
	for range n {
		open = append(open, s.open(wire.URL(), 0))
	}
	for _, resp := range open {
		readBody(t, resp)
	}
	return wire, s
}

func TestOnlyOneStaleConnectionIsTried(t *testing.T) {
	wire, s := stale(t, 5)
	s.get(wire.URL())
	tries := s.events.acquisitions()[5:]
	if len(tries) != 2 || !tries[0].Reused || tries[0].Attempt != 1 || tries[1].Reused || tries[1].Attempt != 2 || tries[1].Miss != "fresh" {
		t.Errorf("%+v", tries)
	}
	if wire.Conns() != 6 {
		t.Errorf("%d connections, want 6", wire.Conns())
	}
}

func TestARetryIsSeenByWhoeverWatches(t *testing.T) {
	wire, s := stale(t, 1)
	s.get(wire.URL())
	retried := s.events.retries()
	if len(retried) != 1 || retried[0].Attempt != 1 || retried[0].Reason != "stale" || retried[0].Identity.Address() != wire.Addr() ||
		!errors.Is(retried[0].Err, io.EOF) {
		t.Errorf("retried: %+v", retried)
	}
	ends := s.events.ends()[1:]
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
		"after a stale one": {httptestutil.PerConn(goneOnReuse(1, (*httptestutil.WireConn).Close), gone), 1, peerpool.Retries{Stale: 1, Failed: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			httptestutil.CheckLeaks(t)
			wire := httptestutil.NewWire(t, c.script)
			s := observe(t, &peerpool.Transport{})
			for range c.first {
				s.get(wire.URL())
			}
			err := failsToExchange(s, newRequest(t, "GET", wire.URL(), nil))
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
	wire := httptestutil.NewWire(t, goneOnReuse(1, func(c *httptestutil.WireConn) { c.Write("H") }))
	s := observe(t, &peerpool.Transport{})
	s.get(wire.URL())
	if err := failsToExchange(s, newRequest(t, "GET", wire.URL(), nil)); !err.Started || !err.Reused {
		t.Errorf("%+v", err)
	}
	s.events.wantRetries(t)
}

// deaf is a connection whose Write fails without having written anything, once it has been told to.
type deaf struct {
	net.Conn
	down *atomic.Bool
}

func (d deaf) Write(p []byte) (int, error) {
	if d.down.Load() {
		return 0, &net.OpError{Op: "write", Net: "tcp", Err: syscall.EPIPE}
	}
	return d.Conn.Write(p)
}

// deafened returns a Transport whose first n connections can be deafened.
func deafened(t *testing.T, n int64) (s *subject, down *atomic.Bool) {
	t.Helper()
	down = new(atomic.Bool)
	var dials atomic.Int64
	return observe(t, &peerpool.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err == nil && dials.Add(1) <= n {
				nc = deaf{nc, down}
			}
			return nc, err
		},
	}), down
}

func TestARequestOfWhichNothingWasWrittenIsSentAgain(t *testing.T) {
	const text = "the body"
	for name, body := range map[string]func() io.Reader{
		"a small body, to be had again": func() io.Reader { return again(text) },
		"a body that is untouched":      func() io.Reader { return once(text) },
		"no body":                       func() io.Reader { return none(text) },
	} {
		for where, reuse := range map[string]bool{"new": false, "reused": true} {
			t.Run(name+", on a connection that is "+where, func(t *testing.T) {
				httptestutil.CheckLeaks(t)
				wire := httptestutil.NewWire(t, digests)
				s, down := deafened(t, 1)
				if reuse {
					s.get(wire.URL())
				}
				down.Store(true)
				req, want := newRequest(t, http.MethodPost, wire.URL(), body()), digestOf(text, -1)
				switch {
				case req.Body == nil:
					want = digestOf("", 0)
				case req.GetBody != nil:
					want = digestOf(text, int64(len(text)))
				}
				if req.Body != nil && req.GetBody == nil {
					req.ContentLength = -1
				}
				if got := s.ok(req); got != want {
					t.Errorf("the server got %s, want %s", got, want)
				}
				s.events.wantRetries(t, "unsent")
				if st := s.Stats().Retries; st != (peerpool.Retries{Unsent: 1, Saved: 1}) {
					t.Errorf("%+v", st)
				}
			})
		}
	}
}

func TestARequestIsSentThreeTimesAtMost(t *testing.T) {
	httptestutil.CheckLeaks(t)
	wire := httptestutil.NewWire(t, digests)
	s, down := deafened(t, 100)
	down.Store(true)
	body := trackBody(strings.NewReader("body"))
	err := failsToExchange(s, newRequest(t, http.MethodPost, wire.URL(), body))
	if err.Wrote || err.Reused || !errors.Is(err, syscall.EPIPE) {
		t.Errorf("%+v", err)
	}
	body.wantClosed(t)
	s.events.wantRetries(t, "unsent", "unsent")
	if st := s.Stats(); st.Retries != (peerpool.Retries{Unsent: 2, Failed: 1}) || st.Opened != 3 {
		t.Errorf("%+v", st)
	}
}

func TestABodyThatCannotBeHadAgainEndsTheRetry(t *testing.T) {
	wire, s := stale(t, 1)
	req := newRequest(t, http.MethodPut, wire.URL(), again("body"))
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
		_, tr := inMemory(t, goneOnReuse(1, func(c *httptestutil.WireConn) { c.WaitClosed() }))
		tr.ResponseHeaderTimeout = time.Minute
		s := observe(t, tr)
		s.get("http://example.test")
		err := failsToExchange(s, newRequest(t, "GET", "http://example.test", nil))
		if !err.Timeout() || !err.Reused || err.Started {
			t.Errorf("%+v", err)
		}
		s.events.wantRetries(t)
	})
}

func TestNothingIsSentAgainAfterItWasCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, tr := inMemory(t, goneOnReuse(1, func(c *httptestutil.WireConn) { c.WaitClosed() }))
		s := observe(t, tr)
		s.get("http://example.test")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errChangedMind)
		defer cancel()
		if _, err := s.RoundTrip(newRequest(t, "GET", "http://example.test", nil).WithContext(ctx)); err != errChangedMind {
			t.Errorf("got %v", err)
		}
		s.events.wantRetries(t)
	})
}

func TestARetryEndsWithItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, tr := inMemory(t, httptestutil.PerConn(
			goneOnReuse(1, (*httptestutil.WireConn).Close),
			func(c *httptestutil.WireConn) { c.WaitClosed() },
		))
		s := observe(t, tr)
		s.get("http://example.test")
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := s.RoundTrip(newRequest(t, "GET", "http://example.test", nil).WithContext(ctx))
		if took := time.Since(start); took != time.Minute || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after %v: %v", took, err)
		}
		if got := s.Stats().Retries; got != (peerpool.Retries{Stale: 1, Failed: 1}) {
			t.Errorf("%+v", got)
		}
	})
}
