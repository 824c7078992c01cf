package errors_test

//lint:file-ignore SA1019 programs still use what is deprecated, so it is tested

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/nettest"
)

func TestADialFailsAsWithNetHTTP(t *testing.T) {
	compare(t, failures{
		"refused":           func(p *performance) { p.get(p.use(&http.Transport{}), "http://"+nettest.RefusingAddr(p)) },
		"refused, with TLS": func(p *performance) { p.get(p.use(&http.Transport{}), "https://"+nettest.RefusingAddr(p)) },
		"refused, by POST":  func(p *performance) { p.do(p.use(&http.Transport{}), p.upload("http://"+nettest.RefusingAddr(p), 10)) },
		"refused by all of two": func(p *performance) {
			_, port, _ := net.SplitHostPort(nettest.RefusingAddr(p))
			p.get(p.use(&http.Transport{}), "http://two.test.:"+port)
		},
		"port out of range":    func(p *performance) { p.get(p.use(&http.Transport{}), "http://127.0.0.1:99999") },
		"no address to be had": func(p *performance) { p.get(p.use(&http.Transport{}), "http://[fe80::1%25nosuch]:80") },
		"name not found":       func(p *performance) { p.get(p.use(&http.Transport{}), "http://missing.test./") },
		"name not found, TLS":  func(p *performance) { p.get(p.use(&http.Transport{}), "https://missing.test./") },
		"name without address": func(p *performance) { p.get(p.use(&http.Transport{}), "http://empty.test./") },
		"server failure":       func(p *performance) { p.get(p.use(&http.Transport{}), "http://servfail.test./") },
		"look-up refused":      func(p *performance) { p.get(p.use(&http.Transport{}), "http://refused.test./") },
		"malformed name":       func(p *performance) { p.get(p.use(&http.Transport{}), "http://not..a.name/") },
		"name of one dot":      func(p *performance) { p.get(p.use(&http.Transport{}), "http://./") },
	})
}

func TestADialOfTheCallersFailsAsWithNetHTTP(t *testing.T) {
	table := failures{}
	for name, err := range map[string]error{
		"plain":         errOfTheDialer,
		"OpError":       &net.OpError{Op: "dial", Net: "tcp", Err: net.ErrClosed},
		"temporary DNS": &net.DNSError{Err: "server misbehaving", Name: "example.test", IsTemporary: true},
		"DNS time-out":  &net.DNSError{Err: "i/o timeout", Name: "example.test", IsTimeout: true},
		"deadline":      context.DeadlineExceeded,
		"canceled":      context.Canceled,
		"joined":        errors.Join(errOfTheDialer, context.Canceled),
	} {
		fail := func(context.Context, string, string) (net.Conn, error) { return nil, err }
		old := func(string, string) (net.Conn, error) { return nil, err }
		for hook, config := range map[string]func() *http.Transport{
			"DialContext":    func() *http.Transport { return &http.Transport{DialContext: fail} },
			"Dial":           func() *http.Transport { return &http.Transport{Dial: old} },
			"DialTLSContext": func() *http.Transport { return &http.Transport{DialTLSContext: fail} },
			"DialTLS":        func() *http.Transport { return &http.Transport{DialTLS: old} },
		} {
			table[hook+", "+name] = func(p *performance) {
				p.get(p.use(config()), "https://127.0.0.1:1")
				through := config()
				through.Proxy = http.ProxyURL(&url.URL{Scheme: "https", Host: "127.0.0.1:1"})
				p.get(p.use(through), "http://example.test")
				through = config()
				through.Proxy = http.ProxyURL(&url.URL{Scheme: "https", Host: "127.0.0.1:1"})
				p.get(p.use(through), "https://example.test")
			}
		}
	}
	nothing := func(context.Context, string, string) (net.Conn, error) { return nil, nil }
	table["DialContext, nothing"] = func(p *performance) { p.get(p.use(&http.Transport{DialContext: nothing}), "http://example.test") }
	table["DialTLSContext, nothing"] = func(p *performance) { p.get(p.use(&http.Transport{DialTLSContext: nothing}), "https://example.test") }
	table["Dial, nothing"] = func(p *performance) {
		p.get(p.use(&http.Transport{Dial: func(string, string) (net.Conn, error) { return nil, nil }}), "http://example.test")
	}
	compare(t, table)
}

