package parity_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"testing"

	"github.com/peerpool/peerpool/internal/testkit"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// If a request is in clear text for an https proxy, Response.TLS describes TLS with the proxy.
func TestResponsesSayOverWhichTLSTheyCameAsWithNetHTTP(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		for _, via := range []string{"none", "http", "https", "socks5"} {
			for _, dialer := range []string{"own", "DialContext", "DialTLSContext"} {
				t.Run(scheme+", proxy "+via+", dialer "+dialer, func(t *testing.T) {
					testkit.SideBySide(t, func(s *testkit.Scene) { responseTLS(s, scheme, via, dialer) })
				})
			}
		}
	}
}

func responseTLS(s *testkit.Scene, scheme, via, dialer string) {
	opts := httptestutil.OriginOptions{}
	if scheme == "https" {
		opts.CA = httptestutil.NewCA(s)
	}
	o := httptestutil.NewOrigin(s, opts)
	config := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	if via != "none" {
		config.Proxy = http.ProxyURL(proxyOf(s, via, o))
	}
	first := o.Dial // the first hop leads to the proxy, if there is one
	if via != "none" {
		first = new(net.Dialer).DialContext
	}
	switch dialer {
	case "DialContext":
		config.DialContext = first
	case "DialTLSContext":
		config.DialContext = first
		config.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := first(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return tls.Client(nc, &tls.Config{InsecureSkipVerify: true, ServerName: "dialed.test", NextProtos: []string{"http/1.1"}}), nil
		}
	}
	host := "example.test"
	if via == "none" && dialer == "own" {
		host = o.Addr()
	}
	resp, err := s.Use(config).RoundTrip(testkit.NewRequest(s, http.MethodGet, scheme+"://"+host+"/", nil))
	if err != nil {
		s.Fatal(err)
	}
	httptestutil.ReadSeen(s, resp)
	if resp.TLS == nil {
		s.Note("without TLS")
		return
	}
	s.Note("TLS with %q, %q agreed upon", resp.TLS.ServerName, resp.TLS.NegotiatedProtocol)
}

func proxyOf(s *testkit.Scene, scheme string, o *httptestutil.Origin) *url.URL {
	opts := httptestutil.ProxyOptions{Dial: o.Dial}
	switch scheme {
	case "socks5":
		return httptestutil.NewSOCKS5Proxy(s, opts).URL()
	case "https":
		opts.CA = httptestutil.NewCA(s)
	}
	return httptestutil.NewHTTPProxy(s, opts).URL()
}
