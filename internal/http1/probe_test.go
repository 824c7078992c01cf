package http1

import (
	"crypto/tls"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/exchange"
)

// carry runs an exchange over c, which must leave it reusable.
func carry(t *testing.T, c *Conn) {
	t.Helper()
	e := exchangeOn(c, get(t))
	wantBody(t, run(t, e), "hello")
	wantEnd(t, e, exchange.Reusable)
}

func wantCondition(t *testing.T, c *Conn, want Condition) {
	t.Helper()
	if got := c.Probe(); got != want {
		t.Errorf("the probe finds %d, want %d", got, want)
	}
}

// eventually probes until something is found: what a server does takes its time to arrive.
func eventually(t *testing.T, c *Conn, want Condition) {
	t.Helper()
	for deadline := time.Now().Add(httptestutil.Bound); ; runtime.Gosched() {
		switch got := c.Probe(); {
		case got == want:
			return
		case got != Quiet:
			t.Fatalf("the probe finds %d, want %d", got, want)
		case time.Now().After(deadline):
			t.Fatalf("the probe finds nothing, want %d", want)
		}
	}
}

// hidden is a connection that does not show its socket.
type hidden struct{ net.Conn }

func hide(nc net.Conn) net.Conn { return hidden{nc} }

type connKind struct {
	tls  uint16                  // version; 0: none
	over func(net.Conn) net.Conn // makes the layer over the socket; nil: there is none
	ask  bool                    // watched, and TLS over what UnderTLS returns
}

// kinds are the connections that probing has to deal with, each over a socket.
var kinds = map[string]connKind{
	"plain":          {},
	"asked":          {ask: true},
	"TLS 1.2":        {tls: tls.VersionTLS12},
	"asked TLS 1.2":  {tls: tls.VersionTLS12, ask: true},
	"TLS 1.3":        {tls: tls.VersionTLS13},
	"asked TLS 1.3":  {tls: tls.VersionTLS13, ask: true},
	"hidden":         {over: hide},
	"hidden TLS 1.3": {tls: tls.VersionTLS13, over: hide},
}

// probed runs test on a connection of every kind to a server that plays script.
func probed(t *testing.T, script httptestutil.Script, test func(*testing.T, *Conn)) {
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			httptestutil.CheckLeaks(t, ours)
			test(t, kind.dial(t, script))
		})
	}
}

