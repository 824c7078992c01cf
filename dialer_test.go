package peerpool

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/nettest"
)

// dialPath is one way to reach an origin.
type dialPath struct {
	name    string
	network string // of the origin; "": TCP
	plain   bool   // it can carry requests without TLS
	secure  bool   // it can carry TLS, which the Transport speaks
	foreign bool   // the dialer speaks TLS, not the Transport
	// lay makes tr and opts take the path to o.
	lay func(t *testing.T, o *httptestutil.Origin, tr *Transport, opts *PeerOptions)
}

var dialPaths = []dialPath{
	{name: "direct", plain: true, secure: true, lay: func(*testing.T, *httptestutil.Origin, *Transport, *PeerOptions) {}},
	{name: "HTTP proxy", plain: true, secure: true, lay: layProxy(httptestutil.NewHTTPProxy, "http")},
	{name: "HTTPS proxy", plain: true, secure: true, lay: func(t *testing.T, o *httptestutil.Origin, tr *Transport, _ *PeerOptions) {
		p := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{CA: httptestutil.NewCA(t)})
		trusted := p.CA().Pool()
		if o.CA() != nil {
			trusted.AddCert(o.CA().Certificate())
		}
		tr.TLSClientConfig = &tls.Config{RootCAs: trusted}
		tr.Proxy = peerProxy(p.URL())
	}},
	{name: "SOCKS5 proxy", plain: true, secure: true, lay: layProxy(httptestutil.NewSOCKS5Proxy, "socks5")},
	{name: "SOCKS5H proxy", plain: true, secure: true, lay: layProxy(httptestutil.NewSOCKS5Proxy, "socks5h")},
	{name: "proxy of the peer", plain: true, secure: true, lay: func(t *testing.T, _ *httptestutil.Origin, _ *Transport, opts *PeerOptions) {
		opts.Proxy = httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{}).URL()
	}},
	{name: "address of the peer", plain: true, secure: true, lay: func(_ *testing.T, o *httptestutil.Origin, _ *Transport, opts *PeerOptions) {
		opts.Addr = o.Addr()
	}},
	{name: "address of the peer through a proxy", plain: true, secure: true, lay: func(t *testing.T, o *httptestutil.Origin, _ *Transport, opts *PeerOptions) {
		opts.Addr = o.Addr()
		opts.Proxy = httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{}).URL()
	}},
	{name: "Unix socket", network: "unix", plain: true, secure: true, lay: func(_ *testing.T, o *httptestutil.Origin, _ *Transport, opts *PeerOptions) {
		opts.Addr = "unix:" + o.Addr()
	}},
	{name: "DialContext", plain: true, secure: true, lay: func(_ *testing.T, o *httptestutil.Origin, tr *Transport, _ *PeerOptions) {
		tr.DialContext = o.Dial
	}},
	{name: "Dial", plain: true, secure: true, lay: func(_ *testing.T, o *httptestutil.Origin, tr *Transport, _ *PeerOptions) {
		tr.Dial = func(network, addr string) (net.Conn, error) { return o.Dial(context.Background(), network, addr) }
	}},
	{name: "DialContext to a Unix socket", network: "unix", plain: true, secure: true, lay: func(_ *testing.T, o *httptestutil.Origin, tr *Transport, _ *PeerOptions) {
		tr.DialContext = o.Dial
	}},
	{name: "DialContext to a proxy", plain: true, secure: true, lay: func(t *testing.T, _ *httptestutil.Origin, tr *Transport, _ *PeerOptions) {
		p := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
		tr.Proxy = peerProxy(&url.URL{Scheme: "http", Host: "proxy.test:3128"})
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr != "proxy.test:3128" {
				t.Errorf("DialContext is to dial %s", addr)
			}
			return new(net.Dialer).DialContext(ctx, network, p.Addr())
		}
	}},
	{name: "DialTLSContext", foreign: true, lay: func(_ *testing.T, o *httptestutil.Origin, tr *Transport, _ *PeerOptions) {
		tr.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			return dialTLS(ctx, o, network, addr, true)
		}
	}},
	{name: "DialTLS", foreign: true, lay: func(_ *testing.T, o *httptestutil.Origin, tr *Transport, _ *PeerOptions) {
		tr.DialTLS = func(network, addr string) (net.Conn, error) {
			return dialTLS(context.Background(), o, network, addr, true)
		}
	}},
	{name: "DialTLSContext without the handshake", foreign: true, lay: func(_ *testing.T, o *httptestutil.Origin, tr *Transport, _ *PeerOptions) {
		tr.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			return dialTLS(ctx, o, network, addr, false)
		}
	}},
}

