package peerpool

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// seenSockets notes what a Control function is called with.
type seenSockets struct {
	mu  sync.Mutex // guards all
	all []string   // network and address
}

func (s *seenSockets) control(network, addr string, _ syscall.RawConn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, network+" "+addr)
	return nil
}

func (s *seenSockets) want(t *testing.T, want ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) != len(want) {
		t.Fatalf("Control has seen %q, want %q", s.all, want)
	}
	for i := range want {
		if s.all[i] != want[i] {
			t.Errorf("Control has seen %q, want %q", s.all, want)
		}
	}
	s.all = nil
}

func TestEverySocketOfOursHasTheDialersOptions(t *testing.T) {
	plain := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	unix := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Network: "unix"})
	p := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
	var seen seenSockets
	several := new(httptestutil.Resolver)
	several.Set(t, "several.test", "127.0.0.1", "127.0.0.2")
	several.Set(t, "proxy.test", "127.0.0.1")
	tr := peerTransport(t, &Transport{Dialer: &net.Dialer{Control: seen.control}, Resolver: several})

	peerGet(t, tr, plain.URL(), nil)
	seen.want(t, "tcp4 "+plain.Addr())

	tr.CloseIdleConnections()
	peerGet(t, tr, peerURL(t, plain, "several.test"), nil)
	seen.want(t, "tcp4 "+plain.Addr())

	peerGet(t, tr, "http://example.test", peerNew(t, PeerOptions{Addr: "unix:" + unix.Addr()}))
	seen.want(t, "unix "+unix.Addr())

	named := *p.URL()
	named.Host = "proxy.test:" + named.Port()
	for _, u := range []string{p.URL().String(), named.String()} {
		peerGet(t, tr, plain.URL(), peerNew(t, PeerOptions{Proxy: peerParse(t, u), Group: u}))
		seen.want(t, "tcp4 "+p.Addr())
	}
}

func TestADialerKeepsIdentitiesByAddress(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	tr := peerTransport(t, &Transport{Dialer: &net.Dialer{}, Resolver: peerLoopback(t, "a.test", "b.test")})
	first := peerGet(t, tr, peerURL(t, o, "a.test"), nil)
	if second := peerGet(t, tr, peerURL(t, o, "b.test"), nil); second.Conn != first.Conn {
		t.Error("two hosts at one address have a connection each")
	}
}

// The function that sets the option of the socket never returns, so the socket never connects.
func TestADialersTimeoutBoundsTheConnection(t *testing.T) {
	several := new(httptestutil.Resolver)
	several.Set(t, "several.test", "127.0.0.1", "127.0.0.2")
	stuck := func(ctx context.Context, _, _ string, _ syscall.RawConn) error {
		<-ctx.Done()
		return ctx.Err()
	}
	for _, host := range []string{"127.0.0.1", "several.test"} {
		tr := peerTransport(t, &Transport{
			Dialer:   &net.Dialer{Timeout: time.Millisecond, ControlContext: stuck},
			Resolver: several,
		})
		err := peerFail(t, tr, "http://"+host+":80", nil)
		if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() || !errors.Is(err, os.ErrDeadlineExceeded) &&
			!errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: got %v, want a time-out", host, err)
		}
	}
}

func TestTheTimeLimitOfAConnectionIsTheDialersOrThatOfAWholeDial(t *testing.T) {
	for _, c := range []struct {
		dialer *net.Dialer
		want   time.Duration
		alone  bool // no other limit is needed
	}{
		{nil, dialTimeout, true},
		{&net.Dialer{Timeout: time.Second}, time.Second, true},
		{&net.Dialer{}, maxDial, false},
		{&net.Dialer{Timeout: time.Hour}, maxDial, false},
	} {
		r := &route{plan: plan{t: &Transport{Dialer: c.dialer}, peer: &noOptions}, addr: netip.MustParseAddrPort("127.0.0.1:80")}
		if got := r.racing().timeout; got != c.want || r.dialsKnownAddress() != c.alone {
			t.Errorf("%+v: %v, and that is all: %v; want %v and %v", c.dialer, got, r.dialsKnownAddress(), c.want, c.alone)
		}
	}
}

func TestADialersFallbackDelayIsThatOfARace(t *testing.T) {
	for _, delay := range []time.Duration{0, time.Second, -1} {
		r := &plan{t: &Transport{Dialer: &net.Dialer{FallbackDelay: delay}}, peer: &noOptions}
		if got := r.racing().delay; got != delay {
			t.Errorf("the delay is %v, want %v", got, delay)
		}
	}
}

func TestADialersResolverAnswersUnlessTheTransportHasOne(t *testing.T) {
	asked := errors.New("asked")
	own := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, asked }}
	tr := peerTransport(t, &Transport{Dialer: &net.Dialer{Resolver: own}})
	if err := peerFail(t, tr, "http://nowhere.test", nil); !errors.Is(err, asked) {
		var dns *net.DNSError
		if !errors.As(err, &dns) || dns.Err != asked.Error() {
			t.Errorf("got %v, want the Dialer's resolver to have been asked", err)
		}
	}
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	both := peerTransport(t, &Transport{Dialer: &net.Dialer{Resolver: own}, Resolver: peerLoopback(t, "a.test")})
	peerGet(t, both, peerURL(t, o, "a.test"), nil)
}

