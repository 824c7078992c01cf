package peerpool

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/nettest"
)

// always makes a Transport look at every answer again at once.
const always = time.Nanosecond

func TestAnAnswerOfTheResolverIsUsedForDNSRefresh(t *testing.T) {
	for _, c := range []struct{ refresh, holds time.Duration }{{0, 30 * time.Second}, {time.Hour, time.Hour}} {
		t.Run(c.refresh.String(), func(t *testing.T) {
			o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{}) // outside the bubble: its goroutines never rest
			synctest.Test(t, func(t *testing.T) {
				r := peerLoopback(t, "a.test")
				tr := &Transport{Resolver: r, DNSRefresh: c.refresh, DisableKeepAlives: true}
				wantLookups := func(want int) {
					t.Helper()
					peerGet(t, tr, peerURL(t, o, "a.test"), nil)
					synctest.Wait() // a refresh happens in the background
					if n := r.Lookups("a.test"); n != want {
						t.Errorf("the resolver was asked %d times, want %d", n, want)
					}
				}
				wantLookups(1)
				time.Sleep(c.holds - time.Nanosecond)
				wantLookups(1)
				time.Sleep(time.Nanosecond)
				wantLookups(2)
				wantLookups(2)
			})
		})
	}
}

func TestAnOldAnswerIsUsedWhileTheResolverFails(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	synctest.Test(t, func(t *testing.T) {
		r := peerLoopback(t, "a.test")
		tr := &Transport{Resolver: r, DisableKeepAlives: true}
		peerGet(t, tr, peerURL(t, o, "a.test"), nil)
		r.Fail("a.test", errors.New("resolver down"))
		for range 3 {
			time.Sleep(time.Hour)
			peerGet(t, tr, peerURL(t, o, "a.test"), nil)
			synctest.Wait()
		}
		if n := r.Lookups("a.test"); n != 4 {
			t.Errorf("the resolver was asked %d times, want 4", n)
		}
	})
}

// resolverFunc is a Resolver of one function.
type resolverFunc func(ctx context.Context, network, host string) ([]netip.Addr, error)

func (f resolverFunc) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	return f(ctx, network, host)
}

func TestAHostWithoutAnAddressFailsAtResolve(t *testing.T) {
	down := errors.New("resolver down")
	for name, c := range map[string]struct {
		resolver resolverFunc
		want     string
	}{
		"fails": {func(context.Context, string, string) ([]netip.Addr, error) { return nil, down },
			"dial tcp: resolver down"},
		"has no such host": {(&httptestutil.Resolver{}).LookupNetIP,
			"dial tcp: lookup a.test: no such host"},
		"answers nothing": {func(context.Context, string, string) ([]netip.Addr, error) { return nil, nil },
			"dial tcp: lookup a.test: no such host"},
		"answers nonsense": {func(context.Context, string, string) ([]netip.Addr, error) { return []netip.Addr{{}}, nil },
			"dial tcp: lookup a.test: no such host"},
	} {
		t.Run(name, func(t *testing.T) {
			tr := peerTransport(t, &Transport{Resolver: c.resolver})
			err := peerFail(t, tr, "http://a.test", nil)
			if dial := peerWantHop(t, err, "resolve"); dial.Identity.String() != "http://a.test:80" {
				t.Errorf("the identity reads %s", dial.Identity)
			}
			var dns *net.DNSError
			if err.Error() != c.want || !errors.Is(err, down) && !errors.As(err, &dns) {
				t.Errorf("got %q, want %q", err, c.want)
			}
			wantNoRoutes(t, tr)
		})
	}
}

func TestALookUpIsGivenUpWithTheRequestThatWaitsForIt(t *testing.T) {
	r := peerLoopback(t, "a.test")
	defer r.Hold("a.test")()
	tr := peerTransport(t, &Transport{Resolver: r})
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	asked := make(chan error)
	go func() { asked <- peerTry(tr, peerRequest(t, "http://a.test:1", nil).WithContext(ctx)) }()
	nettest.Eventually(t, "the resolver is asked", func() bool { return r.Lookups("a.test") == 1 })
	cancel(cause)
	if err := peerReceive(t, asked, "the request returns"); !errors.Is(err, cause) {
		t.Errorf("got %v, want the cause of the context", err)
	}
}

