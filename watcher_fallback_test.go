package peerpool_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"runtime"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// The tests here force on every system what some have to do without: a watcher of idle connections, which only Linux
// has, and a look into a socket that takes nothing away.

// sealed is a socket that can neither be watched nor looked into.
type sealed struct{ net.Conn }

func (sealed) SyscallConn() (syscall.RawConn, error) { return nil, errors.ErrUnsupported }

// withoutWatcher runs a test over connections that nothing watches, with TLS and without.
func withoutWatcher(t *testing.T, script func() httptestutil.Script, test func(*testing.T, *httptestutil.Wire, *subject)) {
	for _, kind := range []string{"plain", "TLS 1.2", "TLS 1.3"} {
		t.Run(kind, func(t *testing.T) {
			httptestutil.CheckLeaks(t)
			opts, tr := transportKinds[kind](t)
			peerpool.WithoutWatcher(tr)
			tr.DisableQuarantine = true
			test(t, httptestutil.NewWireWith(t, opts, script()), observe(t, tr))
		})
	}
}

// answerThen returns a script that answers one request, does what then does when told to, and says that it has.
// Further connections are answered as they should.
func answerThen(then func(*httptestutil.WireConn), idle <-chan struct{}, did chan<- struct{}) httptestutil.Script {
	return httptestutil.PerConn(func(c *httptestutil.WireConn) {
		c.ReadRequest()
		c.Write(ok)
		if c.Await(idle) {
			then(c)
			did <- struct{}{}
		}
		c.WaitClosed()
	}, httptestutil.Replies(ok))
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
	"sends a response": {func(c *httptestutil.WireConn) { c.Write(planted) }, "unexpected_data"},
	"sends a byte":     {func(c *httptestutil.WireConn) { c.Write("x") }, "unexpected_data"},
	"sends line ends":  {func(c *httptestutil.WireConn) { c.Write("\r\n\r\n") }, "unexpected_data"},
	"sends and closes": {func(c *httptestutil.WireConn) { c.Write(planted); c.Close() }, "unexpected_data"},
	"says 408":         {func(c *httptestutil.WireConn) { c.Write("HTTP/1.1 408 Request Timeout\r\n\r\n") }, ""},
}

func TestWithoutAWatcherWhatHappensToAnIdleConnectionIsNoticedByTheNextRequest(t *testing.T) {
	for name, u := range upsets {
		t.Run(name, func(t *testing.T) {
			idle, did := make(chan struct{}), make(chan struct{})
			script := func() httptestutil.Script { return answerThen(u.upset, idle, did) }
			withoutWatcher(t, script, func(t *testing.T, wire *httptestutil.Wire, s *subject) {
				s.get(wire.URL())
				idle <- struct{}{}
				<-did
				if st := s.Stats(); st.Idle != 1 || closesOf(st) != 0 {
					t.Fatalf("noticed without a watcher: %+v", st)
				}
				s.replaced(wire.URL(), u.reason)
			})
		})
	}
}

// replaced checks that the one connection is not used again, which the next request finds out by looking: it is not
// sent twice.
func (s *subject) replaced(url string, reason peerpool.CloseReason) {
	s.t.Helper()
	if got := s.ok(newRequest(s.t, "POST", url, nil)); got != "ok" {
		s.t.Errorf("got %q", got)
	}
	st := s.Stats()
	if reason != "" && st.Closes[reason] != 1 {
		s.t.Errorf("closes %v, want one for %q", st.Closes, reason)
	}
	if st.Opened != 2 || st.Idle != 1 || st.Hits != 0 || closesOf(st) != 1 || st.UnexpectedData != st.Closes["unexpected_data"] {
		s.t.Errorf("%+v", st)
	}
	s.events.wantRetries(s.t)
	s.balanced()
}

