package planted_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/nettest"
	"github.com/peerpool/peerpool/internal/testkit"
)

// sowing is where and when a server plants what nobody has asked for.
type sowing struct {
	how  func(p *planting, c *sower, answer string)
	tls  bool // only there it is different
	part bool // what is planted ends within a record
	late bool // the connection idles by then
}

// sowings: with an answer, or later. All of them are over before the next request begins.
var sowings = map[string]sowing{
	"in the same record": {how: func(p *planting, c *sower, answer string) { c.write(answer + testkit.Planted) }},
	"in the same segment": {tls: true, how: func(p *planting, c *sower, answer string) {
		c.cork(func() { c.write(answer); c.write(testkit.Planted) })
	}},
	"all but a byte in the same segment": {tls: true, part: true, how: func(p *planting, c *sower, answer string) {
		c.cork(func() { c.write(answer); c.write(testkit.Planted); c.keepByte() })
	}},
	"while it idles": {late: true, how: func(p *planting, c *sower, answer string) {
		c.write(answer)
		<-p.idle
		c.write(testkit.Planted)
	}},
	"all but a byte while it idles": {tls: true, part: true, late: true, how: func(p *planting, c *sower, answer string) {
		c.write(answer)
		<-p.idle
		c.cork(func() { c.write(testkit.Planted); c.keepByte() })
	}},
}

// unused are what a server does to a connection that idles and has served no request.
var unused = map[string]sowing{
	"an answer":                  {how: func(p *planting, c *sower, _ string) { c.write(testkit.Planted) }},
	"all but a byte of a record": {tls: true, part: true, late: true, how: func(p *planting, c *sower, _ string) { c.cork(func() { c.write(testkit.Planted); c.keepByte() }) }},
	"close_notify":               {tls: true, how: func(p *planting, c *sower, _ string) { c.rw.(*tls.Conn).CloseWrite() }},
}

// TestWhatHasArrivedIsSeenThroughEveryWrapping checks that the next request never gets a planted answer.
func TestWhatHasArrivedIsSeenThroughEveryWrapping(t *testing.T) {
	small, large := httptestutil.Response("hello"), httptestutil.Response(strings.Repeat("x", 12<<10))
	eachWrapping(t, sowings, func(t *testing.T, p *planting, s sowing) {
		for _, answer := range []string{small, large} {
			p.again().plants(t, s, answer)
		}
	})
}

// TestWhatHasArrivedIsSeenOnConnectionsThatNobodyHasUsed uses connections whose dials ended after another connection had
// served their requests.
func TestWhatHasArrivedIsSeenOnConnectionsThatNobodyHasUsed(t *testing.T) {
	eachWrapping(t, unused, func(t *testing.T, p *planting, s sowing) { p.plantsUnused(t, s) })
}

// eachWrapping runs a test for each row of wrappings, version of TLS and way to plant.
func eachWrapping(t *testing.T, sowings map[string]sowing, test func(*testing.T, *planting, sowing)) {
	cert := httptestutil.SelfSigned(t, httptestutil.CertOptions{})
	for name, w := range wrappings {
		versions := map[string]uint16{"": 0}
		if w.tls {
			versions = map[string]uint16{" 1.2": tls.VersionTLS12, " 1.3": tls.VersionTLS13}
		}
		for version, number := range versions {
			for how, s := range sowings {
				if s.tls && !w.tls || s.part && (w.blind || s.late && w.late) {
					continue // there is no such thing, or nobody can tell
				}
				t.Run(name+version+"/"+how, func(t *testing.T) {
					httptestutil.CheckLeaks(t)
					test(t, &planting{t: t, wrapping: w, version: number, cert: cert}, s)
				})
			}
		}
	}
}

// planting is a server that plants on one of its connections, and a client of it behind a wrapping.
type planting struct {
	t         *testing.T
	wrapping  wrapping
	version   uint16
	cert      tls.Certificate
	serverTLS *tls.Config

	dialer  net.Dialer    // under every wrapping
	dials   atomic.Int32  // begun by it
	gate    chan struct{} // holds up the second one; nil: nothing does
	relayed *atomic.Int64 // bytes passed on by the proxy; nil: there is none
	sent    atomic.Int64  // bytes, by the server

	idle    chan struct{} // when to plant
	sown    chan struct{} // when that has been done
	arrived chan string   // paths of requests
	answers chan struct{} // lets go of an answer that is held back
}

// again returns one that has not been started.
func (p *planting) again() *planting {
	return &planting{t: p.t, wrapping: p.wrapping, version: p.version, cert: p.cert}
}

// start starts a server that does serve with each of its connections, and returns its client.
func (p *planting) start(t *testing.T, serve func(c *sower)) (*testkit.Subject, string) {
	p.idle, p.sown = make(chan struct{}, 1), make(chan struct{}, 1)
	p.arrived, p.answers = make(chan string, 8), make(chan struct{})
	p.serverTLS = &tls.Config{Certificates: []tls.Certificate{p.cert}, MaxVersion: p.version, DynamicRecordSizingDisabled: true}
	p.dialer.ControlContext = func(context.Context, string, string, syscall.RawConn) error {
		if p.dials.Add(1) == 2 && p.gate != nil {
			<-p.gate
		}
		return nil
	}
	ln := listen(t)
	go func() {
		for number := int32(1); ; number++ {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			c := &sower{number: number, corked: &corked{Conn: nc, sent: &p.sent}}
			c.rw = c.corked
			if p.wrapping.tls {
				c.rw = tls.Server(c.corked, p.serverTLS)
			}
			c.in = bufio.NewReader(c.rw)
			go func() {
				defer nc.Close()
				serve(c)
			}()
		}
	}()
	tr := &peerpool.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	p.wrapping.wrap(p, tr)
	scheme := "http://"
	if p.wrapping.tls {
		scheme = "https://"
	}
	return testkit.Observe(t, tr), scheme + ln.Addr().String()
}

