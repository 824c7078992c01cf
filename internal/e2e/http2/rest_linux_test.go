package http2_test

import (
	"context"
	"crypto/tls"
	"net"
	"runtime"
	"strings"
	"testing"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/h2server"
	"github.com/peerpool/peerpool/internal/nettest"
	"github.com/peerpool/peerpool/internal/testkit"
	"golang.org/x/net/http2"
)

// readingHTTP2 counts the goroutines that read from HTTP/2 connections.
func readingHTTP2() int {
	buf := make([]byte, 1<<20)
	return strings.Count(string(buf[:runtime.Stack(buf, true)]), "internal/http2.(*Conn).read(")
}

// nobodyReads waits until no HTTP/2 connection is read from. Connections of earlier tests are closed, but the goroutines that
// read from them may not have noticed.
func nobodyReads(t *testing.T) {
	t.Helper()
	nettest.Eventually(t, "nobody reads", func() bool { return readingHTTP2() == 0 }, func() any { return readingHTTP2() })
}

// resting runs a test with a connection that has served a request and rests: nobody reads from it.
func resting(t *testing.T, test func(s *testkit.Subject, url string, do chan<- func(*h2server.FrameConn))) {
	for name, cfg := range map[string]*tls.Config{"plain": nil, "TLS": {NextProtos: []string{"h2"}}} {
		t.Run(name, func(t *testing.T) {
			httptestutil.CheckLeaks(t)
			do := make(chan func(*h2server.FrameConn))
			wire := httptestutil.NewWireWith(t, httptestutil.WireOptions{TLS: cfg}, func(c *httptestutil.WireConn) {
				f := h2server.FramesOn(c.Conn(), c)
				f.Serve(func(f *h2server.FrameConn, req *h2server.FrameRequest) {
					f.Respond(req.Stream, 200, req.Path)
					if act := <-do; act != nil {
						act(f)
					}
				})
			})
			tr := &peerpool.Transport{Protocols: testkit.PriorKnowledge()}
			if cfg != nil {
				tr = &peerpool.Transport{TLSClientConfig: wire.ClientTLS(), ForceAttemptHTTP2: true}
			}
			s := testkit.Observe(t, tr)
			if got := s.Get(wire.URL() + "/first"); got != "/first" {
				t.Fatalf("got %q", got)
			}
			nobodyReads(t)
			test(s, wire.URL(), do)
			if n := wire.Conns(); n > 2 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

func TestAnHTTP2ConnectionThatRestsServesAgain(t *testing.T) {
	resting(t, func(s *testkit.Subject, url string, do chan<- func(*h2server.FrameConn)) {
		do <- nil
		go func() { do <- nil }()
		if got := s.Get(url + "/second"); got != "/second" {
			t.Errorf("got %q", got)
		}
		if st := s.Stats(); st.Opened != 1 || st.Hits != 1 {
			t.Errorf("%+v", st)
		}
	})
}

func TestAnHTTP2ConnectionThatRestsHearsItsServer(t *testing.T) {
	resting(t, func(s *testkit.Subject, url string, do chan<- func(*h2server.FrameConn)) {
		do <- func(f *h2server.FrameConn) { f.GoAway(1, http2.ErrCodeNo) }
		s.Closes("goaway", 1)
	})
}

func TestAnHTTP2ConnectionThatRestsNoticesItsEnd(t *testing.T) {
	resting(t, func(s *testkit.Subject, url string, do chan<- func(*h2server.FrameConn)) {
		do <- func(f *h2server.FrameConn) { f.Close() }
		s.Closes("peer_closed", 1)
	})
}

func TestAnHTTP2ConnectionThatRestsIsClosedWhenIdleOnesAre(t *testing.T) {
	resting(t, func(s *testkit.Subject, url string, do chan<- func(*h2server.FrameConn)) {
		s.CloseIdleConnections()
		s.Closes("close_idle", 1)
		close(do)
	})
}

func TestAnHTTP2ConnectionOfAnUnknownKindIsAlwaysReadFrom(t *testing.T) {
	httptestutil.CheckLeaks(t)
	o := testkit.Http2Origin(t, 100, nil)
	s := onHTTP2(t, o, &peerpool.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, addr)
		return testkit.Sealed{Conn: nc}, err
	}})
	nobodyReads(t)
	s.Get(o.URL())
	if n := readingHTTP2(); n != 1 {
		t.Errorf("%d goroutines read", n)
	}
}
