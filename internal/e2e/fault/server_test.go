package fault_test

import (
	"net"
	"strings"
	"testing"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

func TestASecondAnswerInOnePieceWithTheFirstReachesNobody(t *testing.T) {
	script := func() httptestutil.Script { return httptestutil.ReplyWithExtra(testkit.Ok, testkit.Planted) }
	testkit.EachKind(t, script, func(t *testing.T, wire *httptestutil.Wire, s *testkit.Subject) {
		const rounds = 20
		for range rounds {
			if got := s.Get(wire.URL()); got != "ok" {
				t.Fatalf("got %q", got)
			}
		}
		if n := wire.Conns(); n != rounds {
			t.Errorf("%d connections for %d requests", n, rounds)
		}
		s.Closes("unexpected_data", rounds)
		if n := s.Stats().UnexpectedData; n != rounds {
			t.Errorf("UnexpectedData = %d", n)
		}
	})
}

func TestASecondAnswerOnAnIdleConnectionReachesNobody(t *testing.T) {
	for name, extra := range map[string]string{"a response": testkit.Planted, "a byte": "x", "line ends": "\r\n\r\n"} {
		t.Run(name, func(t *testing.T) {
			idle, sent := make(chan struct{}), make(chan struct{})
			script := func() httptestutil.Script {
				return httptestutil.PerConn(func(c *httptestutil.WireConn) {
					c.ReadRequest()
					c.Write(testkit.Ok)
					c.Await(idle)
					c.Write(extra)
					sent <- struct{}{}
					c.WaitClosed()
				}, httptestutil.Replies(testkit.Ok))
			}
			testkit.EachKind(t, script, func(t *testing.T, wire *httptestutil.Wire, s *testkit.Subject) {
				s.Get(wire.URL())
				idle <- struct{}{}
				<-sent
				s.Noticed()
				if got := s.Get(wire.URL()); got != "ok" {
					t.Errorf("got %q", got)
				}
				s.Closes("unexpected_data", 1)
				s.Events.WantRetries(t)
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
			httptestutil.WriteFirst(testkit.Planted, func(c *httptestutil.WireConn) {
				c.ReadRequest()
				c.Write(testkit.Ok)
				answered <- struct{}{}
				c.WaitClosed()
			}),
			httptestutil.Replies(testkit.Ok),
		)
	}
	testkit.EachKind(t, script, func(t *testing.T, wire *httptestutil.Wire, s *testkit.Subject) {
		s.Get(wire.URL())
		<-answered
		s.Noticed()
		if got := s.Get(wire.URL()); got != "ok" {
			t.Errorf("got %q", got)
		}
		s.Closes("unexpected_data", 1)
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
					c.Write(testkit.Ok)
					c.Await(idle)
					leave(c)
					left <- struct{}{}
					c.WaitClosed()
				}, httptestutil.Replies(testkit.Ok))
			}
			testkit.EachKind(t, script, func(t *testing.T, wire *httptestutil.Wire, s *testkit.Subject) {
				s.Get(wire.URL())
				idle <- struct{}{}
				<-left
				s.Noticed()
				if got := s.Ok(testkit.NewRequest(t, "POST", wire.URL(), nil)); got != "ok" {
					t.Errorf("got %q", got)
				}
				if bytes := strings.HasPrefix(name, "says"); bytes && s.Hidden() {
					return // they cannot be told from others without reading them
				}
				s.Closes("peer_closed", 1)
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
			c.Write(testkit.Ok)
			c.Await(idle)
		}
	}
	testkit.EachKind(t, script, func(t *testing.T, wire *httptestutil.Wire, s *testkit.Subject) {
		s.Get(wire.URL())
		idle <- struct{}{}
		s.Closes("peer_closed", 1) // nobody asks for it
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
			s := testkit.Observe(t, &peerpool.Transport{})
			body := testkit.TrackBody(testkit.Zeros{})
			resp, text := s.Send(testkit.NewRequest(t, "POST", wire.URL(), body))
			if resp.StatusCode != 413 || text != "too much" {
				t.Errorf("%s %q", resp.Status, text)
			}
			body.WantClosed(t)
			s.Closes("connection_close", 1)
		})
	}
}

func TestARefusedConnectionFailsAtConnect(t *testing.T) {
	httptestutil.CheckLeaks(t)
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	s := testkit.Observe(t, &peerpool.Transport{})
	origin.Stop()
	body := testkit.TrackBody(testkit.Zeros{})
	err := testkit.FailsToDial(s, testkit.NewRequest(t, "POST", origin.URL(), body))
	body.WantClosed(t)
	if op, is := err.Err.(*net.OpError); err.Hop != "connect" || !is || op.Op != "dial" || err.Timeout() {
		t.Errorf("%+v", err)
	}
	if st := s.Stats(); st.Dials != 1 || st.DialFailures != 1 || st.Opened != 0 {
		t.Errorf("%+v", st)
	}
	origin.Start()
	s.Get(origin.URL())
}
