package peerpool_test

import (
	"context"
	"crypto/tls"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/nettest"
	"github.com/peerpool/peerpool/internal/testkit"
)

// The tests here force on every system what some have to do without: a watcher of idle connections, which only Linux
// has, and a look into a socket that takes nothing away.

// withoutWatcher runs a test over connections that nothing watches, with TLS and without.
func withoutWatcher(t *testing.T, script func() httptestutil.Script, test func(*testing.T, *httptestutil.Wire, *testkit.Subject)) {
	for _, kind := range []string{"plain", "TLS 1.2", "TLS 1.3"} {
		t.Run(kind, func(t *testing.T) {
			httptestutil.CheckLeaks(t)
			opts, tr := testkit.TransportKinds[kind](t)
			peerpool.WithoutWatcher(tr)
			tr.DisableQuarantine = true
			test(t, httptestutil.NewWireWith(t, opts, script()), testkit.Observe(t, tr))
		})
	}
}

// answerThen returns a script that answers one request, does what then does when told to, and says that it has.
// Further connections are answered as they should.
func answerThen(then func(*httptestutil.WireConn), idle <-chan struct{}, did chan<- struct{}) httptestutil.Script {
	return httptestutil.PerConn(func(c *httptestutil.WireConn) {
		c.ReadRequest()
		c.Write(testkit.Ok)
		if c.Await(idle) {
			then(c)
			did <- struct{}{}
		}
		c.WaitClosed()
	}, httptestutil.Replies(testkit.Ok))
}

// upsets are what a server does to an idle connection, and what that is counted as.
var upsets = map[string]struct {
	upset  func(*httptestutil.WireConn)
	reason peerpool.CloseReason
}{
	"closes":           {(*httptestutil.WireConn).Close, "peer_closed"},
	"cuts":             {(*httptestutil.WireConn).Cut, "peer_closed"},
	"resets":           {(*httptestutil.WireConn).Reset, "peer_closed"},
	"half-closes":      {(*httptestutil.WireConn).CloseWrite, "peer_closed"},
	"sends a response": {func(c *httptestutil.WireConn) { c.Write(testkit.Planted) }, "unexpected_data"},
	"sends a byte":     {func(c *httptestutil.WireConn) { c.Write("x") }, "unexpected_data"},
	"sends line ends":  {func(c *httptestutil.WireConn) { c.Write("\r\n\r\n") }, "unexpected_data"},
	"sends and closes": {func(c *httptestutil.WireConn) { c.Write(testkit.Planted); c.Close() }, "unexpected_data"},
	"says 408":         {func(c *httptestutil.WireConn) { c.Write("HTTP/1.1 408 Request Timeout\r\n\r\n") }, ""},
}

func TestWithoutAWatcherWhatHappensToAnIdleConnectionIsNoticedByTheNextRequest(t *testing.T) {
	for name, u := range upsets {
		t.Run(name, func(t *testing.T) {
			idle, did := make(chan struct{}), make(chan struct{})
			script := func() httptestutil.Script { return answerThen(u.upset, idle, did) }
			withoutWatcher(t, script, func(t *testing.T, wire *httptestutil.Wire, s *testkit.Subject) {
				s.Get(wire.URL())
				idle <- struct{}{}
				<-did
				if st := s.Stats(); st.Idle != 1 || testkit.ClosesOf(st) != 0 {
					t.Fatalf("noticed without a watcher: %+v", st)
				}
				s.Replaced(wire.URL(), u.reason)
			})
		})
	}
}

func TestWithoutAWatcherAServersRestartIsNoticedByNobody(t *testing.T) {
	httptestutil.CheckLeaks(t)
	const conns = 50
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	tr := &peerpool.Transport{MaxIdleConnsPerHost: conns}
	peerpool.WithoutWatcher(tr)
	s := testkit.Observe(t, tr)
	s.IdleConns(origin.URL(), conns)
	origin.Restart()
	s.Stampede(origin.URL(), conns, nil)
	s.WantOneRetryAtMost(conns, conns)
	s.Balanced()
	if st := s.Stats(); st.Closes["peer_closed"] == 0 && st.Retries.Stale+st.Retries.Unsent == 0 {
		t.Errorf("%+v", st)
	}
}

func TestWithoutAWatcherAnIdleConnectionTimesOut(t *testing.T) {
	script := func() httptestutil.Script { return httptestutil.Replies(testkit.Ok) }
	withoutWatcher(t, script, func(t *testing.T, wire *httptestutil.Wire, s *testkit.Subject) {
		s.IdleConnTimeout = time.Millisecond
		s.Get(wire.URL())
		wire.WaitClientClosed(1)
		s.Closes("idle_timeout", 1)
	})
}

