package peerpool

import (
	"context"
	"crypto/ecdsa"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/nettest"
)

func TestAnIdentityDescribesItselfInOneShortLine(t *testing.T) {
	full := Identity{
		network: "tcp", address: "192.0.2.1:3128", scheme: "https", serverName: "a.test", alternativeName: "b.test",
		certificate: [32]byte{0xca, 0xfe, 0, 1, 2}, proxy: "http://192.0.2.1:3128", proxySecret: [32]byte{0xbe, 0xef},
		target: "a.test:443", local: "127.0.0.2", group: "tenant",
	}
	for _, c := range []struct {
		id   Identity
		want string
	}{
		{Identity{}, "://"},
		{Identity{network: "tcp", address: "192.0.2.1:80", scheme: "http"}, "http://192.0.2.1:80"},
		{Identity{network: "tcp", address: "[fe80::1%eth0]:80", scheme: "http"}, "http://[fe80::1%eth0]:80"},
		{Identity{network: "unix", address: "/run/x", scheme: "http"}, "unix:http:///run/x"},
		{Identity{network: "tcp", address: "192.0.2.1:443", scheme: "https", serverName: "a.test", skipVerify: true},
			"https://192.0.2.1:443 sni=a.test insecure"},
		{Identity{network: "tcp", address: "192.0.2.1:443", scheme: "https", serverName: "a.test", skipHostname: true},
			"https://192.0.2.1:443 sni=a.test any-name"},
		{Identity{network: "unix", address: "/run/a b", scheme: "http"}, `unix:http://"/run/a b"`},
		{Identity{address: "192.0.2.1:80", scheme: "http", group: "a cert=5f2b01c9"}, `http://192.0.2.1:80 group="a cert=5f2b01c9"`},
		{Identity{address: "192.0.2.1:80", scheme: "http", group: `"`}, `http://192.0.2.1:80 group="\""`},
		{Identity{address: "192.0.2.1:80", scheme: "http", group: `a\nb`}, `http://192.0.2.1:80 group="a\\nb"`},
		{Identity{address: "a", scheme: "https", serverName: "b\nhttps://c"}, `https://a sni="b\nhttps://c"`},
		{Identity{address: "a", scheme: "https", serverName: "\u202e\u200b"}, `https://a sni="\u202e\u200b"`},
		{Identity{address: "a", scheme: "http", group: "übermut/1,2"}, "http://a group=übermut/1,2"},
		{full, "https://192.0.2.1:3128 via=http://192.0.2.1:3128 target=a.test:443 sni=a.test alt=b.test " +
			"cert=cafe0001 local=127.0.0.2 group=tenant"},
	} {
		if got := c.id.String(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func TestAnIdentityTellsItsPublicParts(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
	p := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{Username: "user", Password: "password"})
	tr := peerTransport(t, &Transport{TLSClientConfig: o.ClientTLS()})
	peerGet(t, tr, o.URL(), peerNew(t, PeerOptions{Proxy: p.URL(), ServerName: "a.example.test", Group: "g"}))

	ids := peerKeys(tr)
	if len(ids) != 1 {
		t.Fatalf("the pool knows %v, want one identity", ids)
	}
	id := ids[0]
	for _, c := range []struct{ what, got, want string }{
		{"network", id.Network(), "tcp"},
		{"address", id.Address(), p.Addr()},
		{"scheme", id.Scheme(), "https"},
		{"server name", id.ServerName(), "a.example.test"},
		{"proxy", id.Proxy(), "http://" + p.Addr()},
		{"target", id.Target(), o.Addr()},
		{"group", id.Group(), "g"},
	} {
		if c.got != c.want {
			t.Errorf("the %s is %q, want %q", c.what, c.got, c.want)
		}
	}
}

func TestTwoTransportsDescribeTheSamePeerAlike(t *testing.T) {
	o, ca := mutualOrigin(t)
	cert := ca.Client("a")
	var texts []string
	for range 2 {
		tr := peerTransport(t, &Transport{TLSClientConfig: o.ClientTLS()})
		peerGet(t, tr, o.URL(), peerNew(t, PeerOptions{ClientCertificate: &cert, AlternativeName: "example.test"}))
		texts = append(texts, peerKeys(tr)[0].String())
	}
	if texts[0] != texts[1] || !strings.Contains(texts[0], " cert=") {
		t.Errorf("got %q and %q, want one text that tells the certificate", texts[0], texts[1])
	}
}

// transcript notes down all that a Transport says about itself.
type transcript struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (s *transcript) note(values ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range values {
		fmt.Fprintf(&s.text, "%v\n%+v\n%s\n", v, v, v)
	}
}

func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func (s *transcript) observer() *Observer {
	return &Observer{
		AcquireDone:  func(_ context.Context, e AcquireDone) { s.note(e, e.Identity) },
		DialDone:     func(_ context.Context, e DialDone) { s.note(e, e.Identity) },
		RequestRetry: func(_ context.Context, e RequestRetry) { s.note(e) },
		AttemptDone:  func(_ context.Context, e AttemptDone) { s.note(e) },
		ConnClosed:   func(e ConnClosed) { s.note(e) },
	}
}

const secretMarker = "S3cretMarker"

// secretiveProxies returns proxies that fail in every way, each with the credentials that must not show.
func secretiveProxies(t *testing.T) map[string]*url.URL {
	t.Helper()
	faulty := func(f httptestutil.Fault) *url.URL {
		p := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
		p.SetFault(f)
		return p.URLAs("user", secretMarker)
	}
	strict := httptestutil.ProxyOptions{Username: "user", Password: "another"}
	socks := httptestutil.NewSOCKS5Proxy(t, strict)
	refusing := httptestutil.NewSOCKS5Proxy(t, httptestutil.ProxyOptions{})
	refusing.SetFault(httptestutil.FaultRefuseSOCKS(2))
	user := url.UserPassword("user", secretMarker)
	return map[string]*url.URL{
		"works":           httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{}).URLAs("user", secretMarker),
		"refuses":         httptestutil.NewHTTPProxy(t, strict).URLAs("user", secretMarker),
		"answers garbage": faulty(httptestutil.FaultGarbage()),
		"echoes":          faulty(httptestutil.Fault{Answer: "HTTP/1.1 500 \r\n\r\n"}),
		"closes":          faulty(httptestutil.Fault{}),
		"SOCKS, refuses":  socks.URLAs("user", secretMarker),
		"SOCKS, rules":    refusing.URLAs("user", secretMarker),
		"is not there":    {Scheme: "http", User: user, Host: nettest.RefusingAddr(t)},
		"speaks no TLS":   {Scheme: "https", User: user, Host: httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{}).Addr()},
		"has no name":     {Scheme: "http", User: user, Host: "nowhere.invalid:1"},
		"has no host":     {Scheme: "http", User: user},
		"is of no kind":   {Scheme: "gopher", User: user, Host: "127.0.0.1:70"},
		"has a bad host":  {Scheme: "http", User: user, Host: "a\u200cb.\u00a1:1"},
	}
}

