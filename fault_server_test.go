package peerpool_test

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// transportKinds are the kinds of connection that the pool looks at in different ways.
var transportKinds = map[string]func(*testing.T) (httptestutil.WireOptions, *peerpool.Transport){
	"plain": func(*testing.T) (httptestutil.WireOptions, *peerpool.Transport) {
		return httptestutil.WireOptions{}, &peerpool.Transport{}
	},
	"TLS 1.2": func(t *testing.T) (httptestutil.WireOptions, *peerpool.Transport) {
		return overTLS(t, tls.VersionTLS12)
	},
	"TLS 1.3": func(t *testing.T) (httptestutil.WireOptions, *peerpool.Transport) {
		return overTLS(t, tls.VersionTLS13)
	},
	"opaque": func(*testing.T) (httptestutil.WireOptions, *peerpool.Transport) {
		ln := httptestutil.NewListener(0)
		return httptestutil.WireOptions{Listener: ln}, &peerpool.Transport{DialContext: ln.Dial}
	},
}

func overTLS(t *testing.T, version uint16) (httptestutil.WireOptions, *peerpool.Transport) {
	ca := httptestutil.NewCA(t)
	return httptestutil.WireOptions{CA: ca, TLS: &tls.Config{MinVersion: version, MaxVersion: version}},
		&peerpool.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}}
}

// eachKind runs a test against a server with that script over each kind of connection.
func eachKind(t *testing.T, script func() httptestutil.Script, test func(*testing.T, *httptestutil.Wire, *subject)) {
	for name, kind := range transportKinds {
		t.Run(name, func(t *testing.T) {
			httptestutil.CheckLeaks(t)
			opts, tr := kind(t)
			wire := httptestutil.NewWireWith(t, opts, script())
			test(t, wire, observe(t, tr))
		})
	}
}

// noticed waits until the pool has seen what the server did to an idle connection, if that takes it a moment:
// one that hides its socket is watched by a read that is pending on another goroutine. All others are looked
// at before they are used again.
func (s *subject) noticed() {
	s.t.Helper()
	if s.DialContext != nil {
		s.await("the idle connection has been given up", func(st peerpool.Stats) bool { return st.Idle == 0 })
	}
}

// hidden says that bytes on an idle connection cannot be looked at without taking them.
func (s *subject) hidden() bool { return s.DialContext != nil || s.TLSClientConfig != nil }

const planted = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nplanted"

func TestASecondAnswerInOnePieceWithTheFirstReachesNobody(t *testing.T) {
	script := func() httptestutil.Script { return httptestutil.ReplyWithExtra(ok, planted) }
	eachKind(t, script, func(t *testing.T, wire *httptestutil.Wire, s *subject) {
		const rounds = 20
		for range rounds {
			if got := s.get(wire.URL()); got != "ok" {
				t.Fatalf("got %q", got)
			}
		}
		if n := wire.Conns(); n != rounds {
			t.Errorf("%d connections for %d requests", n, rounds)
		}
		s.closes("unexpected_data", rounds)
		if n := s.Stats().UnexpectedData; n != rounds {
			t.Errorf("UnexpectedData = %d", n)
		}
	})
}

func TestASecondAnswerOnAnIdleConnectionReachesNobody(t *testing.T) {
	for name, extra := range map[string]string{"a response": planted, "a byte": "x", "line ends": "\r\n\r\n"} {
		t.Run(name, func(t *testing.T) {
			idle, sent := make(chan struct{}), make(chan struct{})
			script := func() httptestutil.Script {
				return httptestutil.PerConn(func(c *httptestutil.WireConn) {
					c.ReadRequest()
					c.Write(ok)
					c.Await(idle)
					c.Write(extra)
					sent <- struct{}{}
					c.WaitClosed()
				}, httptestutil.Replies(ok))
			}
			eachKind(t, script, func(t *testing.T, wire *httptestutil.Wire, s *subject) {
				s.get(wire.URL())
				idle <- struct{}{}
				<-sent
				s.noticed()
				if got := s.get(wire.URL()); got != "ok" {
					t.Errorf("got %q", got)
				}
				s.closes("unexpected_data", 1)
				s.events.wantRetries(t)
			})
		})
	}
}