func TestWithoutAWatcherCloseIdleConnectionsClosesThem(t *testing.T) {
	script := func() httptestutil.Script { return httptestutil.Replies(testkit.Ok) }
	withoutWatcher(t, script, func(t *testing.T, wire *httptestutil.Wire, s *testkit.Subject) {
		s.IdleConns(wire.URL(), 3)
		s.CloseIdleConnections()
		s.Closes("close_idle", 3)
		wire.WaitOpenConns(0)
	})
}

func TestWithoutAWatcherIdleConnectionsHoldNoGoroutine(t *testing.T) {
	for name, cfg := range map[string]*tls.Config{
		"plain": nil,
		"TLS":   {Certificates: []tls.Certificate{httptestutil.SelfSigned(t, httptestutil.CertOptions{})}},
	} {
		t.Run(name, func(t *testing.T) {
			httptestutil.CheckLeaks(t)
			const conns = 50
			url, _ := testkit.Thrifty(t, cfg)
			tr := &peerpool.Transport{MaxIdleConnsPerHost: conns, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
			peerpool.WithoutWatcher(tr)
			s := testkit.Observe(t, tr)
			before := runtime.NumGoroutine()
			s.IdleConns(url, conns)
			goroutines := func() int { return runtime.NumGoroutine() - before }
			nettest.Eventually(t, "no goroutine", func() bool { return goroutines() <= 0 }, func() any { return goroutines() })
		})
	}
}

// withoutPeek runs a test over connections that can be neither watched nor looked into, in a bubble: its end shows
// any goroutine that is left.
func withoutPeek(t *testing.T, script func() httptestutil.Script, test func(*testing.T, *httptestutil.Wire, *testkit.Subject)) {
	synctest.Test(t, func(t *testing.T) {
		wire, tr := testkit.InMemory(t, script())
		tr.DisableQuarantine = true
		dial := tr.DialContext
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := dial(ctx, network, addr)
			return testkit.Sealed{Conn: nc}, err
		}
		test(t, wire, testkit.Observe(t, tr))
	})
}

func TestWithoutAPeekWhatHappensToAnIdleConnectionIsNoticedAtOnce(t *testing.T) {
	for name, u := range upsets {
		t.Run(name, func(t *testing.T) {
			var did chan struct{}
			idle := make(chan struct{})
			close(idle)
			script := func() httptestutil.Script {
				did = make(chan struct{}, 1)
				return answerThen(func(c *httptestutil.WireConn) {
					time.Sleep(time.Second) // the client is done with the answer
					u.upset(c)
				}, idle, did)
			}
			withoutPeek(t, script, func(t *testing.T, wire *httptestutil.Wire, s *testkit.Subject) {
				s.Get(testkit.Bubbled)
				<-did
				synctest.Wait()
				if st := s.Stats(); st.Idle != 0 || testkit.ClosesOf(st) != 1 {
					t.Errorf("not noticed: %+v", st)
				}
				s.Replaced(testkit.Bubbled, u.reason)
			})
		})
	}
}

func TestWithoutAPeekAConnectionIsReused(t *testing.T) {
	withoutPeek(t, func() httptestutil.Script { return testkit.Numbered() }, func(t *testing.T, wire *httptestutil.Wire, s *testkit.Subject) {
		for _, want := range []string{"1.1", "1.2", "1.3"} {
			if got := s.Get(testkit.Bubbled); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	})
}

func TestWithoutAPeekAnIdleConnectionTimesOut(t *testing.T) {
	withoutPeek(t, func() httptestutil.Script { return httptestutil.Replies(testkit.Ok) }, func(t *testing.T, wire *httptestutil.Wire, s *testkit.Subject) {
		s.IdleConnTimeout = time.Minute
		s.Get(testkit.Bubbled)
		time.Sleep(time.Minute - 1)
		synctest.Wait()
		if st := s.Stats(); st.Idle != 1 {
			t.Errorf("before the timeout: %+v", st)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if st := s.Stats(); st.Idle != 0 || st.Closes["idle_timeout"] != 1 || wire.OpenConns() != 0 {
			t.Errorf("after the timeout: %+v", st)
		}
	})
}

func TestWithoutAPeekCloseIdleConnectionsClosesThem(t *testing.T) {
	withoutPeek(t, func() httptestutil.Script { return httptestutil.Replies(testkit.Ok) }, func(t *testing.T, wire *httptestutil.Wire, s *testkit.Subject) {
		s.IdleConns(testkit.Bubbled, 3)
		s.CloseIdleConnections()
		synctest.Wait()
		if st := s.Stats(); st.Closes["close_idle"] != 3 || wire.OpenConns() != 0 {
			t.Errorf("%+v", st)
		}
	})
}