// layProxy has a Transport use a new proxy, under that scheme.
func layProxy(start func(testing.TB, httptestutil.ProxyOptions) *httptestutil.Proxy, scheme string) func(*testing.T, *httptestutil.Origin, *Transport, *PeerOptions) {
	return func(t *testing.T, _ *httptestutil.Origin, tr *Transport, _ *PeerOptions) {
		u := *start(t, httptestutil.ProxyOptions{}).URL()
		u.Scheme = scheme
		tr.Proxy = peerProxy(&u)
	}
}

// dialTLS is a TLS dialer as users write them.
func dialTLS(ctx context.Context, o *httptestutil.Origin, network, addr string, handshake bool) (net.Conn, error) {
	nc, err := o.Dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	cfg := o.ClientTLS()
	cfg.ServerName = "example.test"
	tc := tls.Client(nc, cfg)
	if !handshake {
		return tc, nil
	}
	return tc, tc.HandshakeContext(ctx)
}

// walk returns a Transport, peer options and a URL that take the path to o.
func (p *dialPath) walk(t *testing.T, o *httptestutil.Origin) (*Transport, PeerOptions, string) {
	t.Helper()
	tr, opts := &Transport{TLSClientConfig: o.ClientTLS()}, PeerOptions{}
	p.lay(t, o, tr, &opts)
	return peerTransport(t, tr), opts, o.URL()
}

func eachPath(t *testing.T, want func(dialPath) bool, test func(t *testing.T, p dialPath)) {
	for _, p := range dialPaths {
		if want(p) {
			t.Run(p.name, func(t *testing.T) { test(t, p) })
		}
	}
}

// wantCarried fails the test unless a GET and a POST get through on one connection.
func wantCarried(t *testing.T, p dialPath, secure bool) {
	t.Helper()
	opts := httptestutil.OriginOptions{Network: p.network}
	if secure {
		opts.CA = httptestutil.NewCA(t)
	}
	o := httptestutil.NewOrigin(t, opts)
	tr, with, target := p.walk(t, o)
	peer := peerNew(t, with)
	first := peerGet(t, tr, target+"/path?query", peer)
	if first.Target != "/path?query" || first.Host != peerParse(t, target).Host {
		t.Errorf("the origin saw a request for %q at %q", first.Target, first.Host)
	}
	post := peerRequest(t, target, peer)
	post.Method = http.MethodPost
	post.Body, post.ContentLength = io.NopCloser(strings.NewReader("body")), 4
	post.Header.Set("X-Test", "value")
	second := peerSend(t, tr, post)
	if second.Conn != first.Conn || second.Seq != 2 || o.Conns() != 1 {
		t.Errorf("the second request is number %d on connection %d of %d", second.Seq, second.Conn, o.Conns())
	}
	if second.Method != http.MethodPost || second.Header.Get("X-Test") != "value" {
		t.Errorf("the origin saw %s with %v", second.Method, second.Header)
	}
	if (first.TLSVersion != "") != secure {
		t.Errorf("the origin saw TLS version %q", first.TLSVersion)
	}
	if s := tr.Stats(); s.Hits != 1 || s.Opened != 1 || s.Idle != 1 {
		t.Errorf("the statistics are %+v", s)
	}
}

func TestEveryPathCarriesPlainRequestsAndKeepsItsConnection(t *testing.T) {
	eachPath(t, func(p dialPath) bool { return p.plain }, func(t *testing.T, p dialPath) { wantCarried(t, p, false) })
}

func TestEveryPathCarriesTLSAndKeepsItsConnection(t *testing.T) {
	eachPath(t, func(p dialPath) bool { return p.secure || p.foreign }, func(t *testing.T, p dialPath) { wantCarried(t, p, true) })
}

func TestNoPathAcceptsAServerOfAnotherAuthorityOrName(t *testing.T) {
	eachPath(t, func(p dialPath) bool { return p.secure }, func(t *testing.T, p dialPath) {
		ca := httptestutil.NewCA(t)
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{
			Network: p.network, CA: ca, TLS: peerServerFor(ca, "right.test"),
		})
		tr, opts, target := p.walk(t, o)
		for what, c := range map[string]struct {
			name  string
			roots *x509.CertPool
			want  verdictOn
		}{
			"right in all":      {"right.test", nil, accepted},
			"another name":      {"wrong.test", nil, wrongName},
			"another authority": {"right.test", httptestutil.NewCA(t).Pool(), wrongRoot},
		} {
			opts.ServerName, opts.RootCAs = c.name, c.roots
			peer := peerNew(t, opts)
			err := peerTryReported(tr, peerRequest(t, target, peer))
			if c.want == nil && err != nil || c.want != nil && !c.want(err) {
				t.Errorf("%s: got %v", what, err)
			}
			if c.want != nil {
				peerWantHop(t, err, "tls")
			}
		}
		if n := o.Requests(); n != 1 {
			t.Errorf("the origin saw %d requests, want that of the one who trusts it", n)
		}
	})
}

