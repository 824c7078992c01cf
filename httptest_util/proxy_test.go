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

func TestAFaultReachesTheClientUntilTheProxyIsHealed(t *testing.T) {
	for name, c := range map[string]struct {
		kind  string
		fault httptestutil.Fault
		want  string
	}{
		"http refuses":       {"http", httptestutil.FaultRefuse(503), "Service Unavailable"},
		"http garbage":       {"http", httptestutil.FaultGarbage(), "malformed HTTP"},
		"http closes":        {"http", httptestutil.Fault{}, "EOF"},
		"http closes early":  {"http", httptestutil.Fault{Early: true}, ""},
		"http resets":        {"http", httptestutil.Fault{Then: httptestutil.EndReset}, ""},
		"http other answer":  {"http", httptestutil.Fault{Answer: "HTTP/1.1 302 Found\r\n\r\n", Then: httptestutil.EndTunnel}, "Found"},
		"socks5 refuses":     {"socks5", httptestutil.FaultRefuseSOCKS(2), "not allowed"},
		"socks5 garbage":     {"socks5", httptestutil.FaultGarbage(), "version"},
		"socks5 closes":      {"socks5", httptestutil.Fault{}, "EOF"},
		"socks5 talks early": {"socks5", httptestutil.Fault{Early: true, Answer: "\x05\xff"}, "authentication"},
	} {
		t.Run(name, func(t *testing.T) {
			httptestutil.CheckLeaks(t)
			o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
			p := kinds[c.kind](t, httptestutil.ProxyOptions{})
			client := newClient(t, o.ClientTLS(), through(p.URL()))
			p.SetFault(c.fault)
			_, _, err := tryGet(t, client, o.URL())
			wantError(t, err, c.want)
			p.Heal()
			wantEqual(t, "conn after healing", echo(t, client, o.URL()).Seq, 1)
		})
	}
}

func TestARefusedRequestLeavesItsConnectionOpen(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	p := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
	p.SetFault(httptestutil.FaultRefuse(http.StatusForbidden))
	nc := dial(t, p.Addr())
	for range 2 {
		write(t, nc, "GET "+o.URL()+"/ HTTP/1.1\r\nHost: x\r\n\r\n")
		want := httptestutil.ResponseWith(http.StatusForbidden, "Forbidden")
		got := make([]byte, len(want))
		if _, err := io.ReadFull(nc, got); err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "answer", string(got), want)
	}
	wantEqual(t, "connections", p.Conns(), 1)
	wantEqual(t, "requests at the origin", o.Requests(), 0)
}

func TestExtraBytesComeWithTheProxysAnswer(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	p := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
	p.SetFault(httptestutil.FaultExtra("extra"))
	nc := dial(t, p.Addr())
	write(t, nc, "CONNECT "+o.Addr()+" HTTP/1.1\r\nHost: x\r\n\r\n")
	buf := make([]byte, 1000)
	n, err := nc.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(buf[:n]); !strings.HasPrefix(got, "HTTP/1.1 200 ") || !strings.HasSuffix(got, "\r\n\r\nextra") {
		t.Errorf("got %q", got)
	}
	write(t, nc, rawGet)
	if n, err = nc.Read(buf); err != nil || !strings.HasPrefix(string(buf[:n]), "HTTP/1.1 200 OK") {
		t.Errorf("after the extra bytes: %v, %q", err, buf[:n])
	}
	wantEqual(t, "granted", p.Granted(), 1)
}

func TestAStalledProxyLetsGoWhenItIsClosed(t *testing.T) {
	for kind, newProxy := range kinds {
		for _, early := range []bool{true, false} {
			httptestutil.CheckLeaks(t)
			p := newProxy(t, httptestutil.ProxyOptions{})
			p.SetFault(httptestutil.Fault{Early: early, Then: httptestutil.EndStall})
			failed := make(chan error)
			client := newClient(t, nil, through(p.URL()))
			go func() {
				_, _, err := tryGet(t, client, "https://127.0.0.1:9/")
				failed <- err
			}()
			if early {
				p.WaitOpenConns(1)
			} else {
				p.WaitAsked(1)
			}
			select {
			case err := <-failed:
				t.Fatalf("%s: it did not stall: %v", kind, err)
			default:
			}
			p.Close()
			if err := <-failed; err == nil {
				t.Errorf("%s: the request succeeded", kind)
			}
		}
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

func TestASOCKS5ProxyTurnsAwayWhatItDoesNotKnow(t *testing.T) {
	httptestutil.CheckLeaks(t)
	open := httptestutil.NewSOCKS5Proxy(t, httptestutil.ProxyOptions{})
	closed := httptestutil.NewSOCKS5Proxy(t, httptestutil.ProxyOptions{Username: "user"})
	for name, c := range map[string]struct {
		proxy      *httptestutil.Proxy
		sent, want string
	}{
		"another version": {open, "\x04\x01\x00", ""},
		"another method":  {open, "\x05\x01\x01", "\x05\xff"},
		"no credentials":  {closed, "\x05\x01\x00", "\x05\xff"},
		"another command": {open, "\x05\x01\x00\x05\x02\x00\x01\x7f\x00\x00\x01\x00\x50", "\x05\x00\x05\x07\x00\x01\x00\x00\x00\x00\x00\x00"},
		"another address": {open, "\x05\x01\x00\x05\x01\x00\x09", "\x05\x00"},
		"an early end":    {open, "\x05\x01\x00\x05\x01", "\x05\x00"},
	} {
		nc := dial(t, c.proxy.Addr())
		write(t, nc, c.sent)
		if err := nc.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(nc) // unread bytes may make it a reset
		wantEqual(t, name, string(got), c.want)
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