// dial connects to a server that plays script.
func (k connKind) dial(t *testing.T, script httptestutil.Script) *Conn {
	t.Helper()
	opts := httptestutil.WireOptions{}
	if k.tls != 0 {
		opts.TLS = &tls.Config{MinVersion: k.tls, MaxVersion: k.tls}
	}
	w := httptestutil.NewWireWith(t, opts, script)
	nc, err := net.Dial("tcp", w.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if k.over != nil {
		nc = k.over(nc)
	}
	if k.ask && k.tls != 0 {
		nc = UnderTLS(nc)
	}
	if k.tls != 0 {
		nc = handshake(t, nc, w.ClientTLS())
	}
	c := NewConn(nc)
	if k.ask {
		c.Watching = BeingWatched
	}
	return c
}

// handshake puts TLS over nc, with session tickets.
func handshake(t *testing.T, nc net.Conn, config *tls.Config) net.Conn {
	t.Helper()
	config.ServerName = "example.test"
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	conn := tls.Client(nc, config)
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestAQuietConnectionIsQuietAndWorks(t *testing.T) {
	probed(t, httptestutil.Replies(hello), func(t *testing.T, c *Conn) {
		for range 3 {
			wantCondition(t, c, Quiet)
			carry(t, c)
			wantCondition(t, c, Quiet)
			wantCondition(t, c, Quiet)
		}
	})
}

func TestAProbeFindsThatThePeerHasClosed(t *testing.T) {
	for name, closing := range map[string]func(*httptestutil.WireConn){
		"in order":       (*httptestutil.WireConn).Close,
		"without notice": (*httptestutil.WireConn).Cut,
		"one side":       func(w *httptestutil.WireConn) { w.CloseWrite(); w.WaitClosed() },
		"by a reset":     (*httptestutil.WireConn).Reset,
	} {
		t.Run(name+" at once", func(t *testing.T) {
			if name == "by a reset" && runtime.GOOS != "linux" {
				t.Skip("here a reset may overtake the answer")
			}
			probed(t, func(w *httptestutil.WireConn) {
				w.ReadRequest()
				w.Write(hello)
				closing(w)
			}, func(t *testing.T, c *Conn) {
				carry(t, c)
				eventually(t, c, PeerClosed)
				wantCondition(t, c, PeerClosed)
			})
		})
		t.Run(name+" when idle", func(t *testing.T) {
			idle := make(chan struct{}, len(kinds))
			probed(t, func(w *httptestutil.WireConn) {
				w.ReadRequest()
				w.Write(hello)
				w.Await(idle)
				closing(w)
			}, func(t *testing.T, c *Conn) {
				carry(t, c)
				wantCondition(t, c, Quiet)
				idle <- struct{}{}
				eventually(t, c, PeerClosed)
			})
		})
	}
}

func TestAProbeFindsBytesThatComeLater(t *testing.T) {
	for _, extra := range []string{evil, "x", "\r\n\r\n"} {
		idle := make(chan struct{}, len(kinds))
		probed(t, httptestutil.ReplyThenExtra(hello, idle, extra), func(t *testing.T, c *Conn) {
			carry(t, c)
			wantCondition(t, c, Quiet)
			idle <- struct{}{}
			eventually(t, c, Unexpected)
			wantCondition(t, c, Unexpected)
		})
	}
}

// TestAProbeFindsBytesThatCameWithTheAnswer also tests TLS. There the bytes are a record that was read together with the
// one before and is not decrypted yet, so neither the buffer nor the socket shows them.
func TestAProbeFindsBytesThatCameWithTheAnswer(t *testing.T) {
	probed(t, httptestutil.ReplyWithExtra(hello, evil), func(t *testing.T, c *Conn) {
		e := exchangeOn(c, get(t))
		wantBody(t, run(t, e), "hello")
		if c.tls() == nil {
			wantEnd(t, e, exchange.EndUnexpected)
			return
		}
		wantEnd(t, e, exchange.Reusable)
		eventually(t, c, Unexpected)
	})
}

func TestARequestTimeoutOnAnIdleConnectionIsItsEnd(t *testing.T) {
	if !canPeek {
		t.Skip("what an idle connection holds can't be seen here")
	}
	for _, proto := range []string{"HTTP/1.1", "HTTP/1.0"} {
		idle := make(chan struct{}, 1)
		w := httptestutil.NewWire(t, httptestutil.ReplyThenExtra(hello, idle, proto+" 408 Request Timeout\r\nConnection: close\r\n\r\n"))
		c := dial(t, w)
		carry(t, c)
		idle <- struct{}{}
		eventually(t, c, PeerClosed)
	}
}

func TestAServerThatSpeaksFirstIsUnexpected(t *testing.T) {
	if !canPeek {
		t.Skip("what an idle connection holds can't be seen here")
	}
	w := httptestutil.NewWire(t, httptestutil.WriteFirst("220 mail.example.test\r\n", httptestutil.ReadNothing))
	eventually(t, dial(t, w), Unexpected)
}

// Some servers send session tickets with their last flight.
func TestSessionTicketsBeforeTheFirstExchangeAreNoHarm(t *testing.T) {
	if !canPeek {
		t.Skip("what an idle connection holds can't be seen here")
	}
	// The wish for a certificate makes the tickets wait for the client's last message.
	config := &tls.Config{MinVersion: tls.VersionTLS13, ClientAuth: tls.RequestClientCert}
	w := httptestutil.NewWireWith(t, httptestutil.WireOptions{TLS: config},
		func(w *httptestutil.WireConn) {
			if w.Conn().(*tls.Conn).Handshake() == nil { // it sends its tickets unasked
				httptestutil.Replies(hello)(w)
			}
		})
	nc, err := net.Dial("tcp", w.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	c := NewConn(handshake(t, nc, w.ClientTLS()))
	for n := -1; n < 0; { // until the tickets are there
		if _, n, err = peek(c.raw); err != nil {
			t.Fatal(err)
		}
		runtime.Gosched()
	}
	wantCondition(t, c, Quiet)
	carry(t, c)
	wantCondition(t, c, Quiet)
	carry(t, c)
}

func TestAClosedConnectionIsClosed(t *testing.T) {
	for name, end := range map[string]func(*Conn){
		"aborted": func(c *Conn) { c.Abort(errReason) },
		"closed":  func(c *Conn) { c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			probed(t, httptestutil.Replies(hello), func(t *testing.T, c *Conn) {
				carry(t, c)
				wantCondition(t, c, Quiet)
				end(c)
				eventually(t, c, PeerClosed)
			})
		})
	}
}

// serial is a connection that is read by one goroutine at a time, as a socket is.
type serial struct {
	net.Conn
	turn chan bool
}

func (s *serial) Read(p []byte) (int, error) {
	s.turn <- true
	defer func() { <-s.turn }()
	return s.Conn.Read(p)
}

// idling runs test on a connection in memory, which hides its socket since it has none, after a first
// exchange and a first probe. The server goes on with then when it has a value from idle.
func idling(t *testing.T, then func(*peer), test func(*testing.T, *Conn, chan<- bool, <-chan Condition)) {
	idle := make(chan chan bool, 1)
	with(t, 0, func(p *peer) {
		p.request()
		p.say(hello)
		<-<-idle
		then(p)
	}, func(t *testing.T, c *Conn) {
		signal, told := make(chan bool, 1), make(chan Condition, 2)
		idle <- signal
		c = NewConn(&serial{c.NetConn(), make(chan bool, 1)})
		c.OnIdleEnd(func(cond Condition) { told <- cond })
		carry(t, c)
		wantCondition(t, c, Quiet)
		test(t, c, signal, told)
	})
}

func TestAnIdleConnectionWithoutASocketTellsOfItsEnd(t *testing.T) {
	for want, then := range map[Condition]func(*peer){
		PeerClosed: func(p *peer) { p.Close() },
		Unexpected: func(p *peer) { p.say("x"); p.untilClosed() },
	} {
		idling(t, then, func(t *testing.T, c *Conn, idle chan<- bool, told <-chan Condition) {
			synctest.Wait()
			wantCondition(t, c, Quiet)
			idle <- true
			if got := <-told; got != want {
				t.Errorf("it tells of %d, want %d", got, want)
			}
			wantCondition(t, c, want)
		})
	}
}

// The first byte of the answer comes through the pending read, and is not reported as the end of the idle time.
func TestAnExchangeTakesOverThePendingRead(t *testing.T) {
	idling(t, func(p *peer) {
		for range 3 {
			p.request()
			p.say(hello)
		}
		p.untilClosed()
	}, func(t *testing.T, c *Conn, idle chan<- bool, told <-chan Condition) {
		idle <- true
		for range 3 {
			synctest.Wait() // for the read to be pending
			carry(t, c)
			wantCondition(t, c, Quiet)
			wantCondition(t, c, Quiet)
		}
		synctest.Wait()
		if len(told) > 0 {
			t.Errorf("somebody is told of %d", <-told)
		}
	})
}

func TestAnExchangeOnADeadConnectionFailsThroughThePendingRead(t *testing.T) {
	idling(t, func(p *peer) { p.request(); p.Close() }, func(t *testing.T, c *Conn, idle chan<- bool, _ <-chan Condition) {
		idle <- true
		e := exchangeOn(c, get(t))
		if err := runFails(t, e); err.Error() != "EOF" || e.Started {
			t.Errorf("the error is %v, Started %v", err, e.Started)
		}
		wantEnd(t, e, exchange.EndError)
	})
}
