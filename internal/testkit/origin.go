package testkit

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// Open sends a GET and reads n bytes of the body, which it leaves open.
func (s *Subject) Open(url string, n int) *http.Response {
	s.T.Helper()
	resp, err := s.RoundTrip(NewRequest(s.T, http.MethodGet, url, nil))
	if err != nil {
		s.T.Fatal(err)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, n)); err != nil {
		s.T.Fatal(err)
	}
	return resp
}

// Quiet is a logger that discards all lines.
var Quiet = log.New(io.Discard, "", 0)

// TransportKinds holds the kinds of connection that the pool checks in different ways.
var TransportKinds = map[string]func(*testing.T) (httptestutil.WireOptions, *peerpool.Transport){
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

// EachKind runs a test over each kind of connection, against a server with the given script.
func EachKind(t *testing.T, script func() httptestutil.Script, test func(*testing.T, *httptestutil.Wire, *Subject)) {
	for name, kind := range TransportKinds {
		t.Run(name, func(t *testing.T) {
			httptestutil.CheckLeaks(t)
			opts, tr := kind(t)
			wire := httptestutil.NewWireWith(t, opts, script())
			test(t, wire, Observe(t, tr))
		})
	}
}

// Noticed waits until the pool has noticed what the server did to an idle connection, if that takes the pool a moment. A
// connection that hides its socket is watched by a read that is pending on another goroutine. All other connections are
// checked before they are used again.
func (s *Subject) Noticed() {
	s.T.Helper()
	if s.DialContext != nil {
		s.Await("the idle connection has been given up", func(st peerpool.Stats) bool { return st.Idle == 0 })
	}
}

// Hidden reports whether the pool can look at bytes on an idle connection only by reading them.
func (s *Subject) Hidden() bool { return s.DialContext != nil || s.TLSClientConfig != nil }

const Planted = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nplanted"

const Broken = "net/http: HTTP/1.x transport connection broken: "

// Thrifty starts a server that uses one goroutine for all its connections. It answers the first request of each connection,
// one after the other, and keeps the connections until hangUp is called or the test ends.
func Thrifty(t *testing.T, cfg *tls.Config) (url string, hangUp func()) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	scheme := "http://"
	url = ln.Addr().String()
	if cfg != nil {
		scheme, ln = "https://", tls.NewListener(ln, cfg)
	}
	hung, ended := make(chan []net.Conn), make(chan struct{})
	go func() {
		defer close(ended)
		var conns []net.Conn
		for {
			nc, err := ln.Accept()
			if err != nil {
				hung <- conns
				return
			}
			if answerOnce(nc) == nil {
				conns = append(conns, nc)
			}
		}
	}()
	closed := false
	hangUp = func() {
		if closed {
			return
		}
		closed = true
		ln.Close()
		for _, nc := range <-hung {
			nc.Close()
		}
		<-ended
	}
	t.Cleanup(hangUp)
	return scheme + url, hangUp
}

func answerOnce(nc net.Conn) error {
	nc.SetDeadline(time.Now().Add(httptestutil.Bound))
	buf := make([]byte, 4096)
	for n := 0; !bytes.Contains(buf[:n], []byte("\r\n\r\n")); {
		more, err := nc.Read(buf[n:])
		if err != nil {
			return err
		}
		n += more
	}
	_, err := io.WriteString(nc, Ok)
	return err
}

type RoundTripperFunc func(*http.Request) (*http.Response, error)

