package httptestutil_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

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