func TestALocalAddressAsksForAddressesOfItsFamily(t *testing.T) {
	for local, want := range map[string]string{"": "ip", "127.0.0.1": "ip4", "::ffff:127.0.0.1": "ip4", "::1": "ip6"} {
		var got string
		tr := peerTransport(t, &Transport{Resolver: resolverFunc(
			func(_ context.Context, network, _ string) ([]netip.Addr, error) {
				got = network
				return nil, nil
			})})
		opts := PeerOptions{}
		if local != "" {
			opts.LocalAddr = netip.MustParseAddr(local)
		}
		peerFail(t, tr, "http://a.test", peerNew(t, opts))
		if got != want {
			t.Errorf("from %q the resolver was asked for %q, want %q", local, got, want)
		}
	}
}

// dialedAddrs sends a request through the RoundTripper that make returns, and notes what it is told to dial and
// what a trace is told.
func dialedAddrs(t *testing.T, target string, newTransport func(dial func(context.Context, string, string) (net.Conn, error)) http.RoundTripper) (dialed, traced string) {
	t.Helper()
	rt := newTransport(func(_ context.Context, network, addr string) (net.Conn, error) {
		dialed = network + " " + addr
		return nil, errors.New("not today")
	})
	trace := &httptrace.ClientTrace{GetConn: func(hostPort string) { traced = hostPort }}
	req := peerRequest(t, target, nil)
	if err := peerTry(rt, req.WithContext(httptrace.WithClientTrace(req.Context(), trace))); err == nil {
		t.Errorf("GET %s succeeded", target)
	}
	return dialed, traced
}

// The test compares with net/http.
func TestACustomDialerAndATraceAreToldTheHostAndPortOfTheURL(t *testing.T) {
	for _, target := range []string{
		"http://example.test", "https://example.test", "http://example.test:8080/path", "http://example.test:",
		"https://EXAMPLE.test.", "http://bücher.test", "http://127.0.0.1", "https://[::1]", "http://[fe80::1%25eth0]:8080",
	} {
		dialed, traced := dialedAddrs(t, target, func(dial func(context.Context, string, string) (net.Conn, error)) http.RoundTripper {
			return peerTransport(t, &Transport{DialContext: dial})
		})
		wantDialed, wantTraced := dialedAddrs(t, target, func(dial func(context.Context, string, string) (net.Conn, error)) http.RoundTripper {
			return &http.Transport{DialContext: dial}
		})
		if dialed != wantDialed || traced != wantTraced {
			t.Errorf("%s: told %q and %q, net/http tells %q and %q", target, dialed, traced, wantDialed, wantTraced)
		}
	}
}

func TestATraceIsToldTheHostAndPortAlsoWhereWeResolve(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	tr := peerTransport(t, &Transport{Resolver: peerLoopback(t, "a.test")})
	var told []string
	trace := &httptrace.ClientTrace{GetConn: func(hostPort string) { told = append(told, hostPort) }}
	for range 2 {
		req := peerRequest(t, peerURL(t, o, "a.test"), nil)
		peerSend(t, tr, req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	}
	want := net.JoinHostPort("a.test", peerPort(t, o.Addr()))
	if len(told) != 2 || told[0] != want || told[1] != want {
		t.Errorf("a trace of two requests was told %q, want %q for each", told, want)
	}
}

func TestAUnicodeHostIsASCIIEverywhere(t *testing.T) {
	const ascii = "xn--bcher-kva.test"
	ca := httptestutil.NewCA(t)
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: ca, TLS: peerServerFor(ca, ascii)})
	r := peerLoopback(t, ascii)
	tr := peerTransport(t, &Transport{TLSClientConfig: o.ClientTLS(), Resolver: r})
	port := peerPort(t, o.Addr())
	seen := peerGet(t, tr, "https://bücher.test:"+port, nil)
	if seen.SNI != ascii || seen.Host != ascii+":"+port || r.Lookups(ascii) != 1 {
		t.Errorf("the origin saw the name %q and the host %q, and %d look-ups", seen.SNI, seen.Host, r.Lookups(ascii))
	}
}

