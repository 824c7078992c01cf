package peerpool

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/nettest"
)

func TestNewPeerAcceptsWhatCanBeMeant(t *testing.T) {
	ca := httptestutil.NewCA(t)
	cert := ca.Client("a")
	zero := time.Duration(0)
	both, onlyH2 := new(http.Protocols), new(http.Protocols)
	onlyH2.SetHTTP2(true)
	both.SetHTTP1(true)
	both.SetHTTP2(true)
	for name, opts := range map[string]PeerOptions{
		"nothing":                     {},
		"an IPv4 address":             {Addr: "192.0.2.1:80"},
		"an IPv6 address":             {Addr: "[2001:db8::1]:80"},
		"an IPv6 address with a zone": {Addr: "[fe80::1%eth0]:80"},
		"a name":                      {Addr: "example.test:65535"},
		"a name with an underscore":   {Addr: "_svc.example.test:80"},
		"a socket":                    {Addr: "unix:/run/server.sock"},
		"a socket of no directory":    {Addr: "unix:@abstract"},
		"an IP address as a name":     {ServerName: "192.0.2.1", AlternativeName: "2001:db8::1"},
		"a name and one more":         {ServerName: "a.test", AlternativeName: "b.test", RootCAs: ca.Pool()},
		"no verification":             {SkipVerify: true},
		"hardly any verification":     {SkipHostnameVerify: true, RootCAs: ca.Pool()},
		"a certificate":               {ClientCertificate: &cert},
		"a proxy":                     {Proxy: &url.URL{Scheme: "socks5h", Host: "192.0.2.1"}},
		"a proxy for an address":      {Proxy: &url.URL{Scheme: "https", Host: "proxy.test:8443"}, Addr: "192.0.2.1:80"},
		"a local address":             {LocalAddr: netip.MustParseAddr("fe80::1%eth0")},
		"a group":                     {Group: "tenant \"1\""},
		"protocols":                   {Protocols: both},
		"HTTP/2 only":                 {Protocols: onlyH2},
		"limits":                      {IdleTimeout: &zero, MaxConnReuse: 1, MaxConnLifetime: 1, MaxConns: 1},
	} {
		if _, err := NewPeer(opts); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// refusedOptions holds what NewPeer refuses, by the field that it is to name.
func refusedOptions(t *testing.T) map[string][]PeerOptions {
	t.Helper()
	ca := httptestutil.NewCA(t)
	cert, other := ca.Client("a"), ca.Client("b")
	negative := time.Duration(-1)
	proxy := &url.URL{Scheme: "http", Host: "proxy.test"}

	refused := map[string][]PeerOptions{
		"SkipVerify": {
			{SkipVerify: true, RootCAs: ca.Pool()},
			{SkipVerify: true, AlternativeName: "a.test"},
		},
		"SkipHostnameVerify": {{SkipHostnameVerify: true, AlternativeName: "a.test"}},
		"ClientCertificate": {
			{ClientCertificate: &tls.Certificate{}},
			{ClientCertificate: &tls.Certificate{PrivateKey: cert.PrivateKey}},
			{ClientCertificate: &tls.Certificate{Certificate: [][]byte{{1, 2, 3}}, PrivateKey: cert.PrivateKey}},
			{ClientCertificate: &tls.Certificate{Certificate: cert.Certificate}},
			{ClientCertificate: &tls.Certificate{Certificate: cert.Certificate, PrivateKey: other.PrivateKey}},
		},
		"Proxy": {
			{Proxy: &url.URL{}},
			{Proxy: &url.URL{Scheme: "ftp", Host: "proxy.test"}},
			{Proxy: &url.URL{Scheme: "socks4", Host: "proxy.test"}},
			{Proxy: &url.URL{Scheme: "http"}},
			{Proxy: &url.URL{Scheme: "http", Host: ":3128"}},
			{Proxy: &url.URL{Scheme: "http", Opaque: "proxy.test:3128"}},
		},
		"NoProxy":         {{Proxy: proxy, NoProxy: true}},
		"IdleTimeout":     {{IdleTimeout: &negative}},
		"MaxConnLifetime": {{MaxConnLifetime: -1}},
		"MaxConnReuse":    {{MaxConnReuse: -1}},
		"MaxConns":        {{MaxConns: -1}},
		"Protocols":       {{Protocols: new(http.Protocols)}},
		"Addr":            {{Addr: "unix:/run/server.sock", Proxy: proxy}},
	}
	for _, group := range []string{"a\nb", "a\r", "\x00", "\x1b[2J", "\x7f", "\u0085", "\u2028", "\u2029", "\xff"} {
		refused["Group"] = append(refused["Group"], PeerOptions{Group: group})
	}
	for _, addr := range []string{
		"x", ":80", "a.test", "a.test:", "a.test:0", "a.test:65536", "a.test:-1", "a.test:http", "[::1]", "::1:80",
		"[a.test]x:80", "a b:80", "user@a.test:80", "http://a.test:80", "a.test/x:80", "a.test%00:80", "a\x00:80", "bücher.test:80",
		"unix:", "unix:/a\x00b",
	} {
		refused["Addr"] = append(refused["Addr"], PeerOptions{Addr: addr})
	}
	for _, name := range []string{"a b", "a.test:443", "https://a.test", "user@a.test", "[::1]", "a\x00", "a.test\r\n", "bücher.test"} {
		refused["ServerName"] = append(refused["ServerName"], PeerOptions{ServerName: name})
		refused["AlternativeName"] = append(refused["AlternativeName"], PeerOptions{AlternativeName: name})
	}
	return refused
}

func TestNewPeerRefusesWhatCannotBeMeantAndNamesTheField(t *testing.T) {
	for field, all := range refusedOptions(t) {
		for _, opts := range all {
			p, err := NewPeer(opts)
			if err == nil || p != nil {
				t.Errorf("%s: NewPeer accepted %+v", field, opts)
				continue
			}
			if !strings.HasPrefix(err.Error(), "peerpool: PeerOptions."+field+": ") {
				t.Errorf("%s: the error does not name the field: %q", field, err)
			}
		}
	}
}

func TestNewPeerNamesEveryFieldThatIsWrong(t *testing.T) {
	_, err := NewPeer(PeerOptions{Addr: "x", ServerName: "a b", MaxConns: -1})
	if err == nil {
		t.Fatal("NewPeer accepted three mistakes")
	}
	for _, field := range []string{"Addr", "ServerName", "MaxConns"} {
		if !strings.Contains(err.Error(), "PeerOptions."+field+": ") {
			t.Errorf("the error does not name %s: %q", field, err)
		}
	}
}

func TestAPeerDoesNotFollowTheOptionsItWasMadeOf(t *testing.T) {
	o, ca := mutualOrigin(t)
	p := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
	a, b := ca.Client("a"), ca.Client("b")
	idle := time.Duration(0)
	opts := PeerOptions{RootCAs: ca.Pool(), ClientCertificate: &a, Proxy: p.URL(), IdleTimeout: &idle}
	opts.Protocols = new(http.Protocols)
	opts.Protocols.SetHTTP1(true)
	peer := peerNew(t, opts)

	*opts.RootCAs = *x509.NewCertPool()
	opts.ClientCertificate.PrivateKey = b.PrivateKey
	opts.ClientCertificate.Certificate[0] = b.Certificate[0]
	opts.ClientCertificate.Leaf = b.Leaf
	opts.Proxy.Host = nettest.RefusingAddr(t)
	opts.Protocols.SetHTTP1(false)
	idle = time.Hour

	tr := peerTransport(t, &Transport{})
	for range 2 {
		seen := peerGet(t, tr, o.URL(), peer)
		if seen.ClientCN != "a" || seen.Seq != 1 {
			t.Errorf("the origin saw request %d of client %q, want the first one of a", seen.Seq, seen.ClientCN)
		}
	}
	if n := p.Granted(); n != 2 {
		t.Errorf("the proxy granted %d tunnels, want 2", n)
	}
	if peer.opts.Protocols.HTTP1() != true {
		t.Error("the protocols of the peer have changed")
	}
}

func TestRootsAddedLaterAreNotTrustedByAPeer(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
	pool := httptestutil.NewCA(t).Pool()
	peer := peerNew(t, PeerOptions{RootCAs: pool})
	pool.AddCert(o.CA().Certificate())
	tr := peerTransport(t, &Transport{})
	peerWantHop(t, peerFail(t, tr, o.URL(), peer), "tls")
}

func TestALocalAddressThatWouldHaveNoEffectIsRefused(t *testing.T) {
	local := netip.MustParseAddr("127.0.0.1")
	if _, err := NewPeer(PeerOptions{Addr: "unix:/run/x", LocalAddr: local}); err == nil || !strings.Contains(err.Error(), "LocalAddr") {
		t.Errorf("for a Unix socket: %v, want an error that names LocalAddr", err)
	}
	peer, err := NewPeer(PeerOptions{LocalAddr: local})
	if err != nil {
		t.Fatal(err)
	}
	transport := &Transport{DialContext: (&net.Dialer{}).DialContext}
	req, err := http.NewRequestWithContext(WithPeer(t.Context(), peer), http.MethodGet, "http://127.0.0.1:1/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := transport.RoundTrip(req); err == nil || !strings.Contains(err.Error(), "LocalAddr") {
		t.Errorf("beside a DialContext: %v, want an error that names LocalAddr", err)
	}
}

func TestNoWayOfPrintingAnIdentityShowsMoreThanItsString(t *testing.T) {
	id := Identity{network: "tcp", scheme: "https", address: "192.0.2.1:443", proxySecret: [32]byte{1, 2, 3}}
	if got := fmt.Sprintf("%#v", id); got != id.String() {
		t.Errorf("%%#v is %q, want %q", got, id)
	}
	other := id
	other.proxySecret[31] = 9
	if id.sessionPrefix() == other.sessionPrefix() {
		t.Error("identities that differ in a secret share TLS sessions")
	}
}