func TestEveryPathUsesTheNameAndTheCertificateOfThePeer(t *testing.T) {
	eachPath(t, func(p dialPath) bool { return p.secure }, func(t *testing.T, p dialPath) {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{
			Network: p.network, CA: httptestutil.NewCA(t), TLS: peerAsksForCert(),
		})
		tr, opts, target := p.walk(t, o)
		cert := o.CA().Client("a")
		opts.ServerName, opts.ClientCertificate = "a.example.test", &cert
		seen := peerGet(t, tr, target, peerNew(t, opts))
		if seen.SNI != "a.example.test" || seen.ClientCN != "a" {
			t.Errorf("the origin saw the name %q and the client %q", seen.SNI, seen.ClientCN)
		}
	})
}

// NewPeer refuses options of TLS that a foreign dialer would not follow.
func TestAForeignDialersTLSIsNotOursToChange(t *testing.T) {
	eachPath(t, func(p dialPath) bool { return p.foreign }, func(t *testing.T, p dialPath) {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
		cert := o.CA().Client("a")
		tr, _, target := p.walk(t, o)
		for field, opts := range map[string]PeerOptions{
			"ServerName":        {ServerName: "a.example.test"},
			"AlternativeName":   {AlternativeName: "a.example.test"},
			"SkipVerify":        {SkipVerify: true},
			"RootCAs":           {RootCAs: o.CA().Pool()},
			"ClientCertificate": {ClientCertificate: &cert},
		} {
			err := peerFail(t, tr, target, peerNew(t, opts))
			if want := "peerpool: PeerOptions." + field + ": has no effect"; !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%s: got %q", field, err)
			}
		}
		peerFail(t, tr, target, peerNew(t, PeerOptions{SkipHostnameVerify: true}))
		if n := o.Conns(); n != 0 {
			t.Errorf("the origin saw %d connections", n)
		}
		peerGet(t, tr, target, peerNew(t, PeerOptions{Group: "g"}))
	})
}

func TestAPathThatLeadsNowhereFailsAtItsHop(t *testing.T) {
	nowhere := nettest.RefusingAddr(t)
	noSocket := "unix:" + t.TempDir() + "/none"
	refused := errors.New("not today")
	failing := func(context.Context, string, string) (net.Conn, error) { return nil, refused }
	for name, c := range map[string]struct {
		tr   *Transport
		opts PeerOptions
		op   string
	}{
		"direct":         {&Transport{}, PeerOptions{}, "connect"},
		"Unix socket":    {&Transport{}, PeerOptions{Addr: noSocket}, "connect"},
		"HTTP proxy":     {&Transport{}, PeerOptions{Proxy: &url.URL{Scheme: "http", Host: nowhere}}, "connect"},
		"SOCKS5 proxy":   {&Transport{}, PeerOptions{Proxy: &url.URL{Scheme: "socks5", Host: nowhere}}, "connect"},
		"DialContext":    {&Transport{DialContext: failing}, PeerOptions{}, "connect"},
		"DialTLSContext": {&Transport{DialTLSContext: failing}, PeerOptions{}, "connect"},
	} {
		for _, scheme := range []string{"http", "https"} {
			peerTransport(t, c.tr)
			err := peerFail(t, c.tr, scheme+"://"+nowhere, peerNew(t, c.opts))
			dial := peerWantHop(t, err, c.op)
			if dial.Identity == (Identity{}) || dial.ErrorType != "connection_error" {
				t.Errorf("%s, %s: got %v", name, scheme, dial)
			}
		}
	}
}

// No exchange has ended on such a connection, so the watch cannot begin with the end of an exchange.
func TestADialThatNobodyWaitsForIsWatchedOnceItIdles(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skipf("idle connections are not watched on %s", runtime.GOOS)
	}
	hangUp := make(chan struct{})
	w := httptestutil.NewWire(t, func(c *httptestutil.WireConn) { c.Await(hangUp) })
	dialing, proceed := make(chan struct{}), make(chan struct{})
	tr := peerTransport(t, &Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		close(dialing)
		<-proceed
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := peerAsync(tr, peerRequest(t, w.URL(), nil).WithContext(ctx))
	peerReceive(t, dialing, "the request dials")
	cancel()
	if err := peerReceive(t, ended, "the request has ended"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that the request was canceled", err)
	}
	close(proceed)
	nettest.Eventually(t, "the connection idles", func() bool { return tr.Stats().Idle == 1 })
	close(hangUp)
	nettest.Eventually(t, "the connection is closed as its peer has closed it", func() bool {
		s := tr.Stats()
		return s.Idle == 0 && s.Closes["peer_closed"] == 1
	})
}
