package peerpool

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/nettest"
)

// secureOrigin starts an origin with TLS.
func secureOrigin(t *testing.T) *httptestutil.Origin {
	t.Helper()
	return httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
}

// through returns a Transport that trusts o and goes through the proxy of that URL.
func through(t *testing.T, o *httptestutil.Origin, proxy *url.URL) *Transport {
	t.Helper()
	return peerTransport(t, &Transport{TLSClientConfig: o.ClientTLS(), Proxy: peerProxy(proxy)})
}

func TestAProxyGetsItsOwnCredentialsAndNobodyElseDoes(t *testing.T) {
	plain, secure := httptestutil.NewOrigin(t, httptestutil.OriginOptions{}), secureOrigin(t)
	credentials := httptestutil.ProxyOptions{Username: "user", Password: "pass:w\u00f6rd %20"}
	for p, connections := range map[*httptestutil.Proxy]int{
		httptestutil.NewHTTPProxy(t, credentials):   3,
		httptestutil.NewSOCKS5Proxy(t, credentials): 2, // to which the first and the last are the same
	} {
		tr := through(t, secure, p.URL())
		tr.ProxyConnectHeader = http.Header{"X-Tenant": {"a"}}
		for _, c := range []struct {
			o    *httptestutil.Origin
			peer *Peer
		}{
			{plain, nil}, // names its target, unless it is SOCKS
			{secure, nil},
			{plain, peerNew(t, PeerOptions{Addr: plain.Addr()})}, // a tunnel
		} {
			seen := peerGet(t, tr, c.o.URL(), c.peer)
			for _, name := range []string{"Proxy-Authorization", "Proxy-Connection", "X-Tenant"} {
				if seen.Header[name] != nil {
					t.Errorf("%s got %s: %q", c.o.URL(), name, seen.Header[name])
				}
			}
		}
		for i, asked := range p.Asked() {
			if asked.Username != credentials.Username || asked.Password != credentials.Password || !asked.Granted {
				t.Errorf("request %d came with %q and %q", i, asked.Username, asked.Password)
			}
		}
		if n := len(p.Asked()); n != connections {
			t.Errorf("the proxy was asked %d times, want %d", n, connections)
		}
	}
	direct := peerTransport(t, &Transport{})
	if seen := peerGet(t, direct, plain.URL(), nil); seen.Header["Proxy-Authorization"] != nil {
		t.Error("a server that is not a proxy got credentials for a proxy")
	}
}

func TestEachRequestThatNamesItsTargetCarriesTheCredentials(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	p := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{Username: "user", Password: "password"})
	tr := through(t, o, p.URL())
	for range 3 {
		req := peerRequest(t, o.URL(), nil)
		peerSend(t, tr, req)
		if len(req.Header) != 0 {
			t.Errorf("the request of the caller has been changed: %v", req.Header)
		}
	}
	if p.Granted() != 3 || p.Conns() != 1 {
		t.Errorf("%d requests were granted on %d connections, want 3 on 1", p.Granted(), p.Conns())
	}
}

func TestTheAnswerOfAProxyToARequestThatNamesItsTargetIsTheResponse(t *testing.T) {
	p := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{Username: "user", Password: "password"})
	tr := peerTransport(t, &Transport{Proxy: peerProxy(p.URLAs("user", "wrong"))})
	resp, err := tr.RoundTrip(peerRequest(t, "http://example.test", nil))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusProxyAuthRequired {
		t.Errorf("got %s, want 407", resp.Status)
	}
}