func (f RoundTripperFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// IdleConns leaves n idle connections to a server in the pool.
func (s *Subject) IdleConns(url string, n int) {
	s.T.Helper()
	var open []*http.Response
	for range n {
		open = append(open, s.Open(url, 0))
	}
	for _, resp := range open {
		ReadBody(s.T, resp)
	}
	if st := s.Stats(); st.Idle != n {
		s.T.Fatalf("%d idle connections, want %d: %+v", st.Idle, n, st)
	}
}

// Stampede sends n GETs at the same time, while upset disturbs the server. All must succeed.
func (s *Subject) Stampede(url string, n int, upset func()) {
	s.T.Helper()
	s.StampedeOr(url, n, upset, func(peerpool.Attempt) bool { return false })
}

// StampedeOr does what Stampede does, but allows the errors for which mayBe returns true.
func (s *Subject) StampedeOr(url string, n int, upset func(), mayBe func(last peerpool.Attempt) bool) {
	s.T.Helper()
	var wg sync.WaitGroup
	start := make(chan struct{})
	for range n {
		wg.Go(func() {
			<-start
			req := NewRequest(s.T, http.MethodGet, url, nil)
			ctx, report := peerpool.WithReport(req.Context())
			if _, err := s.Try(req.WithContext(ctx)); err != nil {
				if all := report.Attempts(); !mayBe(all[len(all)-1]) {
					s.T.Errorf("%v\n%v", err, report)
				}
			}
		})
	}
	if upset != nil {
		wg.Go(func() {
			<-start
			upset()
		})
	}
	close(start)
	wg.Wait()
}

// WantOneRetryAtMost checks that each request of a stampede was sent again at most once, on a new connection. It leaves out
// the first acquisitions.
func (s *Subject) WantOneRetryAtMost(first, requests int) {
	s.T.Helper()
	begun := 0
	for _, a := range s.Events.Acquisitions()[first:] {
		switch {
		case a.Attempt == 1:
			begun++
		case a.Attempt > 2:
			s.T.Errorf("sent for the third time: %+v", a)
		case a.Reused || a.Miss != "fresh":
			s.T.Errorf("sent again on a connection that may be dead too: %+v", a)
		}
	}
	if begun != requests {
		s.T.Errorf("%d requests were begun, want %d", begun, requests)
	}
	if st := s.Stats(); st.Retries.Failed != 0 || st.Retries.Saved != st.Retries.Stale+st.Retries.Unsent {
		s.T.Errorf("%+v", st.Retries)
	}
}

// GoneOnReuse returns a script that answers one request on each of its first n connections. When a byte of the second
// request's body has arrived, the script leaves without an answer, which a probe cannot foresee. On later connections it
// answers with Digest.
func GoneOnReuse(n int, leave func(*httptestutil.WireConn)) httptestutil.Script {
	return func(c *httptestutil.WireConn) {
		if c.Number() > n {
			Digests(c)
			return
		}
		c.ReadRequest()
		c.Write(Ok)
		if req := c.ReadHead(); req != nil {
			req.Body.Read(make([]byte, 1))
		}
		leave(c)
	}
}

func Digests(c *httptestutil.WireConn) {
	for req := c.ReadRequest(); req != nil; req = c.ReadRequest() {
		body, _ := io.ReadAll(req.Body)
		if req.Method == http.MethodHead {
			c.Write("HTTP/1.1 200 OK\r\n\r\n")
		} else {
			c.Write(httptestutil.Response(DigestOf(string(body), req.ContentLength)))
		}
	}
	c.WaitClosed()
}

// Again returns a body that can be read more than once. Once returns a body that can be read only once.
func Again(text string) io.Reader { return strings.NewReader(text) }

func Once(text string) io.Reader { return io.MultiReader(strings.NewReader(text)) }

func None(string) io.Reader { return nil }

// Stale leaves n idle connections in the pool that break when they are reused.
func Stale(t *testing.T, n int) (*httptestutil.Wire, *Subject) {
	t.Helper()
	httptestutil.CheckLeaks(t)
	wire := httptestutil.NewWire(t, GoneOnReuse(n, (*httptestutil.WireConn).Close))
	s := Observe(t, &peerpool.Transport{})
	var open []*http.Response
	for range n {
		open = append(open, s.Open(wire.URL(), 0))
	}
	for _, resp := range open {
		ReadBody(t, resp)
	}
	return wire, s
}

// Deaf is a connection. Once it has been told to, its Write fails without having written anything.
type Deaf struct {
	net.Conn
	Down *atomic.Bool
}

func (d Deaf) Write(p []byte) (int, error) {
	if d.Down.Load() {
		return 0, &net.OpError{Op: "write", Net: "tcp", Err: syscall.EPIPE}
	}
	return d.Conn.Write(p)
}

// Sealed is a connection whose socket can neither be watched nor looked into.
type Sealed struct{ net.Conn }

func (Sealed) SyscallConn() (syscall.RawConn, error) { return nil, errors.ErrUnsupported }

// Replaced checks that the only connection is not used again. The next request notices that when it looks at the connection,
// so it is not sent twice.
func (s *Subject) Replaced(url string, reason peerpool.CloseReason) {
	s.T.Helper()
	if got := s.Ok(NewRequest(s.T, "POST", url, nil)); got != "ok" {
		s.T.Errorf("got %q", got)
	}
	st := s.Stats()
	if reason != "" && st.Closes[reason] != 1 {
		s.T.Errorf("closes %v, want one for %q", st.Closes, reason)
	}
	if st.Opened != 2 || st.Idle != 1 || st.Hits != 0 || ClosesOf(st) != 1 || st.UnexpectedData != st.Closes["unexpected_data"] {
		s.T.Errorf("%+v", st)
	}
	s.Events.WantRetries(s.T)
	s.Balanced()
}

const Bubbled = "http://example.test"

// NumbersOf parses the number of a connection, and that of the request on it.
func NumbersOf(body string) (conn, seq int, err error) {
	if n, err := fmt.Sscan(body, &conn, &seq); n != 2 {
		return 0, 0, errors.Join(err, fmt.Errorf("the server answered %.100q", body))
	}
	return conn, seq, nil
}