func TestWithoutAWatcherAServersRestartIsNoticedByNobody(t *testing.T) {
	httptestutil.CheckLeaks(t)
	const conns = 50
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	tr := &peerpool.Transport{MaxIdleConnsPerHost: conns}
	peerpool.WithoutWatcher(tr)
	s := observe(t, tr)
	s.idleConns(origin.URL(), conns)
	origin.Restart()
	s.stampede(origin.URL(), conns, nil)
	s.wantOneRetryAtMost(conns, conns)
	s.balanced()
	if st := s.Stats(); st.Closes["peer_closed"] == 0 && st.Retries.Stale+st.Retries.Unsent == 0 {
		t.Errorf("%+v", st)
	}
}

func TestWithoutAWatcherAnIdleConnectionTimesOut(t *testing.T) {
	script := func() httptestutil.Script { return httptestutil.Replies(ok) }
	withoutWatcher(t, script, func(t *testing.T, wire *httptestutil.Wire, s *subject) {
		s.IdleConnTimeout = time.Millisecond
		s.get(wire.URL())
		wire.WaitClientClosed(1)
		s.closes("idle_timeout", 1)
	})
}

func TestWithoutAWatcherCloseIdleConnectionsClosesThem(t *testing.T) {
	script := func() httptestutil.Script { return httptestutil.Replies(ok) }
	withoutWatcher(t, script, func(t *testing.T, wire *httptestutil.Wire, s *subject) {
		s.idleConns(wire.URL(), 3)
		s.CloseIdleConnections()
		s.closes("close_idle", 3)
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
			url, _ := thrifty(t, cfg)
			tr := &peerpool.Transport{MaxIdleConnsPerHost: conns, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
			peerpool.WithoutWatcher(tr)
			s := observe(t, tr)
			before := runtime.NumGoroutine()
			s.idleConns(url, conns)
			goroutines := func() int { return runtime.NumGoroutine() - before }
			eventually(t, "no goroutine", func() bool { return goroutines() <= 0 }, func() any { return goroutines() })
		})
	}
}

// withoutPeek runs a test over connections that can be neither watched nor looked into, in a bubble: its end shows
// any goroutine that is left.
func withoutPeek(t *testing.T, script func() httptestutil.Script, test func(*testing.T, *httptestutil.Wire, *subject)) {
	synctest.Test(t, func(t *testing.T) {
		wire, tr := inMemory(t, script())
		tr.DisableQuarantine = true
		dial := tr.DialContext
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := dial(ctx, network, addr)
			return sealed{nc}, err
		}
		test(t, wire, observe(t, tr))
	})
}

const bubbled = "http://example.test"

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
			withoutPeek(t, script, func(t *testing.T, wire *httptestutil.Wire, s *subject) {
				s.get(bubbled)
				<-did
				synctest.Wait()
				if st := s.Stats(); st.Idle != 0 || closesOf(st) != 1 {
					t.Errorf("not noticed: %+v", st)
				}
				s.replaced(bubbled, u.reason)
			})
		})
	}
}

func TestWithoutAPeekAConnectionIsReused(t *testing.T) {
	withoutPeek(t, func() httptestutil.Script { return numbered() }, func(t *testing.T, wire *httptestutil.Wire, s *subject) {
		for _, want := range []string{"1.1", "1.2", "1.3"} {
			if got := s.get(bubbled); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	})
}

func TestWithoutAPeekAnIdleConnectionTimesOut(t *testing.T) {
	withoutPeek(t, func() httptestutil.Script { return httptestutil.Replies(ok) }, func(t *testing.T, wire *httptestutil.Wire, s *subject) {
		s.IdleConnTimeout = time.Minute
		s.get(bubbled)
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
	withoutPeek(t, func() httptestutil.Script { return httptestutil.Replies(ok) }, func(t *testing.T, wire *httptestutil.Wire, s *subject) {
		s.idleConns(bubbled, 3)
		s.CloseIdleConnections()
		synctest.Wait()
		if st := s.Stats(); st.Closes["close_idle"] != 3 || wire.OpenConns() != 0 {
			t.Errorf("%+v", st)
		}
	})
}
