package parity_test

//lint:file-ignore SA1019 programs still use what is deprecated, ConfigureTransport among it, so it is tested

import (
	"bufio"
	"crypto/tls"
	"net/http"
	"net/http/httptrace"
	"testing"

	"github.com/peerpool/peerpool/internal/testkit"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"golang.org/x/net/http2"
)

func TestHooksAreCalledOnceWhereXNetServesHTTP2(t *testing.T) {
	testkit.SideBySide(t, func(s *testkit.Scene) {
		o := bilingual(s, false, testkit.Versions(testkit.OverHTTP1, testkit.OverHTTP2))
		config := &http.Transport{TLSClientConfig: o.ClientTLS()}
		if err := http2.ConfigureTransport(config); err != nil {
			s.Fatal(err)
		}
		tr := s.Use(config)
		for range 3 {
			s.Hooked(tr, o.URL())
		}
	})
}

// plain sends requests in the old way on a connection of TLS.
type plain struct {
	s  *testkit.Scene
	tc *tls.Conn
}

func (p plain) RoundTrip(req *http.Request) (*http.Response, error) {
	if t := httptrace.ContextClientTrace(req.Context()); t != nil && t.GotConn != nil {
		t.GotConn(httptrace.GotConnInfo{Conn: p.tc})
	}
	if err := req.Write(p.tc); err != nil {
		return nil, err
	}
	return http.ReadResponse(bufio.NewReader(p.tc), req)
}

func TestHooksAreCalledOnceWhereAFunctionOfTLSNextProtoServes(t *testing.T) {
	testkit.SideBySide(t, func(s *testkit.Scene) {
		ca := httptestutil.NewCA(s)
		o := httptestutil.NewWireWith(s, httptestutil.WireOptions{CA: ca, TLS: &tls.Config{NextProtos: []string{"mine"}}},
			httptestutil.Replies(httptestutil.Response("ok")))
		tr := s.Use(&http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: ca.Pool(), NextProtos: []string{"mine"}},
			TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{
				"mine": func(_ string, tc *tls.Conn) http.RoundTripper { return plain{s, tc} },
			},
		})
		for range 2 {
			s.Hooked(tr, o.URL())
		}
	})
}