// TestARefusalOfAProxyReadsAsWithNetHTTP compares the texts.
func TestARefusalOfAProxyReadsAsWithNetHTTP(t *testing.T) {
	refusing := func(f httptestutil.Fault) *url.URL {
		p := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
		p.SetFault(f)
		return p.URL()
	}
	socks := httptestutil.NewSOCKS5Proxy(t, httptestutil.ProxyOptions{})
	socks.SetFault(httptestutil.FaultRefuseSOCKS(5))
	for name, c := range map[string]struct {
		proxy *url.URL
		op    string
		want  string // "": only as with net/http
	}{
		"407":               {refusing(httptestutil.FaultRefuse(407)), "proxy", "Proxy Authentication Required"},
		"502":               {refusing(httptestutil.FaultRefuse(502)), "proxy", "Bad Gateway"},
		"a text of its own": {refusing(httptestutil.Fault{Answer: "HTTP/1.1 403 Not Today\r\nContent-Length: 0\r\n\r\n"}), "proxy", "Not Today"},
		"SOCKS":             {socks.URL(), "proxy", ""},
		"is not there":      {&url.URL{Scheme: "http", Host: nettest.RefusingAddr(t)}, "connect", ""},
		"speaks no TLS":     {&url.URL{Scheme: "https", Host: httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{}).Addr()}, "proxy", ""},
	} {
		t.Run(name, func(t *testing.T) {
			const target = "https://127.0.0.1:9"
			tr := peerTransport(t, &Transport{Proxy: peerProxy(c.proxy)})
			err := peerFail(t, tr, target, nil)
			peerWantHop(t, err, c.op)
			theirs := peerFail(t, &http.Transport{Proxy: peerProxy(c.proxy)}, target, nil)
			if peerUnported(err) != peerUnported(theirs) || c.want != "" && err.Error() != c.want {
				t.Errorf("got %q, net/http says %q", err, theirs)
			}
		})
	}
}

