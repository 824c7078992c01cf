package http2_test

import (
	"cmp"
	"crypto/tls"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/peerpool/peerpool/internal/h2server"
	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"golang.org/x/net/http2"
)

// choosy starts a server that offers HTTP/2 and HTTP/1.1. It answers with the version over HTTP/1.1, and over HTTP/2
// leaves the requests to refuse.
func choosy(t *testing.T, refuse func(*h2server.FrameConn, *h2server.FrameRequest)) (*httptestutil.Wire, *testkit.Subject, func() []string) {
	t.Helper()
	httptestutil.CheckLeaks(t)
	var mu sync.Mutex
	var spoken []string // by each connection
	opts := httptestutil.WireOptions{TLS: &tls.Config{NextProtos: []string{"h2", "http/1.1"}}}
	wire := httptestutil.NewWireWith(t, opts, func(c *httptestutil.WireConn) {
		tc := c.Conn().(*tls.Conn)
		if tc.Handshake() != nil {
			return
		}
		proto := cmp.Or(tc.ConnectionState().NegotiatedProtocol, "http/1.1")
		mu.Lock()
		spoken = append(spoken, proto)
		mu.Unlock()
		if proto == "h2" {
			h2server.FramesOn(c.Conn(), c).Serve(refuse)
		} else {
			testkit.Digests(c)
		}
	})
	s := testkit.Observe(t, &peerpool.Transport{TLSClientConfig: wire.ClientTLS(), ForceAttemptHTTP2: true})
	return wire, s, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), spoken...)
	}
}

func TestAServerThatWantsHTTP1GetsItFromThenOn(t *testing.T) {
	for name, refuse := range map[string]func(*h2server.FrameConn, *h2server.FrameRequest){
		"by RST_STREAM": func(c *h2server.FrameConn, req *h2server.FrameRequest) {
			c.ReadBody(req.Stream)
			c.Reset(req.Stream, http2.ErrCodeHTTP11Required)
		},
		"by GOAWAY": func(c *h2server.FrameConn, req *h2server.FrameRequest) {
			c.ReadBody(req.Stream)
			c.GoAway(0, http2.ErrCodeHTTP11Required)
		},
	} {
		t.Run(name, func(t *testing.T) {
			wire, s, spoken := choosy(t, refuse)
			got := s.Ok(testkit.NewRequest(t, http.MethodPost, wire.URL(), testkit.Again("the body")))
			if want := testkit.DigestOf("the body", 8); got != want {
				t.Errorf("the server got %s, want %s", got, want)
			}
			s.Events.WantRetries(t, "http1")
			for range 3 {
				s.Get(wire.URL())
			}
			s.CloseIdleConnections()
			wire.WaitOpenConns(0)
			s.Get(wire.URL()) // it is remembered, too
			if got := strings.Join(spoken(), " "); got != "h2 http/1.1 http/1.1" {
				t.Errorf("the connections spoke %s", got)
			}
			if st := s.Stats().Retries; st != (peerpool.Retries{HTTP1: 1, Saved: 1}) {
				t.Errorf("%+v", st)
			}
		})
	}
}

func TestABodyThatIsGoneIsNotSentOverHTTP1(t *testing.T) {
	wire, s, spoken := choosy(t, func(c *h2server.FrameConn, req *h2server.FrameRequest) {
		c.ReadBody(req.Stream)
		c.Reset(req.Stream, http2.ErrCodeHTTP11Required)
	})
	body := testkit.TrackBody(strings.NewReader("body"))
	err := testkit.FailsToExchange(s, testkit.NewRequest(t, http.MethodPost, wire.URL(), body))
	if !strings.Contains(err.Error(), "HTTP_1_1_REQUIRED") {
		t.Error(err)
	}
	body.WantClosed(t)
	s.Get(wire.URL()) // but the server's word is heeded
	s.Events.WantRetries(t)
	if got := strings.Join(spoken(), " "); got != "h2 http/1.1" {
		t.Errorf("the connections spoke %s", got)
	}
}

func TestAPeerThatIsSpokenToInHTTP2OnlyHasNoFallback(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		call := h.Fetch("x")
		p := h.Welcome()
		p.Reset(p.Request().Stream, http2.ErrCodeHTTP11Required)
		if err := call.Breaks(); !strings.Contains(err.Error(), "HTTP_1_1_REQUIRED") {
			t.Error(err)
		}
		h.Works(p) // and it is not cut off from what it does serve
		h.Dials(1)
	})
}
