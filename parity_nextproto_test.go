package peerpool_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"golang.org/x/net/http2"
)

// hooked sends a GET and notes which hooks about connections are called for it.
func (s *scene) hooked(tr transport, target string) {
	s.Helper()
	var calls []string
	req := newRequest(s, http.MethodGet, target, nil)
	resp, err := tr.RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GetConn: func(string) { calls = append(calls, "GetConn") },
		GotConn: func(info httptrace.GotConnInfo) {
			calls = append(calls, fmt.Sprintf("GotConn, reused %v", info.Reused))
		},
	})))
	if err != nil {
		s.fault("no response", err)
		return
	}
	s.note("%s, %q, of the caller's request %v", resp.Proto, calls, resp.Request.URL == req.URL)
	readBody(s, resp)
}

func TestHooksAreCalledOnceWhereXNetServesHTTP2(t *testing.T) {
	sideBySide(t, func(s *scene) {
		o := bilingual(s, false, versions(overHTTP1, overHTTP2))
		config := &http.Transport{TLSClientConfig: o.ClientTLS()}
		if err := http2.ConfigureTransport(config); err != nil {
			s.Fatal(err)
		}
		tr := s.use(config)
		for range 3 {
			s.hooked(tr, o.URL())
		}
	})
}

// plain sends requests in the old way on a connection of TLS.
type plain struct {
	s  *scene
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
	sideBySide(t, func(s *scene) {
		ca := httptestutil.NewCA(s)
		o := httptestutil.NewWireWith(s, httptestutil.WireOptions{CA: ca, TLS: &tls.Config{NextProtos: []string{"mine"}}},
			httptestutil.Replies(httptestutil.Response("ok")))
		tr := s.use(&http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: ca.Pool(), NextProtos: []string{"mine"}},
			TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{
				"mine": func(_ string, tc *tls.Conn) http.RoundTripper { return plain{s, tc} },
			},
		})
		for range 2 {
			s.hooked(tr, o.URL())
		}
	})
}