func TestAProxyThatAnswersWronglyFailsItsHopAndItsConnectionIsClosed(t *testing.T) {
	httptestutil.CheckLeaks(t)
	o := secureOrigin(t)
	granted := "HTTP/1.1 200 OK\r\n\r\n"
	for name, fault := range map[string]httptestutil.Fault{
		"garbage":                 httptestutil.FaultGarbage(),
		"nothing":                 {},
		"a reset":                 {Then: httptestutil.EndReset},
		"an endless head":         {Answer: "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20)},
		"half a head":             {Answer: "HTTP/1.1 200 OK\r\nX: "},
		"switching protocols":     {Answer: "HTTP/1.1 101 Switching Protocols\r\n\r\n", Then: httptestutil.EndStall},
		"a target that speaks up": httptestutil.FaultExtra("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
		"a grant, and closes":     {Answer: granted},
	} {
		t.Run(name, func(t *testing.T) {
			p := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
			p.SetFault(fault)
			tr := through(t, o, p.URL())
			tr.MaxResponseHeaderBytes = 64 << 10
			body := &closeCounter{Reader: strings.NewReader("body")}
			req := peerRequest(t, o.URL(), nil)
			req.Method, req.Body, req.ContentLength = http.MethodPost, body, 4
			err := peerTryReported(tr, req)
			op := "proxy"
			if fault.Answer == granted {
				op = "tls"
			}
			peerWantHop(t, err, op)
			if body.closed != 1 {
				t.Errorf("the body was closed %d times", body.closed)
			}
			if fault.Then != httptestutil.EndStall {
				p.WaitOpenConns(0)
			}
			p.Heal()
			peerGet(t, tr, o.URL(), nil)
		})
	}
}

func TestARequestNeedNotWaitForAProxyThatStalls(t *testing.T) {
	for name, start := range map[string]func(testing.TB, httptestutil.ProxyOptions) *httptestutil.Proxy{
		"HTTP": httptestutil.NewHTTPProxy, "SOCKS": httptestutil.NewSOCKS5Proxy,
	} {
		t.Run(name, func(t *testing.T) {
			httptestutil.CheckLeaks(t)
			o := secureOrigin(t)
			p := start(t, httptestutil.ProxyOptions{})
			p.SetFault(httptestutil.FaultStall())
			tr := through(t, o, p.URL())
			ctx, cancel := context.WithCancelCause(t.Context())
			cause := errors.New("enough")
			got := make(chan error, 1)
			go func() { got <- peerTry(tr, peerRequest(t, o.URL(), nil).WithContext(ctx)) }()
			p.WaitAsked(1)
			cancel(cause)
			if err := peerReceive(t, got, "the request returns"); !errors.Is(err, cause) {
				t.Errorf("got %v, want the cause of the context", err)
			}
			// The dial goes on for later requests. Only the end of the Transport ends it early.
			if s := tr.Stats(); s.Dialing != 1 || s.Waiting != 0 {
				t.Errorf("%d dials are under way, and %d requests wait", s.Dialing, s.Waiting)
			}
			if err := tr.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			if s := tr.Stats(); s.Dialing+s.Active+s.Idle != 0 {
				t.Errorf("after Shutdown the statistics are %+v", s)
			}
		})
	}
}

func TestTheResponseOfAProxyIsShownBeforeItIsJudged(t *testing.T) {
	o := secureOrigin(t)
	veto := errors.New("not through this one")
	for name, c := range map[string]struct {
		status int
		err    error
	}{"grant": {200, nil}, "grant, with a veto": {200, veto}, "refusal": {407, nil}, "refusal, with a veto": {407, veto}} {
		t.Run(name, func(t *testing.T) {
			p := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{Username: "user", Password: "password"})
			u := p.URL()
			if c.status == 407 {
				u = p.URLAs("user", "wrong")
			}
			tr := through(t, o, u)
			shown := 0
			tr.OnProxyConnectResponse = func(_ context.Context, proxy *url.URL, req *http.Request, resp *http.Response) error {
				shown++
				if proxy.Host != p.Addr() || req.Method != http.MethodConnect || req.Host != o.Addr() || resp.StatusCode != c.status {
					t.Errorf("shown %v of %v, for %s %s", resp.Status, proxy.Host, req.Method, req.Host)
				}
				return c.err
			}
			err := peerTry(tr, peerRequest(t, o.URL(), nil))
			if shown != 1 || (err == nil) != (c.status == 200 && c.err == nil) || c.err != nil && !errors.Is(err, veto) {
				t.Errorf("shown %d times, then %v", shown, err)
			}
		})
	}
}

func TestGetProxyConnectHeaderIsAskedForTunnelsOnly(t *testing.T) {
	plain, secure := httptestutil.NewOrigin(t, httptestutil.OriginOptions{}), secureOrigin(t)
	p := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
	var targets []string
	tr := through(t, secure, p.URL())
	tr.ProxyConnectHeader = http.Header{"X-Unused": {"1"}}
	tr.GetProxyConnectHeader = func(_ context.Context, proxy *url.URL, target string) (http.Header, error) {
		if proxy.Host != p.Addr() {
			t.Errorf("asked for proxy %s", proxy)
		}
		targets = append(targets, target)
		return http.Header{"X-Target": {target}}, nil
	}
	peerGet(t, tr, plain.URL(), nil)
	peerGet(t, tr, secure.URL(), nil)
	peerGet(t, tr, "http://example.test", peerNew(t, PeerOptions{Addr: plain.Addr()}))
	want := []string{secure.Addr(), plain.Addr()}
	if strings.Join(targets, " ") != strings.Join(want, " ") {
		t.Errorf("asked for %q, want %q", targets, want)
	}
	for _, asked := range p.Asked() {
		if asked.Method == http.MethodConnect && (asked.Header.Get("X-Target") != asked.Target || asked.Header["X-Unused"] != nil) {
			t.Errorf("CONNECT %s came with %v", asked.Target, asked.Header)
		}
	}
}

func TestARequestWhoseProxyCannotBeDeterminedFails(t *testing.T) {
	broken := errors.New("no proxy file")
	fails := func(*http.Request) (*url.URL, error) { return nil, broken }
	noHeader := func(context.Context, *url.URL, string) (http.Header, error) { return nil, broken }
	good := &url.URL{Scheme: "http", Host: "192.0.2.1:3128"}
	for name, c := range map[string]struct {
		tr   *Transport
		want string
	}{
		"Proxy fails":           {&Transport{Proxy: fails}, "no proxy file"},
		"its header fails":      {&Transport{Proxy: peerProxy(good), GetProxyConnectHeader: noHeader}, "no proxy file"},
		"scheme of no kind":     {&Transport{Proxy: peerProxy(&url.URL{Scheme: "gopher", Host: "a.test"})}, `unsupported proxy scheme "gopher"`},
		"scheme of an old kind": {&Transport{Proxy: peerProxy(&url.URL{Scheme: "socks4", Host: "a.test"})}, `unsupported proxy scheme "socks4"`},
		"no scheme":             {&Transport{Proxy: peerProxy(&url.URL{Path: "a.test"})}, `unsupported proxy scheme ""`},
		"no host":               {&Transport{Proxy: peerProxy(&url.URL{Scheme: "http"})}, "the proxy's URL has no host"},
	} {
		body := &closeCounter{Reader: strings.NewReader("body")}
		req := peerRequest(t, "https://example.test", nil)
		req.Method, req.Body, req.ContentLength = http.MethodPost, body, 4
		err := peerTry(peerTransport(t, c.tr), req)
		if err == nil || !strings.Contains(err.Error(), c.want) || body.closed != 1 {
			t.Errorf("%s: got %v, and the body was closed %d times", name, err, body.closed)
		}
		wantNoRoutes(t, c.tr)
	}
}

func TestASocketOfThePeerIsNotReachedThroughTheProxyOfTheTransport(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Network: "unix"})
	tr := peerTransport(t, &Transport{Proxy: func(*http.Request) (*url.URL, error) {
		t.Error("Proxy was asked")
		return nil, nil
	}})
	peerGet(t, tr, "http://example.test", peerNew(t, PeerOptions{Addr: "unix:" + o.Addr()}))
}

