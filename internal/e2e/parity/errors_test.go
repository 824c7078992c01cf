package parity_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/nettest"
	"github.com/peerpool/peerpool/internal/testkit"
)

func TestADialFailsAsWithNetHTTP(t *testing.T) {
	dialError := func(err error) func(*testkit.Scene) {
		return func(s *testkit.Scene) {
			tr := s.Use(&http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, err }})
			s.Get(tr, "http://example.test/")
			s.Get(tr, "https://example.test/")
			proxied := s.Use(&http.Transport{
				DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, err },
				Proxy:       http.ProxyURL(&url.URL{Scheme: "http", Host: "proxy.test"}),
			})
			s.Get(proxied, "http://example.test/")
			s.Get(proxied, "https://example.test/")
		}
	}
	for name, scenario := range map[string]func(*testkit.Scene){
		"refused":           func(s *testkit.Scene) { s.Get(s.Use(nil), "http://"+nettest.RefusingAddr(t)) },
		"refused, with TLS": func(s *testkit.Scene) { s.Get(s.Use(nil), "https://"+nettest.RefusingAddr(t)) },
		"refused by a proxy": func(s *testkit.Scene) {
			proxy := &url.URL{Scheme: "http", Host: nettest.RefusingAddr(t)}
			s.Get(s.Use(&http.Transport{Proxy: http.ProxyURL(proxy)}), "http://example.test")
			s.Get(s.Use(&http.Transport{Proxy: http.ProxyURL(proxy)}), "https://example.test")
		},
		"no such port":              func(s *testkit.Scene) { s.Get(s.Use(nil), "http://127.0.0.1:99999") },
		"no such name":              func(s *testkit.Scene) { s.Get(s.Use(nil), "http://not..a.name/") },
		"error of a dialer":         dialError(errors.New("no way")),
		"wrapped error of a dialer": dialError(&net.OpError{Op: "dial", Net: "tcp", Err: net.ErrClosed}),
		"temporary error of a dialer": dialError(&net.DNSError{
			Err: "server misbehaving", Name: "example.test", IsTemporary: true,
		}),
		"timeout of a dialer": dialError(&net.DNSError{Err: "i/o timeout", Name: "example.test", IsTimeout: true}),
		"no proxy to be had": func(s *testkit.Scene) {
			s.Get(s.Use(&http.Transport{Proxy: func(*http.Request) (*url.URL, error) { return nil, errors.New("ask again") }}),
				"http://example.test")
		},
		"no header for the proxy": func(s *testkit.Scene) {
			proxy := httptestutil.NewHTTPProxy(s, httptestutil.ProxyOptions{})
			s.Get(s.Use(&http.Transport{
				Proxy: http.ProxyURL(proxy.URL()),
				GetProxyConnectHeader: func(context.Context, *url.URL, string) (http.Header, error) {
					return nil, errors.New("no token")
				},
			}), "https://example.test")
		},
	} {
		t.Run(name, func(t *testing.T) { testkit.SideBySide(t, scenario) })
	}
}

func TestAProxyThatRefusesFailsAsWithNetHTTP(t *testing.T) {
	for name, fault := range map[string]httptestutil.Fault{
		"403":         httptestutil.FaultRefuse(403),
		"407":         httptestutil.FaultRefuse(407),
		"502":         httptestutil.FaultRefuse(502),
		"other words": {Answer: "HTTP/1.1 503 Try Me Later\r\nContent-Length: 0\r\n\r\n"},
		"no reason":   {Answer: "HTTP/1.1 503\r\nContent-Length: 0\r\n\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			testkit.SideBySide(t, func(s *testkit.Scene) {
				proxy := httptestutil.NewHTTPProxy(s, httptestutil.ProxyOptions{})
				proxy.SetFault(fault)
				s.Get(s.Use(&http.Transport{Proxy: http.ProxyURL(proxy.URL())}), "https://example.test")
				proxy.WaitOpenConns(0)
			})
		})
	}
	for name, fault := range map[string]httptestutil.Fault{
		"SOCKS general failure": httptestutil.FaultRefuseSOCKS(1),
		"SOCKS not allowed":     httptestutil.FaultRefuseSOCKS(2),
		"SOCKS refused":         httptestutil.FaultRefuseSOCKS(5),
		"SOCKS unknown code":    httptestutil.FaultRefuseSOCKS(99),
	} {
		t.Run(name, func(t *testing.T) {
			testkit.SideBySide(t, func(s *testkit.Scene) {
				proxy := httptestutil.NewSOCKS5Proxy(s, httptestutil.ProxyOptions{})
				proxy.SetFault(fault)
				s.Get(s.Use(&http.Transport{Proxy: http.ProxyURL(proxy.URL())}), "http://example.test")
				proxy.WaitOpenConns(0)
			})
		})
	}
}