// TestAProxyFailsAsWithNetHTTP makes two requests to each proxy. The first asks for a tunnel; the second names its target to
// the proxy.
func TestAProxyFailsAsWithNetHTTP(t *testing.T) {
	table := failures{}
	through := func(p *performance, proxy *url.URL) {
		p.get(p.use(&http.Transport{Proxy: http.ProxyURL(proxy)}), "https://example.test")
		p.get(p.use(&http.Transport{Proxy: http.ProxyURL(proxy)}), "http://example.test")
	}
	for _, scheme := range []string{"http", "https", "socks5", "socks5h"} {
		table[scheme+" refused"] = func(p *performance) { through(p, &url.URL{Scheme: scheme, Host: nettest.RefusingAddr(p)}) }
		table[scheme+" not found"] = func(p *performance) { through(p, &url.URL{Scheme: scheme, Host: "missing.test.:1080"}) }
		table[scheme+" hangs up"] = func(p *performance) {
			through(p, &url.URL{Scheme: scheme, Host: httptestutil.NewWire(p, hangUp("")).Addr()})
		}
		table[scheme+" says garbage"] = func(p *performance) {
			through(p, &url.URL{Scheme: scheme, Host: httptestutil.NewWire(p, hangUp("220 mail ready\r\n")).Addr()})
		}
		table[scheme+" resets"] = func(p *performance) {
			through(p, &url.URL{Scheme: scheme, Host: httptestutil.NewWire(p, reset).Addr()})
		}
	}
	for name, answer := range map[string]string{
		"403":                "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
		"407":                "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
		"502":                "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
		"words of its own":   "HTTP/1.1 503 Try Me Later\r\nContent-Length: 0\r\n\r\n",
		"no reason":          "HTTP/1.1 503\r\nContent-Length: 0\r\n\r\n",
		"an empty reason":    "HTTP/1.1 503 \r\nContent-Length: 0\r\n\r\n",
		"a redirection":      "HTTP/1.1 302 Found\r\nLocation: http://x/\r\nContent-Length: 0\r\n\r\n",
		"half a status line": "HTTP/1.1 20",
		"half a head":        "HTTP/1.1 200 OK\r\nX-A: ",
		"no colon":           "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
		"an odd version":     "HTTP/1.x 200 OK\r\n\r\n",
		"an odd status":      "HTTP/1.1 2x0 OK\r\n\r\n",
	} {
		table["CONNECT: "+name] = func(p *performance) {
			w := httptestutil.NewWire(p, httptestutil.ReplyThenClose(answer))
			p.get(p.use(&http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: w.Addr()})}), "https://example.test")
		}
	}
	for name, code := range map[string]byte{
		"general failure": 1, "not allowed": 2, "network unreachable": 3, "host unreachable": 4, "refused": 5, "TTL": 6,
		"command": 7, "address type": 8, "unknown code": 99,
	} {
		table["SOCKS: "+name] = func(p *performance) {
			proxy := httptestutil.NewSOCKS5Proxy(p, httptestutil.ProxyOptions{})
			proxy.SetFault(httptestutil.FaultRefuseSOCKS(code))
			through(p, proxy.URL())
		}
	}
	for name, answer := range map[string]string{
		"version 4": "\x04\x5a", "no method": "\x05\xff", "an unknown method": "\x05\x77", "half an answer": "\x05",
		"half a reply": "\x05\x00\x05\x00\x00", "a reply of version 4": "\x05\x00\x04\x00\x00\x01\x00\x00\x00\x00\x00\x00",
		"a reply with a reserved byte": "\x05\x00\x05\x00\x01\x01\x00\x00\x00\x00\x00\x00",
		"an address of no type":        "\x05\x00\x05\x00\x00\x09\x00\x00\x00\x00\x00\x00",
	} {
		table["SOCKS: "+name] = func(p *performance) {
			w := httptestutil.NewWire(p, func(c *httptestutil.WireConn) {
				_, _ = c.Conn().Read(make([]byte, 3))
				c.Write(answer)
				c.CloseWrite()
				c.WaitClosed()
			})
			through(p, &url.URL{Scheme: "socks5", Host: w.Addr()})
		}
	}
	table["SOCKS: wrong password"] = func(p *performance) {
		proxy := httptestutil.NewSOCKS5Proxy(p, httptestutil.ProxyOptions{Username: "u", Password: "right"})
		through(p, proxy.URLAs("u", "wrong"))
		through(p, &url.URL{Scheme: "socks5", Host: proxy.Addr()})
	}
	table["CONNECT: credentials wanted"] = func(p *performance) {
		proxy := httptestutil.NewHTTPProxy(p, httptestutil.ProxyOptions{Username: "u", Password: "right"})
		p.get(p.use(&http.Transport{Proxy: http.ProxyURL(proxy.URLAs("u", "wrong"))}), "https://example.test")
	}
	table["TLS to a proxy without"] = func(p *performance) {
		through(p, &url.URL{Scheme: "https", Host: httptestutil.NewHTTPProxy(p, httptestutil.ProxyOptions{}).Addr()})
	}
	table["a proxy of an unknown authority"] = func(p *performance) {
		through(p, httptestutil.NewHTTPProxy(p, httptestutil.ProxyOptions{CA: httptestutil.NewCA(p)}).URL())
	}
	table["a target of an unknown authority behind a proxy"] = func(p *performance) {
		origin := httptestutil.NewOrigin(p, httptestutil.OriginOptions{Handler: saying, CA: httptestutil.NewCA(p)})
		for _, proxy := range []*httptestutil.Proxy{
			httptestutil.NewHTTPProxy(p, httptestutil.ProxyOptions{}), httptestutil.NewSOCKS5Proxy(p, httptestutil.ProxyOptions{}),
		} {
			p.get(p.use(&http.Transport{Proxy: http.ProxyURL(proxy.URL())}), origin.URL())
		}
	}
	table["a target without TLS behind a proxy"] = func(p *performance) {
		origin := httptestutil.NewOrigin(p, httptestutil.OriginOptions{Handler: saying})
		proxy := httptestutil.NewHTTPProxy(p, httptestutil.ProxyOptions{})
		p.get(p.use(&http.Transport{Proxy: http.ProxyURL(proxy.URL())}), "https://"+origin.Addr())
	}
	table["no proxy to be had"] = func(p *performance) {
		p.get(p.use(&http.Transport{Proxy: func(*http.Request) (*url.URL, error) { return nil, errOfTheCaller }}), "http://example.test")
	}
	table["no header for CONNECT"] = func(p *performance) {
		proxy := httptestutil.NewHTTPProxy(p, httptestutil.ProxyOptions{})
		p.get(p.use(&http.Transport{
			Proxy:                 http.ProxyURL(proxy.URL()),
			GetProxyConnectHeader: func(context.Context, *url.URL, string) (http.Header, error) { return nil, errOfTheCaller },
		}), "https://example.test")
	}
	table["an answer to CONNECT that the caller refuses"] = func(p *performance) {
		origin := httptestutil.NewOrigin(p, httptestutil.OriginOptions{Handler: saying, CA: httptestutil.NewCA(p)})
		proxy := httptestutil.NewHTTPProxy(p, httptestutil.ProxyOptions{})
		p.get(p.use(&http.Transport{
			Proxy:                  http.ProxyURL(proxy.URL()),
			OnProxyConnectResponse: func(context.Context, *url.URL, *http.Request, *http.Response) error { return errOfTheCaller },
		}), origin.URL())
	}
	compare(t, table)
}

// hangUp is a script that reads once, says something, and closes the connection in order. It reads what the client sends
// later, because the kernel resets a connection that is closed with bytes unread.
func hangUp(answer string) httptestutil.Script {
	return func(c *httptestutil.WireConn) {
		_, _ = c.Read(make([]byte, 64<<10))
		c.Write(answer)
		c.CloseWrite()
		_ = c.WaitClosed()
	}
}

// reset is a script that reads once and resets the connection.
func reset(c *httptestutil.WireConn) {
	_, _ = c.Conn().Read(make([]byte, 64<<10))
	c.Reset()
}