func TestAHostThatIsNoNameIsRefused(t *testing.T) {
	tr := peerTransport(t, &Transport{Resolver: &httptestutil.Resolver{}})
	for _, host := range []string{"xn--\u0000.test", "a\u200cb.\u00a1", "\u2025.test"} {
		req := peerRequest(t, "http://a.test", nil)
		req.URL.Host = host
		if err := peerTry(tr, req); err == nil {
			t.Errorf("host %q was accepted", host)
		}
	}
	wantNoRoutes(t, tr)
}

func TestAnIPAddressIsNotResolved(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	tr := peerTransport(t, &Transport{Resolver: resolverFunc(func(_ context.Context, _, host string) ([]netip.Addr, error) {
		t.Errorf("the resolver was asked for %q", host)
		return nil, nil
	})})
	peerGet(t, tr, o.URL(), nil)
	mapped := net.JoinHostPort("::ffff:127.0.0.1", peerPort(t, o.Addr()))
	if seen := peerGet(t, tr, "http://"+mapped, nil); seen.Conn != 1 {
		t.Error("the two forms of an IPv4 address do not share a connection")
	}
	peerNeedsIPv6(t)
	six := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Network: "tcp6"})
	if seen := peerGet(t, tr, six.URL(), nil); seen.Host != six.Addr() {
		t.Errorf("the origin saw the host %q, want %q", seen.Host, six.Addr())
	}
}

func TestAURLWithoutAHostNameGoesToLocalhost(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	names := peerLoopback(t, "localhost")
	tr := peerTransport(t, &Transport{Resolver: names})
	seen := peerGet(t, tr, "http://:"+peerPort(t, o.Addr())+"/", nil)
	if seen.Origin != o.Addr() || names.Lookups("localhost") != 1 {
		t.Errorf("the request went to %s after %d look-ups of localhost", seen.Origin, names.Lookups("localhost"))
	}
}

// A race of several addresses counts as one dial and one connection.
func TestARaceDoesNotBeginBeforeThereIsRoom(t *testing.T) {
	peerNeedsSecondLoopback(t)
	answer := make(chan struct{})
	w := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
		for c.ReadRequest() != nil && c.Await(answer) {
			c.Write(httptestutil.Response("ok"))
		}
	})
	names := &httptestutil.Resolver{}
	names.Set(t, "a.test", "127.0.0.1")
	names.Set(t, "b.test", "127.0.0.1", "127.0.0.2") // of which the second refuses
	tr := peerTransport(t, &Transport{Resolver: names, MaxConnsPerHost: 1})
	port := peerPort(t, w.Addr())
	first := peerAsync(tr, peerRequest(t, "http://a.test:"+port+"/", nil))
	w.WaitRequests(1)
	second := peerAsync(tr, peerRequest(t, "http://b.test:"+port+"/", nil))
	nettest.Eventually(t, "the second request waits", func() bool { return tr.Stats().Waiting == 1 })
	close(answer)
	for _, ended := range []<-chan error{first, second} {
		if err := peerReceive(t, ended, "both requests have ended"); err != nil {
			t.Error(err)
		}
	}
	if s := tr.Stats(); s.Opened != 1 {
		t.Errorf("the pool has opened %d connections, want 1", s.Opened)
	}
	if s := tr.Stats(); w.Conns() != 1 || s.Dials != 1 {
		t.Errorf("%d connections and %d dials, want one", w.Conns(), s.Dials)
	}
}
