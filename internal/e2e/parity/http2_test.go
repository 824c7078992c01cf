package parity_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/nettest"
	"github.com/peerpool/peerpool/internal/testkit"
)

// bilingual starts an origin that speaks those versions, with TLS unless plain is set.
func bilingual(s *testkit.Scene, plain bool, p *http.Protocols) *httptestutil.Origin {
	s.Helper()
	opts := httptestutil.OriginOptions{Protocols: p}
	if !plain {
		opts.CA = httptestutil.NewCA(s)
	}
	return httptestutil.NewOrigin(s, opts)
}

// noNextProto is the old way to turn HTTP/2 off. Each Transport needs its own: net/http writes into it.
func noNextProto() map[string]func(string, *tls.Conn) http.RoundTripper {
	return map[string]func(string, *tls.Conn) http.RoundTripper{}
}

// TestTheVersionOfHTTPIsChosenAsWithNetHTTP uses an origin that speaks both versions, so that the configuration decides.
func TestTheVersionOfHTTPIsChosenAsWithNetHTTP(t *testing.T) {
	for name, config := range map[string]func() *http.Transport{
		"TLS configured":         func() *http.Transport { return &http.Transport{} },
		"forced":                 func() *http.Transport { return &http.Transport{ForceAttemptHTTP2: true} },
		"forced, and turned off": func() *http.Transport { return &http.Transport{ForceAttemptHTTP2: true, TLSNextProto: noNextProto()} },
		"turned off":             func() *http.Transport { return &http.Transport{TLSNextProto: noNextProto()} },
		"HTTP/1 alone":           func() *http.Transport { return &http.Transport{Protocols: testkit.Versions(testkit.OverHTTP1)} },
		"HTTP/2 alone":           func() *http.Transport { return &http.Transport{Protocols: testkit.Versions(testkit.OverHTTP2)} },
		"both": func() *http.Transport {
			return &http.Transport{Protocols: testkit.Versions(testkit.OverHTTP1, testkit.OverHTTP2)}
		},
		"HTTP/1 alone, forced": func() *http.Transport {
			return &http.Transport{Protocols: testkit.Versions(testkit.OverHTTP1), ForceAttemptHTTP2: true}
		},
		"both, turned off": func() *http.Transport {
			return &http.Transport{Protocols: testkit.Versions(testkit.OverHTTP1, testkit.OverHTTP2), TLSNextProto: noNextProto()}
		},
		"none":              func() *http.Transport { return &http.Transport{Protocols: testkit.Versions()} },
		"without TLS alone": func() *http.Transport { return &http.Transport{Protocols: testkit.Versions(testkit.WithoutTLS)} },
		"HTTP/1 and HTTP/2 without TLS": func() *http.Transport {
			return &http.Transport{Protocols: testkit.Versions(testkit.OverHTTP1, testkit.WithoutTLS)}
		},
		"all": func() *http.Transport {
			return &http.Transport{Protocols: testkit.Versions(testkit.OverHTTP1, testkit.OverHTTP2, testkit.WithoutTLS)}
		},
		"both, with an offer of HTTP/1": func() *http.Transport {
			return &http.Transport{Protocols: testkit.Versions(testkit.OverHTTP1, testkit.OverHTTP2), TLSClientConfig: &tls.Config{NextProtos: []string{"http/1.1"}}}
		},
		"forced, with an offer of HTTP/1": func() *http.Transport {
			return &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{NextProtos: []string{"http/1.1"}}}
		},
	} {
		for kind, plain := range map[string]bool{"TLS": false, "plain": true} {
			t.Run(name+", "+kind, func(t *testing.T) {
				testkit.SideBySide(t, func(s *testkit.Scene) {
					o := bilingual(s, plain, testkit.Versions(testkit.OverHTTP1, testkit.OverHTTP2, testkit.WithoutTLS))
					c := config()
					if !plain {
						trusting := o.ClientTLS()
						if c.TLSClientConfig != nil {
							trusting.NextProtos = c.TLSClientConfig.NextProtos
						}
						c.TLSClientConfig = trusting
					}
					tr := s.Use(c)
					s.Speak(tr, o.URL())
					s.Speak(tr, o.URL())
				})
			})
		}
	}
}