func TestNoSecretShowsInWhatATransportSays(t *testing.T) {
	secure := httptestutil.NewOrigin(t, httptestutil.OriginOptions{TLS: peerAsksForCert()})
	plain := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	cert := secure.CA().Client("a")
	header := http.Header{"X-Token": {secretMarker}}
	said := &transcript{}
	for name, proxy := range secretiveProxies(t) {
		tr := peerTransport(t, &Transport{
			TLSClientConfig:    secure.ClientTLS(),
			Proxy:              peerProxy(proxy),
			ProxyConnectHeader: header,
			Observer:           said.observer(),
			Resolver:           &httptestutil.Resolver{},
		})
		peer, err := NewPeer(PeerOptions{ClientCertificate: &cert, Proxy: proxy})
		said.note(err)
		for _, target := range []string{plain.URL(), secure.URL()} {
			req := peerRequest(t, target, peer)
			req.URL.User = url.UserPassword("user", secretMarker)
			client := &http.Client{Transport: tr}
			resp, err := client.Do(req)
			said.note(name, err, tr.Stats())
			if err == nil {
				_, err = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				said.note(err)
			}
		}
		said.note(tr.Stats(), peerKeys(tr))
	}
	key, err := cert.PrivateKey.(*ecdsa.PrivateKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	for what, secret := range map[string]string{
		"credentials":          secretMarker,
		"credentials, encoded": "dXNlcjpTM2NyZXRNYXJrZXI",
		"key, as a number":     new(big.Int).SetBytes(key).String(),
		"key, as bytes":        strings.Trim(fmt.Sprint(key), "[]"),
		"key, as digits":       fmt.Sprintf("%x", key),
	} {
		if i := strings.Index(said.String(), secret); i >= 0 {
			t.Errorf("%s: the Transport said %.200q", what, said.String()[max(0, i-100):])
		}
	}
	if !strings.Contains(said.String(), "Proxy Authentication Required") {
		t.Error("the proxies have not been asked at all")
	}
}

func TestABadHeaderIsRefusedWithoutItsValue(t *testing.T) {
	p := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
	tr := peerTransport(t, &Transport{
		Proxy:              peerProxy(p.URL()),
		ProxyConnectHeader: http.Header{"X-Token": {secretMarker + "\r\nX-More: 1"}},
	})
	err := peerFail(t, tr, "https://example.test", nil)
	if !strings.Contains(err.Error(), "X-Token") || strings.Contains(err.Error(), secretMarker) {
		t.Errorf("got %q, want an error that names the field and not its value", err)
	}
	if n := len(p.Asked()); n > 0 {
		t.Errorf("the proxy was asked %d times", n)
	}
}

func TestCredentialsInTheURLOfARequestStayHere(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	p := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
	tr := peerTransport(t, &Transport{Proxy: peerProxy(p.URL())})
	req := peerRequest(t, o.URL()+"/path", nil)
	req.URL.User = url.UserPassword("user", secretMarker)
	peerSend(t, tr, req)
	if asked := p.Asked()[0]; asked.Target != o.URL()+"/path" {
		t.Errorf("the proxy was asked for %q", asked.Target)
	}
}