func TestTLSFailsAsWithNetHTTP(t *testing.T) {
	serve := func(server *tls.Config, client func(*httptestutil.CA) *tls.Config) func(*testkit.Scene) {
		return func(s *testkit.Scene) {
			ca := httptestutil.NewCA(s)
			server := server.Clone()
			if server.ClientAuth == tls.NoClientCert {
				server.Certificates = []tls.Certificate{ca.Server("127.0.0.1")}
			}
			o := httptestutil.NewOrigin(s, httptestutil.OriginOptions{CA: ca, TLS: server})
			s.Get(s.Use(&http.Transport{TLSClientConfig: client(ca)}), o.URL())
			o.WaitOpenConns(0)
		}
	}
	trusting := func(ca *httptestutil.CA) *tls.Config { return &tls.Config{RootCAs: ca.Pool()} }
	for name, scenario := range map[string]func(*testkit.Scene){
		"unknown authority": serve(&tls.Config{}, func(*httptestutil.CA) *tls.Config {
			return &tls.Config{RootCAs: httptestutil.NewCA(t).Pool()}
		}),
		"another name": serve(&tls.Config{}, func(ca *httptestutil.CA) *tls.Config {
			return &tls.Config{RootCAs: ca.Pool(), ServerName: "other.test"}
		}),
		"not valid yet": serve(&tls.Config{}, func(ca *httptestutil.CA) *tls.Config {
			return &tls.Config{RootCAs: ca.Pool(), Time: func() time.Time { return time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC) }}
		}),
		"no common version": serve(&tls.Config{MaxVersion: tls.VersionTLS12}, func(ca *httptestutil.CA) *tls.Config {
			return &tls.Config{RootCAs: ca.Pool(), MinVersion: tls.VersionTLS13}
		}),
		"no certificate for TLS 1.2": serve(&tls.Config{
			ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12,
		}, trusting),
		"a refusal of VerifyConnection": serve(&tls.Config{}, func(ca *httptestutil.CA) *tls.Config {
			return &tls.Config{RootCAs: ca.Pool(), VerifyConnection: func(tls.ConnectionState) error { return errors.New("not them") }}
		}),
	} {
		t.Run(name, func(t *testing.T) { testkit.SideBySide(t, scenario) })
	}
}

func TestTheWrongSchemeFailsAsWithNetHTTP(t *testing.T) {
	t.Run("https to http", func(t *testing.T) {
		testkit.SideBySide(t, func(s *testkit.Scene) {
			o := httptestutil.NewOrigin(s, httptestutil.OriginOptions{})
			s.Get(s.Use(nil), "https://"+o.Addr())
		})
	})
	t.Run("https to garbage", func(t *testing.T) {
		testkit.SideBySide(t, func(s *testkit.Scene) {
			w := httptestutil.NewWire(s, httptestutil.WriteFirst("220 mail ready\r\n", func(c *httptestutil.WireConn) { c.WaitClosed() }))
			s.Get(s.Use(nil), strings.Replace(w.URL(), "http:", "https:", 1))
		})
	})
	t.Run("https to a server that hangs up", func(t *testing.T) {
		testkit.SideBySide(t, func(s *testkit.Scene) {
			w := httptestutil.NewWire(s, func(c *httptestutil.WireConn) {
				_, _ = c.Conn().Read(make([]byte, 4096)) // the greeting of the client; unread, it would make this a reset
				c.Close()
			})
			s.Get(s.Use(nil), strings.Replace(w.URL(), "http:", "https:", 1))
		})
	})
	t.Run("http to https", func(t *testing.T) {
		testkit.SideBySide(t, func(s *testkit.Scene) {
			o := httptestutil.NewOrigin(s, httptestutil.OriginOptions{CA: httptestutil.NewCA(s)})
			s.Get(s.Use(nil), "http://"+o.Addr())
		})
	})
}