// passedOn waits until the proxy, if there is one, has passed on what the server has sent. If the Transport needs a moment
// to see it, passedOn waits for that too.
func (p *planting) passedOn(s *testkit.Subject) {
	if p.wrapping.late {
		idle := s.Stats().Opened - 1 // of all but the one that has been planted on
		s.Await("the connection has been given up", func(st peerpool.Stats) bool { return uint64(st.Idle) == idle })
	}
	if p.relayed == nil {
		return
	}
	nettest.Eventually(p.t, "the proxy has passed it on", func() bool { return p.relayed.Load() >= p.sent.Load() }, func() any { return p.relayed.Load() })
}

// plants has the first connection answer once, and plant.
func (p *planting) plants(t *testing.T, s sowing, answer string) {
	s1, url := p.start(t, func(c *sower) {
		if !c.request() {
			return
		}
		if c.number == 1 {
			s.how(p, c, answer)
			acked(c.corked.Conn)
			p.sown <- struct{}{}
		} else {
			c.write(testkit.Ok)
		}
		for c.request() {
			c.restAndWrite(testkit.Ok)
		}
	})
	resp, err := s1.RoundTrip(testkit.NewRequest(t, http.MethodGet, url, nil))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, resp.ContentLength)); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	p.idle <- struct{}{}
	<-p.sown
	p.passedOn(s1)
	p.wants(t, s1, url, "unexpected_data")
}

// wants sends a POST that must not meet the planted bytes, and checks that this takes no retry.
func (p *planting) wants(t *testing.T, s *testkit.Subject, url string, reason peerpool.CloseReason) {
	t.Helper()
	if body, err := s.Try(testkit.NewRequest(t, http.MethodPost, url, nil)); body != "ok" || err != nil {
		t.Errorf("got %q and error %v", body, err)
	}
	s.Closes(reason, 1)
	s.Events.WantRetries(t)
	s.CloseIdleConnections()
}

// plantsUnused has the dial of the second connection come so late that it idles without having been used.
func (p *planting) plantsUnused(t *testing.T, s sowing) {
	p.gate = make(chan struct{})
	client, url := p.start(t, func(c *sower) {
		if c.number == 2 {
			if tc, ok := c.rw.(*tls.Conn); ok && tc.Handshake() != nil {
				return
			}
			s.how(p, c, "")
			acked(c.corked.Conn)
			p.sown <- struct{}{}
		}
		for {
			req, err := http.ReadRequest(c.in)
			if err != nil {
				return
			}
			if req.URL.Path == "/held" {
				p.arrived <- req.URL.Path
				<-p.answers
			}
			c.restAndWrite(testkit.Ok)
		}
	})
	held := make(chan string, 2)
	go func() { held <- client.Get(url + "/held") }()
	<-p.arrived
	go func() { held <- client.Get(url) }()
	nettest.Eventually(t, "a second dial", func() bool { return p.dials.Load() == 2 }, func() any { return p.dials.Load() })
	p.answers <- struct{}{}
	for range 2 {
		if got := <-held; got != "ok" {
			t.Fatalf("got %q", got)
		}
	}
	close(p.gate)
	<-p.sown
	client.Await("the second connection idles, or has been given up", func(st peerpool.Stats) bool {
		return st.Dialing == 0 && st.Opened == 2
	})
	p.passedOn(client)
	go func() { held <- client.Get(url + "/held") }() // on the connection that came last, if any
	<-p.arrived
	reason := peerpool.CloseReason("unexpected_data")
	if !strings.Contains(t.Name(), "close_notify") {
		p.wants(t, client, url, reason)
	} else {
		p.wants(t, client, url, "peer_closed")
	}
	p.answers <- struct{}{}
	if got := <-held; got != "ok" {
		t.Errorf("got %q", got)
	}
}

// sower is the server's end of a connection.
type sower struct {
	number int32
	corked *corked
	rw     net.Conn // with TLS, if there is TLS
	in     *bufio.Reader
}

func (c *sower) request() bool {
	_, err := http.ReadRequest(c.in)
	return err == nil
}

func (c *sower) write(s string) { io.WriteString(c.rw, s) }

// cork has all that do writes leave in one piece.
func (c *sower) cork(do func()) {
	if tc, ok := c.rw.(*tls.Conn); ok && tc.Handshake() != nil {
		return
	}
	c.corked.hold = true
	do()
	c.corked.hold = false
	c.corked.flush()
}

// keepByte keeps back the last byte of what is held.
func (c *sower) keepByte() {
	last := len(c.corked.held) - 1
	c.corked.rest, c.corked.held = c.corked.held[last:], c.corked.held[:last:last]
}

// restAndWrite sends the byte that was kept back, then s.
func (c *sower) restAndWrite(s string) {
	if rest := c.corked.rest; rest != nil {
		c.corked.rest = nil
		c.corked.Write(rest)
	}
	c.write(s)
}

// corked is a connection that can hold back what is written.
type corked struct {
	net.Conn
	hold       bool
	held, rest []byte
	sent       *atomic.Int64
}

func (c *corked) Write(b []byte) (int, error) {
	if c.hold {
		c.held = append(c.held, b...)
		return len(b), nil
	}
	n, err := c.Conn.Write(b)
	c.sent.Add(int64(n))
	return n, err
}

func (c *corked) flush() {
	held := c.held
	c.held = nil
	c.Write(held)
}
