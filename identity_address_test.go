package peerpool

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// addressCases are the attributes of an identity that say where a connection leads and where it begins.
var addressCases = []identityCase{
	{name: "address", covers: []string{"PeerOptions.Addr"}, asks: func(t *testing.T) []peerAsk {
		one := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
		two := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
		return askPeers(t, &Transport{}, one.URL(), PeerOptions{}, PeerOptions{Addr: two.Addr()})
	}},
	{name: "peer, as PeerFor says", covers: []string{"Transport.PeerFor"}, asks: func(t *testing.T) []peerAsk {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
		groups := map[string]*Peer{"a": peerNew(t, PeerOptions{Group: "a"}), "b": peerNew(t, PeerOptions{Group: "b"})}
		tr := peerTransport(t, &Transport{PeerFor: func(req *http.Request) (*Peer, error) {
			return groups[tenantOf(req.Context()).name], nil
		}})
		return []peerAsk{
			askTenant(tr, o.URL(), tenant{}),
			askTenant(tr, o.URL(), tenant{name: "a"}),
			askTenant(tr, o.URL(), tenant{name: "b"}),
		}
	}},
	{name: "host name, where a dialer resolves it", asks: func(t *testing.T) []peerAsk {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
		tr := peerTransport(t, &Transport{DialContext: o.Dial})
		return []peerAsk{askURL(tr, "http://a.test", nil), askURL(tr, "http://b.test", nil), askURL(tr, "http://b.test.", nil)}
	}},
	{name: "port", asks: func(t *testing.T) []peerAsk {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
		tr := peerTransport(t, &Transport{DialContext: o.Dial})
		return []peerAsk{askURL(tr, "http://a.test", nil), askURL(tr, "http://a.test:81", nil)}
	}},
	{name: "scheme", asks: func(t *testing.T) []peerAsk {
		plain := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
		secure := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
		tr := peerTransport(t, &Transport{DialContext: dialChosen, TLSClientConfig: secure.ClientTLS()})
		return []peerAsk{
			askVia(tr, plain, "http://example.test:4433"),
			askVia(tr, secure, "https://example.test:4433"),
		}
	}},
	{name: "path of a Unix socket", covers: []string{"PeerOptions.Addr"}, asks: func(t *testing.T) []peerAsk {
		one := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Network: "unix"})
		two := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Network: "unix"})
		return askPeers(t, &Transport{}, "http://example.test",
			PeerOptions{Addr: "unix:" + one.Addr()}, PeerOptions{Addr: "unix:" + two.Addr()})
	}},
	{name: "network", asks: func(t *testing.T) []peerAsk {
		// A socket in the current directory can be named like a TCP address.
		t.Chdir(t.TempDir())
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
		ln, err := net.Listen("unix", o.Addr())
		if err != nil {
			t.Skipf("no Unix socket of that name here: %v", err)
		}
		s := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Network: "unix", Listener: ln})
		return askPeers(t, &Transport{}, o.URL(), PeerOptions{}, PeerOptions{Addr: "unix:" + s.Addr()})
	}},
	{name: "IPv4 and IPv6", asks: func(t *testing.T) []peerAsk {
		peerNeedsIPv6(t)
		four := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
		six := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Network: "tcp6"})
		tr := peerTransport(t, &Transport{})
		return []peerAsk{askURL(tr, four.URL(), nil), askURL(tr, six.URL(), nil)}
	}},
	{name: "IPv6 zone", covers: []string{"PeerOptions.Addr"}, asks: func(t *testing.T) []peerAsk {
		peerNeedsIPv6(t)
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Network: "tcp6"})
		zoned := net.JoinHostPort("::1%"+loopbackName(t), peerPort(t, o.Addr()))
		return askPeers(t, &Transport{}, o.URL(), PeerOptions{}, PeerOptions{Addr: zoned})
	}},
	{name: "local address", covers: []string{"PeerOptions.LocalAddr"}, asks: func(t *testing.T) []peerAsk {
		peerNeedsSecondLoopback(t)
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
		one, two := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")
		asks := askPeers(t, &Transport{}, o.URL(), PeerOptions{}, PeerOptions{LocalAddr: one}, PeerOptions{LocalAddr: two})
		asks[2] = askFrom(asks[2], two)
		return asks
	}},
	{name: "local address of the Dialer", covers: []string{"Dialer.LocalAddr"}, asks: func(t *testing.T) []peerAsk {
		peerNeedsSecondLoopback(t)
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
		one, two := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")
		tr := &Transport{Dialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: two.AsSlice()}}}
		asks := askPeers(t, tr, o.URL(), PeerOptions{}, PeerOptions{LocalAddr: one})
		asks[0], asks[1] = askFrom(asks[0], two), askFrom(asks[1], one)
		return asks
	}},
	{name: "group", covers: []string{"PeerOptions.Group"}, asks: func(t *testing.T) []peerAsk {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
		return askPeers(t, &Transport{}, o.URL(), PeerOptions{}, PeerOptions{Group: "a"}, PeerOptions{Group: "A"})
	}},
}

type chosenOrigin struct{}

// dialChosen is a DialContext that connects to the origin that the request's context names.
func dialChosen(ctx context.Context, network, addr string) (net.Conn, error) {
	return ctx.Value(chosenOrigin{}).(*httptestutil.Origin).Dial(ctx, network, addr)
}

// askVia asks for a URL that dialChosen is to look for at an origin.
func askVia(tr *Transport, o *httptestutil.Origin, target string) peerAsk {
	return func(t *testing.T) httptestutil.Seen {
		t.Helper()
		req := peerRequest(t, target, nil)
		return peerSend(t, tr, req.WithContext(context.WithValue(req.Context(), chosenOrigin{}, o)))
	}
}

// askFrom checks that a request came from a local address.
func askFrom(ask peerAsk, local netip.Addr) peerAsk {
	return func(t *testing.T) httptestutil.Seen {
		t.Helper()
		seen := ask(t)
		if from, err := netip.ParseAddrPort(seen.RemoteAddr); err != nil || from.Addr() != local {
			t.Errorf("the origin saw a request from %s (%v), want from %s", seen.RemoteAddr, err, local)
		}
		return seen
	}
}

// loopbackName returns the name of the interface that has ::1.
func loopbackName(t *testing.T) string {
	t.Helper()
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Skipf("cannot list interfaces here: %v", err)
	}
	for _, i := range interfaces {
		if i.Flags&net.FlagLoopback != 0 {
			return i.Name
		}
	}
	t.Skip("no loopback interface here")
	return ""
}