func TestACustomDialerSpeaksTheVersionAsWithNetHTTP(t *testing.T) {
	for name, config := range map[string]func(o *httptestutil.Origin) *http.Transport{
		"DialContext": func(o *httptestutil.Origin) *http.Transport { return &http.Transport{DialContext: o.Dial} },
		"DialContext, forced": func(o *httptestutil.Origin) *http.Transport {
			return &http.Transport{DialContext: o.Dial, ForceAttemptHTTP2: true}
		},
		"DialTLSContext, forced": func(o *httptestutil.Origin) *http.Transport {
			return &http.Transport{DialTLSContext: dialTLS(o, "h2", "http/1.1"), ForceAttemptHTTP2: true}
		},
		"DialTLSContext of HTTP/1, forced": func(o *httptestutil.Origin) *http.Transport {
			return &http.Transport{DialTLSContext: dialTLS(o, "http/1.1"), ForceAttemptHTTP2: true}
		},
		"DialTLSContext without ALPN, forced": func(o *httptestutil.Origin) *http.Transport {
			return &http.Transport{DialTLSContext: dialTLS(o), ForceAttemptHTTP2: true}
		},
	} {
		t.Run(name, func(t *testing.T) {
			testkit.SideBySide(t, func(s *testkit.Scene) {
				o := bilingual(s, false, testkit.Versions(testkit.OverHTTP1, testkit.OverHTTP2))
				c := config(o)
				c.TLSClientConfig = o.ClientTLS()
				tr := s.Use(c)
				s.Speak(tr, o.URL())
				s.Speak(tr, o.URL())
			})
		})
	}
}

// dialTLS returns a DialTLSContext that offers those protocols.
func dialTLS(o *httptestutil.Origin, protos ...string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := o.Dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		cfg := o.ClientTLS()
		cfg.ServerName, cfg.NextProtos = "127.0.0.1", protos
		return tls.Client(nc, cfg), nil // the Transport makes the handshake
	}
}

// TestAFunctionOfTLSNextProtoIsCalledAsWithNetHTTP checks that the RoundTripper that the function returns serves all
// requests of the connection.
func TestAFunctionOfTLSNextProtoIsCalledAsWithNetHTTP(t *testing.T) {
	testkit.SideBySide(t, func(s *testkit.Scene) {
		ca := httptestutil.NewCA(s)
		w := httptestutil.NewWireWith(s, httptestutil.WireOptions{CA: ca, TLS: &tls.Config{NextProtos: []string{"mine"}}},
			func(c *httptestutil.WireConn) { c.WaitClosed() })
		cfg := w.ClientTLS()
		cfg.NextProtos = []string{"mine", "http/1.1"}
		tr := s.Use(&http.Transport{TLSClientConfig: cfg, TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{
			"mine": func(authority string, c *tls.Conn) http.RoundTripper {
				s.Note("called for %s, whose protocol is %s", authority, c.ConnectionState().NegotiatedProtocol)
				s.Cleanup(func() { c.Close() })
				return &answering{s: s}
			},
		}})
		s.Get(tr, w.URL())
		s.Note("%d connections", w.Conns())
	})
}

// unable is the RoundTripper that a function of TLSNextProto returns if it cannot use its connection.
type unable struct{ http.RoundTripper }

func (unable) RoundTripErr() error { return errors.New("not with this one") }

func TestAFunctionOfTLSNextProtoMayFailAsWithNetHTTP(t *testing.T) {
	testkit.SideBySide(t, func(s *testkit.Scene) {
		ca := httptestutil.NewCA(s)
		w := httptestutil.NewWireWith(s, httptestutil.WireOptions{CA: ca, TLS: &tls.Config{NextProtos: []string{"mine"}}},
			func(c *httptestutil.WireConn) { c.WaitClosed() })
		cfg := w.ClientTLS()
		cfg.NextProtos = []string{"mine"}
		tr := s.Use(&http.Transport{TLSClientConfig: cfg, TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{
			"mine": func(_ string, c *tls.Conn) http.RoundTripper { c.Close(); return unable{} },
		}})
		s.Get(tr, w.URL())
	})
}

