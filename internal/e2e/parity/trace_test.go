package parity_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/nettest"
	"github.com/peerpool/peerpool/internal/testkit"
)

// TestHooksAreCalledInNetHTTPsOrderWhereARequestFails does for requests that fail what TestHooksAreCalledInNetHTTPsOrder
// does for those that succeed.
func TestHooksAreCalledInNetHTTPsOrderWhereARequestFails(t *testing.T) {
	for name, scenario := range map[string]func(*testkit.Scene){
		"refused": func(s *testkit.Scene) { s.Traced(s.Use(nil), "http://"+nettest.RefusingAddr(t)) },
		"refused by a dialer": func(s *testkit.Scene) {
			s.Traced(s.Use(&http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
				return nil, errors.New("no way")
			}}), anywhereSecure)
		},
		"no proxy": func(s *testkit.Scene) {
			proxy := httptestutil.NewHTTPProxy(s, httptestutil.ProxyOptions{})
			proxy.SetFault(httptestutil.FaultRefuse(503))
			s.Traced(s.Use(&http.Transport{Proxy: http.ProxyURL(proxy.URL())}), anywhereSecure)
		},
		"not to be trusted": func(s *testkit.Scene) {
			o := httptestutil.NewOrigin(s, httptestutil.OriginOptions{CA: httptestutil.NewCA(s)})
			s.Traced(s.Use(nil), o.URL())
		},
		"no TLS": func(s *testkit.Scene) {
			w := httptestutil.NewWire(s, httptestutil.WriteFirst("220 mail ready\r\n", func(c *httptestutil.WireConn) { c.WaitClosed() }))
			s.Traced(s.Use(nil), "https://"+w.Addr())
		},
		"no answer":      func(s *testkit.Scene) { s.TracedUntil("") },
		"half an answer": func(s *testkit.Scene) { s.TracedUntil("HTTP/1.1 200 OK\r\nX-A: ") },
		"bad request": func(s *testkit.Scene) {
			tr := s.Use(nil)
			req := testkit.NewRequest(s, http.MethodGet, anywhere, nil)
			req.Method = "NOT GOOD"
			h := testkit.NewHooks()
			_, err := tr.RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), h.Trace())))
			s.Note("%q, %v", h.Calls, err)
		},
	} {
		t.Run(name, func(t *testing.T) { testkit.SideBySide(t, scenario) })
	}
}