// TestAnExchangeFailsAsWithNetHTTP sends each GET on a new connection.
func TestAnExchangeFailsAsWithNetHTTP(t *testing.T) {
	for name, script := range map[string]httptestutil.Script{
		"closed without an answer":   httptestutil.ReplyThenClose(""),
		"reset without an answer":    httptestutil.ReplyThenReset(""),
		"garbage":                    httptestutil.ReplyThenClose("garbage\r\n\r\n"),
		"garbage without a line end": httptestutil.ReplyThenClose("garbage"),
		"another protocol":           httptestutil.ReplyThenClose("SSH-2.0-x\r\n\r\n"),
		"TLS alert":                  httptestutil.ReplyThenClose("\x15\x03\x01\x00\x02\x02\x0a"),
		"odd version":                httptestutil.ReplyThenClose("HTTP/1.x 200 OK\r\n\r\n"),
		"odd status":                 httptestutil.ReplyThenClose("HTTP/1.1 2x0 OK\r\n\r\n"),
		"short status":               httptestutil.ReplyThenClose("HTTP/1.1 20 OK\r\n\r\n"),
		"half a status line":         httptestutil.ReplyThenClose("HTTP/1.1 20"),
		"half a head":                httptestutil.ReplyThenClose("HTTP/1.1 200 OK\r\nX-A: "),
		"no colon":                   httptestutil.ReplyThenClose("HTTP/1.1 200 OK\r\nno colon\r\n\r\n"),
		"empty name":                 httptestutil.ReplyThenClose("HTTP/1.1 200 OK\r\n: x\r\n\r\n"),
		"first line of a fold":       httptestutil.ReplyThenClose("HTTP/1.1 200 OK\r\n X-A: x\r\n\r\n"),
		"bad length":                 httptestutil.ReplyThenClose("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"),
		"negative length":            httptestutil.ReplyThenClose("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
		"two lengths":                httptestutil.ReplyThenClose("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
		"unknown coding":             httptestutil.ReplyThenClose("HTTP/1.1 200 OK\r\nTransfer-Encoding: br\r\n\r\n"),
		"two codings":                httptestutil.ReplyThenClose("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
		"interim only":               httptestutil.ReplyThenClose("HTTP/1.1 103 Early Hints\r\n\r\n"),
		"truncated body":             httptestutil.ReplyThenClose("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"),
		"reset body":                 httptestutil.ReplyThenReset("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"),
		"truncated chunk":            httptestutil.ReplyThenClose("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nok"),
		"no chunk size":              httptestutil.ReplyThenClose("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\nok"),
		"huge chunk size":            httptestutil.ReplyThenClose("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n11111111111111111\r\nok"),
		"no end of chunk":            httptestutil.ReplyThenClose("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokxx0\r\n\r\n"),
		"no last chunk":              httptestutil.ReplyThenClose("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"),
		"bad trailer":                httptestutil.ReplyThenClose("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nno colon\r\n\r\n"),
		"bad announced trailer": httptestutil.ReplyThenClose("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n" +
			"0\r\n\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			testkit.SideBySide(t, func(s *testkit.Scene) {
				w := httptestutil.NewWire(s, script)
				s.Get(s.Use(nil), w.URL())
				s.Note("%d connections, %d requests", w.Conns(), w.Requests())
			})
		})
	}
}

func TestABoundOnTheHeadReadsAsWithNetHTTP(t *testing.T) {
	testkit.SideBySide(t, func(s *testkit.Scene) {
		w := httptestutil.NewWire(s, httptestutil.Replies(
			httptestutil.ResponseWith(200, "", "X-Long: "+strings.Repeat("x", 20000)),
		))
		s.Get(s.Use(&http.Transport{MaxResponseHeaderBytes: 10000}), w.URL())
		s.Get(s.Use(&http.Transport{MaxResponseHeaderBytes: 30000}), w.URL())
	})
}

func TestABodyThatIsClosedReadsAsWithNetHTTP(t *testing.T) {
	for name, response := range map[string]string{
		"length":  "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"chunked": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"gzip":    "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
		"none":    "HTTP/1.1 204 No Content\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			testkit.SideBySide(t, func(s *testkit.Scene) {
				w := httptestutil.NewWire(s, httptestutil.Replies(response))
				resp, err := s.Use(nil).RoundTrip(testkit.NewRequest(s, http.MethodGet, w.URL(), nil))
				if err != nil {
					s.Fatal(err)
				}
				n, err := resp.Body.Read(nil)
				s.Note("an empty read: %d, %v", n, err)
				s.Note("the first close: %v", resp.Body.Close())
				n, err = resp.Body.Read(make([]byte, 1))
				s.Note("a read behind it: %d", n)
				s.Fault("a read behind it", err)
				s.Note("the second close: %v", resp.Body.Close())
			})
		})
	}
}