func TestATunnelCarriesTheVersionAsWithNetHTTP(t *testing.T) {
	for name, proxy := range map[string]func(*testkit.Scene) *httptestutil.Proxy{
		"CONNECT": func(s *testkit.Scene) *httptestutil.Proxy {
			return httptestutil.NewHTTPProxy(s, httptestutil.ProxyOptions{})
		},
		"SOCKS": func(s *testkit.Scene) *httptestutil.Proxy {
			return httptestutil.NewSOCKS5Proxy(s, httptestutil.ProxyOptions{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			testkit.SideBySide(t, func(s *testkit.Scene) {
				o := bilingual(s, false, testkit.Versions(testkit.OverHTTP1, testkit.OverHTTP2))
				tr := s.Use(&http.Transport{TLSClientConfig: o.ClientTLS(), ForceAttemptHTTP2: true, Proxy: http.ProxyURL(proxy(s).URL())})
				s.Speak(tr, o.URL())
				s.Speak(tr, o.URL())
			})
		})
	}
}

// TestAWebSocketKeepsToHTTP1AsWithNetHTTP checks that a WebSocket handshake goes over HTTP/1.1, even to a server to which a
// connection speaks HTTP/2.
func TestAWebSocketKeepsToHTTP1AsWithNetHTTP(t *testing.T) {
	testkit.SideBySide(t, func(s *testkit.Scene) {
		o := bilingual(s, false, testkit.Versions(testkit.OverHTTP1, testkit.OverHTTP2))
		tr := s.Use(&http.Transport{TLSClientConfig: o.ClientTLS(), ForceAttemptHTTP2: true})
		s.Speak(tr, o.URL())
		resp, err := tr.RoundTrip(testkit.With(testkit.NewRequest(s, http.MethodGet, o.URL(), nil), "Connection: Upgrade", "Upgrade: websocket"))
		if err != nil {
			s.Fatal(err)
		}
		seen := httptestutil.ReadSeen(s, resp)
		s.Note("a handshake arrives as %s, Upgrade %q", seen.Proto, seen.Header["Upgrade"])
		s.Speak(tr, o.URL())
	})
}

// TestManyRequestsShareOneHTTP2ConnectionAsWithNetHTTP checks that requests share a connection once the Transport knows
// that it speaks HTTP/2.
func TestManyRequestsShareOneHTTP2ConnectionAsWithNetHTTP(t *testing.T) {
	for name, config := range map[string]*http.Transport{"any number": {}, "one per host": {MaxConnsPerHost: 1}} {
		t.Run(name, func(t *testing.T) {
			testkit.SideBySide(t, func(s *testkit.Scene) {
				o, release := holding(s, httptestutil.OriginOptions{CA: httptestutil.NewCA(s), Protocols: testkit.Versions(testkit.OverHTTP2)})
				c := config.Clone()
				c.TLSClientConfig, c.ForceAttemptHTTP2 = o.ClientTLS(), true
				tr := s.Use(c)
				s.Get(tr, o.URL()+"/first")
				s.AtOnce(tr, o, release, 10)
				s.Note("%d connections", o.Conns())
				tr.CloseIdleConnections()
				o.WaitOpenConns(0)
				s.Get(tr, o.URL()+"/again")
				s.Note("%d connections", o.Conns())
			})
		})
	}
}

// TestFromHTTPSpeaksTheVersionsOfItsOriginal also tests Transports that have been used. net/http sets HTTP/2 up in a
// Transport when it is used or cloned, and sets its TLSClientConfig. FromHTTP must not take that for a setting of the
// caller.
func TestFromHTTPSpeaksTheVersionsOfItsOriginal(t *testing.T) {
	for name, c := range map[string]struct {
		theirs *http.Transport
		want   string
	}{
		"nothing set":     {&http.Transport{}, "HTTP/2.0"},
		"an idle timeout": {&http.Transport{IdleConnTimeout: 1}, "HTTP/2.0"},
		"forced":          {&http.Transport{ForceAttemptHTTP2: true, DialContext: new(net.Dialer).DialContext}, "HTTP/2.0"},
		"TLS configured":  {&http.Transport{TLSClientConfig: &tls.Config{}}, "HTTP/1.1"},
		"dials":           {&http.Transport{DialContext: new(net.Dialer).DialContext}, "HTTP/1.1"},
		"turned off":      {&http.Transport{TLSNextProto: noNextProto()}, "HTTP/1.1"},
		"HTTP/1 alone":    {&http.Transport{Protocols: testkit.Versions(testkit.OverHTTP1)}, "HTTP/1.1"},
	} {
		for _, used := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, used %v", name, used), func(t *testing.T) {
				o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t), Protocols: testkit.Versions(testkit.OverHTTP1, testkit.OverHTTP2)})
				theirs := c.theirs
				if used {
					_, _ = theirs.RoundTrip(testkit.NewRequest(t, http.MethodGet, "http://"+nettest.RefusingAddr(t), nil)) // fails, and sets it up
				}
				ours := peerpool.FromHTTP(theirs)
				defer ours.CloseIdleConnections()
				if ours.TLSClientConfig == nil {
					ours.TLSClientConfig = &tls.Config{}
				}
				ours.TLSClientConfig.RootCAs = o.CA().Pool()
				resp, err := ours.RoundTrip(testkit.NewRequest(t, http.MethodGet, o.URL(), nil))
				if err != nil {
					t.Fatal(err)
				}
				if seen := httptestutil.ReadSeen(t, resp); seen.Proto != c.want {
					t.Errorf("it speaks %s, want %s", seen.Proto, c.want)
				}
			})
		}
	}
}
