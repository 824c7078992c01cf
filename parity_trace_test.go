package peerpool_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"testing"

	"github.com/peerpool/peerpool/internal/testkit"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// traced sends a GET that fails, and notes the hooks that are called on the way and the error.
func (s *scene) traced(tr transport, target string) {
	s.Helper()
	s.tracedWith(newHooks(), tr, target)
}

// tracedUntil is traced with a server that answers only that much and closes the connection. It waits for the hook of
// the request's end, which would be called at any time otherwise.
func (s *scene) tracedUntil(answer string) {
	s.Helper()
	h := newHooks()
	w := httptestutil.NewWire(s, func(c *httptestutil.WireConn) {
		c.ReadRequest()
		c.Await(h.wrote)
		c.Write(answer)
		c.Close()
	})
	s.tracedWith(h, s.use(nil), w.URL())
}

func (s *scene) tracedWith(h *hooks, tr transport, target string) {
	s.Helper()
	req := newRequest(s, http.MethodGet, target, nil)
	_, err := tr.RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), h.trace())))
	if err == nil {
		s.Fatal("the request has not failed")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, call := range h.calls {
		s.note("%s", call)
	}
	s.note("%v", err)
}

// TestHooksAreCalledInNetHTTPsOrderWhereARequestFails: see TestHooksAreCalledInNetHTTPsOrder for those that do not.
func TestHooksAreCalledInNetHTTPsOrderWhereARequestFails(t *testing.T) {
	for name, scenario := range map[string]func(*scene){
		"refused": func(s *scene) { s.traced(s.use(nil), "http://"+testkit.FreeAddr(t)) },
		"refused by a dialer": func(s *scene) {
			s.traced(s.use(&http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
				return nil, errors.New("no way")
			}}), anywhereSecure)
		},
		"no proxy": func(s *scene) {
			proxy := httptestutil.NewHTTPProxy(s, httptestutil.ProxyOptions{})
			proxy.SetFault(httptestutil.FaultRefuse(503))
			s.traced(s.use(&http.Transport{Proxy: http.ProxyURL(proxy.URL())}), anywhereSecure)
		},
		"not to be trusted": func(s *scene) {
			o := httptestutil.NewOrigin(s, httptestutil.OriginOptions{CA: httptestutil.NewCA(s)})
			s.traced(s.use(nil), o.URL())
		},
		"no TLS": func(s *scene) {
			w := httptestutil.NewWire(s, httptestutil.WriteFirst("220 mail ready\r\n", func(c *httptestutil.WireConn) { c.WaitClosed() }))
			s.traced(s.use(nil), "https://"+w.Addr())
		},
		"no answer":      func(s *scene) { s.tracedUntil("") },
		"half an answer": func(s *scene) { s.tracedUntil("HTTP/1.1 200 OK\r\nX-A: ") },
		"bad request": func(s *scene) {
			tr := s.use(nil)
			req := newRequest(s, http.MethodGet, anywhere, nil)
			req.Method = "NOT GOOD"
			h := newHooks()
			_, err := tr.RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), h.trace())))
			s.note("%q, %v", h.calls, err)
		},
	} {
		t.Run(name, func(t *testing.T) { sideBySide(t, scenario) })
	}
}
