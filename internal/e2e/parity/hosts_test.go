package parity_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/peerpool/peerpool/internal/testkit"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// hosts are what a URL can name, with and without TLS.
var hosts = []string{
	"example.test", "example.test:8080", "example.test:", "EXAMPLE.Test", "example.test.", "bücher.test", "BÜCHER.test:81",
	"xn--bcher-kva.test", "гофер.test", "faß.test", "a_b.test", "127.0.0.1", "127.1", "[::1]", "[::1]:82",
	"[fe80::1%25lo]", "[fe80::1%25lo]:83", "[FE80::1%25Lo]:83", "[::ffff:127.0.0.1]:84", "a..test", "-a.test",
	strings.Repeat("a", 70) + ".test", "ab--cd.test", "\u2603.test",
}

// dialedHost is a server behind a dialer that takes every address and writes it down.
func dialedHost(s *testkit.Scene, opts httptestutil.OriginOptions) *http.Transport {
	opts.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := httptestutil.SeenBy(r)
		s.Note("Host %q, target %q, SNI %q", seen.Host, seen.Target, strings.ToLower(seen.SNI))
	})
	o := httptestutil.NewOrigin(s, opts)
	return &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			s.Note("dial %s %s", network, addr)
			return o.Dial(ctx, network, addr)
		},
	}
}

func TestHostsAreReadAsWithNetHTTP(t *testing.T) {
	for _, host := range hosts {
		for scheme, opts := range map[string]httptestutil.OriginOptions{"http": {}, "https": {CA: httptestutil.NewCA(t)}} {
			t.Run(scheme+" "+host, func(t *testing.T) {
				testkit.SideBySide(t, func(s *testkit.Scene) {
					u, err := url.Parse(scheme + "://" + host + "/path?q")
					if err != nil {
						s.Fatal(err)
					}
					s.Get(s.Use(dialedHost(s, opts)), u.String())
				})
			})
		}
	}
}

// TestTheHostOfARequestIsWrittenAsWithNetHTTP checks that Request.Host replaces the URL's host in the head of the request,
// and nowhere else.
func TestTheHostOfARequestIsWrittenAsWithNetHTTP(t *testing.T) {
	for _, host := range append(hosts, "other.test", "with space", "with/slash", "user@other.test") {
		t.Run(host, func(t *testing.T) {
			testkit.SideBySide(t, func(s *testkit.Scene) {
				tr := s.Use(dialedHost(s, httptestutil.OriginOptions{}))
				req := testkit.NewRequest(s, http.MethodGet, anywhere, nil)
				req.Host = host
				s.Do(tr, req)
			})
		})
	}
}

func TestHostsAreReadByAProxyAsWithNetHTTP(t *testing.T) {
	for _, host := range []string{"example.test", "bücher.test", "[::1]:83", "EXAMPLE.test:80", "example.test:443"} {
		for _, scheme := range []string{"http", "https"} {
			t.Run(scheme+" "+host, func(t *testing.T) {
				testkit.SideBySide(t, func(s *testkit.Scene) {
					ca := httptestutil.NewCA(s)
					opts := httptestutil.OriginOptions{}
					if scheme == "https" {
						opts.CA = ca
					}
					o := httptestutil.NewOrigin(s, opts)
					proxy := httptestutil.NewHTTPProxy(s, httptestutil.ProxyOptions{Username: "u", Password: "p w", Dial: o.Dial})
					tr := s.Use(&http.Transport{
						Proxy: http.ProxyURL(proxy.URL()), TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
						ProxyConnectHeader: http.Header{"X-Connect": {"1"}},
					})
					resp, err := tr.RoundTrip(testkit.NewRequest(s, http.MethodGet, scheme+"://"+host+"/path?q", nil))
					if err != nil {
						s.Fatal(err)
					}
					seen := httptestutil.ReadSeen(s, resp)
					s.Note("Host %q, target %q, SNI %q", seen.Host, seen.Target, strings.ToLower(seen.SNI))
					for _, asked := range proxy.Asked() {
						s.Note("proxy: %s %q, as %s:%s, header %v", asked.Method, asked.Target, asked.Username, asked.Password, asked.Header)
					}
				})
			})
		}
	}
}

// environmentURLs are what the proxies of the environment are asked for, in TestTheEnvironmentChoosesTheProxyAsWithNetHTTP.
var environmentURLs = []string{
	"http://example.test/", "https://example.test/", "http://inside.test/", "http://sub.inside.test/", "http://10.1.2.3/",
	"http://other.test:8080/", "http://localhost:1/", "http://127.0.0.1:1/",
}

// TestTheEnvironmentChoosesTheProxyAsWithNetHTTP runs itself in a process whose environment names proxies: net/http
// reads it once.
func TestTheEnvironmentChoosesTheProxyAsWithNetHTTP(t *testing.T) {
	const inside = "PEERPOOL_TEST_PROXIED"
	if os.Getenv(inside) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), inside+"=1", "HTTP_PROXY=http://user:pw@proxy.test:3128", "HTTPS_PROXY=secure-proxy.test",
			"NO_PROXY=inside.test,10.0.0.0/8,other.test:8080", "http_proxy=", "https_proxy=", "no_proxy=", "REQUEST_METHOD=")
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, output)
		}
		return
	}
	testkit.SideBySide(t, func(s *testkit.Scene) {
		w := httptestutil.NewWire(s, func(c *httptestutil.WireConn) {
			if req := c.ReadHead(); req != nil {
				s.Note("%s %s, credentials %q", req.Method, req.RequestURI, req.Header["Proxy-Authorization"])
				c.Write(httptestutil.ResponseWith(503, "no", "Connection: close"))
				c.WaitClosed()
			}
		})
		tr := s.Use(&http.Transport{
			Proxy: http.ProxyFromEnvironment,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				s.Note("dial %s %s", network, addr)
				return new(net.Dialer).DialContext(ctx, network, w.Addr())
			},
		})
		for _, target := range environmentURLs {
			s.Get(tr, target)
		}
	})
}