func TestTheProxyOfAPeerReplacesThatOfTheTransport(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	p := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
	tr := peerTransport(t, &Transport{Proxy: func(*http.Request) (*url.URL, error) {
		t.Error("Proxy was asked")
		return nil, nil
	}})
	peerGet(t, tr, o.URL(), peerNew(t, PeerOptions{Proxy: p.URL()}))
	if p.Granted() != 1 {
		t.Errorf("the proxy granted %d requests", p.Granted())
	}
}

func TestAPeerWithoutAProxyIsReachedDirectly(t *testing.T) {
	plain, secure := httptestutil.NewOrigin(t, httptestutil.OriginOptions{}), secureOrigin(t)
	tr := peerTransport(t, &Transport{TLSClientConfig: secure.ClientTLS(), Proxy: func(*http.Request) (*url.URL, error) {
		t.Error("Proxy was asked")
		return nil, errors.New("no proxy file")
	}})
	direct := peerNew(t, PeerOptions{NoProxy: true})
	for _, o := range []*httptestutil.Origin{plain, secure} {
		peerGet(t, tr, o.URL(), direct)
		peerGet(t, tr, "http://example.test", peerNew(t, PeerOptions{NoProxy: true, Addr: plain.Addr()}))
	}
	for _, id := range peerKeys(tr) {
		if id.Proxy() != "" || id.Target() != "" {
			t.Errorf("the identity %v has a proxy", id)
		}
	}
}

// This holds for http and https URLs, and for proxies of the Transport and of a peer.
func TestAProxyConnectsToTheAddrOfAPeer(t *testing.T) {
	plain, secure := httptestutil.NewOrigin(t, httptestutil.OriginOptions{}), secureOrigin(t)
	for kind, start := range map[string]func(testing.TB, httptestutil.ProxyOptions) *httptestutil.Proxy{
		"HTTP": httptestutil.NewHTTPProxy, "SOCKS": httptestutil.NewSOCKS5Proxy,
	} {
		for _, c := range []struct {
			o   *httptestutil.Origin
			url string
		}{{plain, "http://elsewhere.test/path"}, {secure, "https://elsewhere.test/path"}} {
			for _, ofPeer := range []bool{false, true} {
				p := start(t, httptestutil.ProxyOptions{})
				tr := peerTransport(t, &Transport{TLSClientConfig: c.o.ClientTLS()})
				opts := PeerOptions{Addr: c.o.Addr(), ServerName: "localhost"}
				if ofPeer {
					opts.Proxy = p.URL()
				} else {
					tr.Proxy = peerProxy(p.URL())
				}
				seen := peerGet(t, tr, c.url, peerNew(t, opts))
				asked := p.Asked()
				if len(asked) != 1 || asked[0].Target != c.o.Addr() || seen.Host != "elsewhere.test" {
					t.Errorf("%s, %s, of the peer: %v: the proxy was asked for %+v, the server for %s", kind, c.url, ofPeer, asked, seen.Host)
				}
			}
		}
	}
}

// TestAProxyWithANameIsResolvedByEachDial is for the race detector too: the dials of one route run at the same
// time.
func TestAProxyWithANameIsResolvedByEachDial(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
	p := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
	u := *p.URL()
	u.Host = net.JoinHostPort("proxy.test", u.Port())
	tr := peerTransport(t, &Transport{
		TLSClientConfig: o.ClientTLS(), Proxy: peerProxy(&u), Resolver: peerLoopback(t, "proxy.test"),
		DisableKeepAlives: true,
	})
	peerGet(t, tr, o.URL(), nil) // all that follow know the route
	const requests = 16
	var ends [requests]<-chan error
	for i := range ends {
		ends[i] = peerAsync(tr, peerRequest(t, o.URL(), nil))
	}
	for _, ended := range ends {
		if err := peerReceive(t, ended, "every request has ended"); err != nil {
			t.Error(err)
		}
	}
	if n := p.Conns(); n != requests+1 {
		t.Errorf("%d connections to the proxy, want %d", n, requests+1)
	}
}
