package httptestutil_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// through makes a transport use a proxy.
func through(proxy *url.URL) func(*http.Transport) {
	return func(tr *http.Transport) { tr.Proxy = http.ProxyURL(proxy) }
}

// kinds are the two protocols of proxies that open tunnels.
var kinds = map[string]func(testing.TB, httptestutil.ProxyOptions) *httptestutil.Proxy{
	"http":   httptestutil.NewHTTPProxy,
	"socks5": httptestutil.NewSOCKS5Proxy,
}

func TestATunnelCarriesTLSAndIsRecorded(t *testing.T) {
	for kind, newProxy := range kinds {
		t.Run(kind, func(t *testing.T) {
			httptestutil.CheckLeaks(t)
			o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
			p := newProxy(t, httptestutil.ProxyOptions{})
			client := newClient(t, o.ClientTLS(), through(p.URL()))
			wantEqual(t, "seq", getIdle(t, client, o.URL()).Seq, 1)
			wantEqual(t, "seq", getIdle(t, client, o.URL()).Seq, 2)

			asked := p.Asked()
			wantEqual(t, "asked", len(asked), 1)
			wantEqual(t, "conn", asked[0].Conn, 1)
			wantEqual(t, "method", asked[0].Method, "CONNECT")
			wantEqual(t, "target", asked[0].Target, o.Addr())
			wantEqual(t, "by name", asked[0].ByName, false)
			wantEqual(t, "granted", p.Granted(), 1)

			client.CloseIdleConnections()
			p.WaitOpenConns(0)
			o.WaitOpenConns(0)
		})
	}
}

func TestANameReachesTheProxyAsAName(t *testing.T) {
	for kind, newProxy := range kinds {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
		p := newProxy(t, httptestutil.ProxyOptions{Dial: o.Dial})
		client := newClient(t, o.ClientTLS(), through(p.URL()))
		seen := echo(t, client, "https://example.test/")
		wantEqual(t, kind+": SNI", seen.SNI, "example.test")
		wantEqual(t, kind+": target", p.Asked()[0].Target, "example.test:443")
		wantEqual(t, kind+": by name", p.Asked()[0].ByName, true)
	}
}

func TestAnIPv6TargetReachesTheOrigin(t *testing.T) {
	for kind, newProxy := range kinds {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{
			CA: httptestutil.NewCA(t), Network: "tcp6",
		})
		p := newProxy(t, httptestutil.ProxyOptions{})
		client := newClient(t, o.ClientTLS(), through(p.URL()))
		wantEqual(t, kind+": conn", echo(t, client, o.URL()).Conn, 1)
		wantEqual(t, kind+": target", p.Asked()[0].Target, o.Addr())
		wantEqual(t, kind+": by name", p.Asked()[0].ByName, false)
	}
}

func TestAProxyAsksForItsCredentialsAndRecordsThoseItGets(t *testing.T) {
	for kind, newProxy := range kinds {
		t.Run(kind, func(t *testing.T) {
			httptestutil.CheckLeaks(t)
			o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
			p := newProxy(t, httptestutil.ProxyOptions{Username: "user", Password: "secret"})
			for i, c := range []struct {
				proxy *url.URL
				ok    bool
			}{
				{p.URL(), true},
				{p.URLAs("user", "guess"), false},
				{&url.URL{Scheme: p.URL().Scheme, Host: p.Addr()}, false},
			} {
				_, _, err := tryGet(t, newClient(t, o.ClientTLS(), through(c.proxy)), o.URL())
				if (err == nil) != c.ok {
					t.Errorf("with %v: error %v", c.proxy, err)
				}
				asked := p.Asked()
				wantEqual(t, "asked", len(asked), i+1)
				wantEqual(t, "granted", asked[i].Granted, c.ok)
				password, _ := c.proxy.User.Password()
				wantEqual(t, "username", asked[i].Username, c.proxy.User.Username())
				wantEqual(t, "password", asked[i].Password, password)
			}
			wantEqual(t, "connections at the origin", o.Conns(), 1)
		})
	}
}