func TestADialersLocalAddress(t *testing.T) {
	peerNeedsSecondLoopback(t)
	two := netip.MustParseAddr("127.0.0.2")
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	unix := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Network: "unix"})
	tr := peerTransport(t, &Transport{Dialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: two.AsSlice()}}})
	toUnix := peerNew(t, PeerOptions{Addr: "unix:" + unix.Addr()})

	askFrom(askURL(tr, o.URL(), nil), two)(t)
	askFrom(askURL(tr, o.URL(), peerNew(t, PeerOptions{LocalAddr: two})), two)(t)
	if ids := peerKeys(tr); len(ids) != 1 || ids[0].local != two.String() {
		t.Errorf("the identities are %v, want one, no matter which option has named the address", ids)
	}
	peerGet(t, tr, "http://example.test", toUnix) // the address is not one for a Unix socket

	path := &net.UnixAddr{Net: "unix", Name: t.TempDir() + "/local"}
	other := peerTransport(t, &Transport{Dialer: &net.Dialer{LocalAddr: path}})
	peerGet(t, other, o.URL(), nil) // the path of a socket is not a local address for TCP
	peerGet(t, other, "http://example.test", toUnix)
	if _, err := os.Stat(path.Name); err != nil {
		t.Errorf("the Unix socket is not bound: %v", err)
	}

	wrong := peerTransport(t, &Transport{Dialer: &net.Dialer{LocalAddr: &net.UDPAddr{}}})
	if err := peerFail(t, wrong, o.URL(), nil); err == nil {
		t.Error("a UDP address is taken for TCP")
	}
}

func TestWhatAnIdentitySaysOfADialersLocalAddress(t *testing.T) {
	for _, c := range []struct {
		addr net.Addr
		want string
	}{
		{nil, ""},
		{(*net.TCPAddr)(nil), ""},
		{&net.TCPAddr{}, ""},
		{&net.TCPAddr{IP: net.IPv4zero}, ""},
		{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, "127.0.0.2"},
		{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 2), Port: 7}, "127.0.0.2:7"},
		{&net.TCPAddr{Port: 7}, "[::]:7"},
		{&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "lo"}, "fe80::1%lo"},
		{&net.UnixAddr{Name: "/x"}, ""},
	} {
		tr := &Transport{Dialer: &net.Dialer{LocalAddr: c.addr}}
		if got := localText(tr.local(&noOptions)); got != c.want {
			t.Errorf("%v: %q, want %q", c.addr, got, c.want)
		}
	}
}

func TestADialFunctionGoesBeforeTheDialer(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	var seen seenSockets
	local := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}
	tr := peerTransport(t, &Transport{DialContext: o.Dial, Dialer: &net.Dialer{Control: seen.control, LocalAddr: local}})
	peerGet(t, tr, "http://a.test", nil)
	seen.want(t)
	if ids := peerKeys(tr); len(ids) != 1 || ids[0].local != "" {
		t.Errorf("the identity is %v, and has a local address that is not in use", ids)
	}
}

func TestNewClientConnUsesTheDialer(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	var seen seenSockets
	tr := peerTransport(t, &Transport{Dialer: &net.Dialer{Control: seen.control}})
	cc, err := tr.NewClientConn(t.Context(), "http", o.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	peerSend(t, cc, peerRequest(t, o.URL(), nil))
	seen.want(t, "tcp4 "+o.Addr())
}

// TestARaceThatReachesItsTimeLimitFailsAsAConnectThatTakesTooLong checks the error of a race when the Dialer's Timeout ends
// both the race and its sockets, in either order.
func TestARaceThatReachesItsTimeLimitFailsAsAConnectThatTakesTooLong(t *testing.T) {
	for name, c := range map[string]struct{ proxy, url, want string }{
		"two addresses":             {"", "http://a.test/", "dial tcp 192.0.2.1:80: i/o timeout"},
		"a proxy":                   {"http://p.test:3128", "http://a.test/", "proxyconnect tcp: dial tcp 192.0.2.9:3128: i/o timeout"},
		"a tunnel":                  {"http://192.0.2.9:3128", "https://a.test/", "proxyconnect tcp: dial tcp 192.0.2.9:3128: i/o timeout"},
		"a proxy of two addresses":  {"http://a.test:3128", "http://b.test/", "proxyconnect tcp: dial tcp 192.0.2.1:3128: i/o timeout"},
		"a tunnel of two addresses": {"socks5://a.test:1080", "http://b.test/", "proxyconnect tcp: dial tcp 192.0.2.1:1080: i/o timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				names := &httptestutil.Resolver{}
				names.Set(t, "a.test", "192.0.2.1", "192.0.2.2")
				names.Set(t, "p.test", "192.0.2.9")
				tr := peerTransport(t, &Transport{Dialer: &net.Dialer{Timeout: time.Second}, Resolver: names})
				tr.network = func(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				if c.proxy != "" {
					proxy, err := url.Parse(c.proxy)
					if err != nil {
						t.Fatal(err)
					}
					tr.Proxy = http.ProxyURL(proxy)
				}
				err := peerTry(tr, peerRequest(t, c.url, nil))
				op, ok := err.(*net.OpError)
				if !ok || err.Error() != c.want || !op.Timeout() {
					t.Fatalf("got %v (%T), want %q", err, err, c.want)
				}
				if inner, ok := op.Err.(*net.OpError); c.proxy != "" && (!ok || inner.Op != "dial") {
					t.Errorf("within it is %v (%T), want the error of the dial", op.Err, op.Err)
				}
			})
		})
	}
}