func TestAnAnswerBeforeTheQuestionCostsTheConnection(t *testing.T) {
	// Nothing can tell that the first request of a connection had not caused the answer; but the one to the
	// request itself is one too many then.
	answered := make(chan struct{})
	script := func() httptestutil.Script {
		return httptestutil.PerConn(
			httptestutil.WriteFirst(planted, func(c *httptestutil.WireConn) {
				c.ReadRequest()
				c.Write(ok)
				answered <- struct{}{}
				c.WaitClosed()
			}),
			httptestutil.Replies(ok),
		)
	}
	eachKind(t, script, func(t *testing.T, wire *httptestutil.Wire, s *subject) {
		s.get(wire.URL())
		<-answered
		s.noticed()
		if got := s.get(wire.URL()); got != "ok" {
			t.Errorf("got %q", got)
		}
		s.closes("unexpected_data", 1)
	})
}

func TestAServersGoodbyeOnAnIdleConnectionIsNotAnAttack(t *testing.T) {
	const timeout = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
	for name, leave := range map[string]func(c *httptestutil.WireConn){
		"closes":              func(c *httptestutil.WireConn) { c.Close() },
		"resets":              func(c *httptestutil.WireConn) { c.Reset() },
		"cuts":                func(c *httptestutil.WireConn) { c.Cut() },
		"half-closes":         func(c *httptestutil.WireConn) { c.CloseWrite() },
		"says 408":            func(c *httptestutil.WireConn) { c.Write(timeout) },
		"says 408 and closes": func(c *httptestutil.WireConn) { c.Write(timeout); c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			idle, left := make(chan struct{}), make(chan struct{})
			script := func() httptestutil.Script {
				return httptestutil.PerConn(func(c *httptestutil.WireConn) {
					c.ReadRequest()
					c.Write(ok)
					c.Await(idle)
					leave(c)
					left <- struct{}{}
					c.WaitClosed()
				}, httptestutil.Replies(ok))
			}
			eachKind(t, script, func(t *testing.T, wire *httptestutil.Wire, s *subject) {
				s.get(wire.URL())
				idle <- struct{}{}
				<-left
				s.noticed()
				if got := s.ok(newRequest(t, "POST", wire.URL(), nil)); got != "ok" {
					t.Errorf("got %q", got)
				}
				if bytes := strings.HasPrefix(name, "says"); bytes && s.hidden() {
					return // they cannot be told from others without reading them
				}
				s.closes("peer_closed", 1)
				if st := s.Stats(); st.UnexpectedData != 0 || st.Retries != (peerpool.Retries{}) {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

func TestAnIdleConnectionThatThePeerClosesIsClosedAtOnce(t *testing.T) {
	idle := make(chan struct{})
	script := func() httptestutil.Script {
		return func(c *httptestutil.WireConn) {
			c.ReadRequest()
			c.Write(ok)
			c.Await(idle)
		}
	}
	eachKind(t, script, func(t *testing.T, wire *httptestutil.Wire, s *subject) {
		s.get(wire.URL())
		idle <- struct{}{}
		s.closes("peer_closed", 1) // nobody asks for it
		if st := s.Stats(); st.Idle != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestAnEarlyRefusalIsDeliveredThoughTheServerStopsReading(t *testing.T) {
	refusal := httptestutil.ResponseWith(413, "too much", "Connection: close")
	for name, end := range map[string]func(*httptestutil.WireConn){
		"and stays":  func(c *httptestutil.WireConn) { c.Stall() },
		"and closes": (*httptestutil.WireConn).CloseWrite,
	} {
		t.Run(name, func(t *testing.T) {
			httptestutil.CheckLeaks(t)
			wire := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
				c.ReadHead()
				c.Write(refusal)
				end(c)
				c.Stall()
			})
			s := observe(t, &peerpool.Transport{})
			body := trackBody(zeros{})
			resp, text := s.send(newRequest(t, "POST", wire.URL(), body))
			if resp.StatusCode != 413 || text != "too much" {
				t.Errorf("%s %q", resp.Status, text)
			}
			body.wantClosed(t)
			s.closes("connection_close", 1)
		})
	}
}

func TestARefusedConnectionFailsAtConnect(t *testing.T) {
	httptestutil.CheckLeaks(t)
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	s := observe(t, &peerpool.Transport{})
	origin.Stop()
	body := trackBody(zeros{})
	err := failsToDial(s, newRequest(t, "POST", origin.URL(), body))
	body.wantClosed(t)
	if op, is := err.Err.(*net.OpError); err.Hop != "connect" || !is || op.Op != "dial" || err.Timeout() {
		t.Errorf("%+v", err)
	}
	if st := s.Stats(); st.Dials != 1 || st.DialFailures != 1 || st.Opened != 0 {
		t.Errorf("%+v", st)
	}
	origin.Start()
	s.get(origin.URL())
}