func TestAnHTTPProxyForwardsAbsoluteFormOverOneConnectionPerClients(t *testing.T) {
	httptestutil.CheckLeaks(t)
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	p := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{Username: "user", Password: "secret"})
	for conn := 1; conn <= 2; conn++ {
		client := newClient(t, nil, through(p.URL()))
		for seq := 1; seq <= 2; seq++ {
			seen := getIdle(t, client, o.URL()+"/path?q")
			wantEqual(t, "conn at the origin", seen.Conn, conn)
			wantEqual(t, "seq at the origin", seen.Seq, seq)
			wantEqual(t, "target", seen.Target, "/path?q")
			wantEqual(t, "credentials passed on", seen.Header.Get("Proxy-Authorization"), "")
		}
		client.CloseIdleConnections()
		o.WaitOpenConns(0)
	}
	asked := p.Asked()
	wantEqual(t, "asked", len(asked), 4)
	wantEqual(t, "conn at the proxy", asked[3].Conn, 2)
	wantEqual(t, "target at the proxy", asked[3].Target, o.URL()+"/path?q")
	wantEqual(t, "password", asked[3].Password, "secret")
	wantEqual(t, "by name", asked[3].ByName, false)
}

func TestAnHTTPProxyForwardsBodiesBothWays(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			sent, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			w.WriteHeader(http.StatusAccepted)
			for range 3 {
				if err := http.NewResponseController(w).Flush(); err != nil {
					t.Error(err)
				}
				if _, err := io.WriteString(w, "part "); err != nil {
					t.Error(err)
				}
			}
			if _, err := w.Write(sent); err != nil {
				t.Error(err)
			}
		}),
	})
	p := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
	client := newClient(t, nil, through(p.URL()))
	req, err := http.NewRequest(http.MethodPut, o.URL(), strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "status", resp.StatusCode, http.StatusAccepted)
	wantEqual(t, "body", string(body), "part part part body")

	head, err := client.Head(o.URL())
	if err != nil {
		t.Fatal(err)
	}
	head.Body.Close()
	wantEqual(t, "status of a HEAD", head.StatusCode, http.StatusAccepted)
}

func TestAnHTTPSProxySeesTheClientsCertificate(t *testing.T) {
	httptestutil.CheckLeaks(t)
	ca := httptestutil.NewCA(t)
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: ca})
	p := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{
		CA: ca, TLS: &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert},
	})
	cfg := &tls.Config{RootCAs: ca.Pool(), Certificates: []tls.Certificate{ca.Client("tenant-a")}}
	client := newClient(t, cfg, through(p.URL()))
	wantEqual(t, "scheme", p.URL().Scheme, "https")
	wantEqual(t, "conn", echo(t, client, o.URL()).Conn, 1)
	wantEqual(t, "certificate", p.Asked()[0].ClientCN, "tenant-a")
}

func TestAProxyRefusesWhatItCannotReach(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
	o.Stop()
	for kind, want := range map[string]string{"http": "Bad Gateway", "socks5": "host unreachable"} {
		p := kinds[kind](t, httptestutil.ProxyOptions{})
		_, _, err := tryGet(t, newClient(t, o.ClientTLS(), through(p.URL())), o.URL())
		wantError(t, err, want)
		wantEqual(t, "granted", p.Granted(), 0)
		wantEqual(t, "asked", len(p.Asked()), 1)
	}
}

func TestClosingAProxysConnectionsEndsItsTunnels(t *testing.T) {
	for _, newProxy := range kinds {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
		p := newProxy(t, httptestutil.ProxyOptions{})
		client := newClient(t, o.ClientTLS(), through(p.URL()))
		getIdle(t, client, o.URL())
		p.CloseConns()
		o.WaitOpenConns(0)
		wantEqual(t, "conn", getIdle(t, client, o.URL()).Conn, 2)
	}
}

func TestATunnelPassesOnAHalfCloseAndEndsAfterBoth(t *testing.T) {
	httptestutil.CheckLeaks(t)
	w := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
		c.WaitClosed()
		c.Write("after the end")
	})
	p := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
	nc := dial(t, p.Addr())
	write(t, nc, "CONNECT "+w.Addr()+" HTTP/1.1\r\nHost: x\r\n\r\n")
	if err := nc.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(nc)
	if err != nil || !strings.HasSuffix(string(all), "\r\n\r\nafter the end") {
		t.Errorf("got %q, %v", all, err)
	}
}

func TestAProxyOnAListenerInMemoryCarriesConnections(t *testing.T) {
	back, front := httptestutil.NewListener(0), httptestutil.NewListener(0)
	httptestutil.NewOrigin(t, httptestutil.OriginOptions{Listener: back})
	p := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{Listener: front, Dial: back.Dial})
	client := newClient(t, nil, func(tr *http.Transport) {
		tr.DialContext = front.Dial
		tr.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: net.JoinHostPort("proxy.test", "80")})
	})
	wantEqual(t, "conn", echo(t, client, "http://example.test/").Conn, 1)
	wantEqual(t, "target", p.Asked()[0].Target, "http://example.test/")
	wantEqual(t, "by name", p.Asked()[0].ByName, true)
}
