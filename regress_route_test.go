package peerpool

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptrace"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

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
		ends[i] = regressAsync(tr, peerRequest(t, o.URL(), nil))
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

// regressRoutes returns how many routes tr remembers.
func regressRoutes(tr *Transport) int {
	rs := &tr.core.routes
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	for _, same := range rs.byIdentity {
		if len(same) > maxRoutes {
			return -1
		}
	}
	return len(rs.byKey)
}

// TestOneIdentityServesAnyNumberOfHostsWithFewRoutes: its connections never end, so that no route would either.
func TestOneIdentityServesAnyNumberOfHostsWithFewRoutes(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	p := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{Dial: o.Dial})
	for name, opts := range map[string]PeerOptions{
		"forward proxy": {Proxy: p.URL()},
		"address":       {Addr: o.Addr()},
	} {
		t.Run(name, func(t *testing.T) {
			tr, peer := peerTransport(t, &Transport{}), peerNew(t, opts)
			for i := range 10 * maxRoutes {
				peerGet(t, tr, fmt.Sprintf("http://h%d.example.test/", i), peer)
			}
			if n := regressRoutes(tr); n != maxRoutes {
				t.Errorf("%d routes are remembered, want %d", n, maxRoutes)
			}
			peerGet(t, tr, "http://h0.example.test/", peer) // its route is forgotten, its connection is not
			if s := tr.Stats(); s.Opened != 1 || s.Idle != 1 {
				t.Errorf("%d connections were opened, %d idle, want one", s.Opened, s.Idle)
			}
			tr.CloseIdleConnections()
			wantNoRoutes(t, tr)
		})
	}
}

// regressTraced is a resolver that calls the hooks of the trace, as net.Resolver does.
type regressTraced struct{ Resolver }

func (r regressTraced) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	trace := httptrace.ContextClientTrace(ctx)
	if trace == nil || trace.DNSStart == nil || trace.DNSDone == nil {
		return nil, errors.New("the resolver was given no trace")
	}
	trace.DNSStart(httptrace.DNSStartInfo{Host: host})
	addrs, err := r.Resolver.LookupNetIP(ctx, network, host)
	trace.DNSDone(httptrace.DNSDoneInfo{Err: err})
	return addrs, err
}

// regressHooks sends a GET, and returns the hooks that were called, and its error.
func regressHooks(t *testing.T, tr *Transport, target string) ([]string, error) {
	t.Helper()
	var mu sync.Mutex // guards calls
	var calls []string
	called := func(hook string) {
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, hook)
	}
	req := peerRequest(t, target, nil)
	err := peerTry(tr, req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GetConn:      func(string) { called("GetConn") },
		DNSStart:     func(httptrace.DNSStartInfo) { called("DNSStart") },
		DNSDone:      func(httptrace.DNSDoneInfo) { called("DNSDone") },
		ConnectStart: func(_, _ string) { called("ConnectStart") },
		ConnectDone:  func(_, _ string, _ error) { called("ConnectDone") },
		GotConn:      func(httptrace.GotConnInfo) { called("GotConn") },
	})))
	mu.Lock()
	defer mu.Unlock()
	return slices.Clone(calls), err
}

func TestGetConnIsTheFirstHook(t *testing.T) {
	peerNeedsSecondLoopback(t)
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	names := &httptestutil.Resolver{}
	names.Set(t, "one.test", "127.0.0.1")
	names.Set(t, "two.test", "127.0.0.1", "127.0.0.2")
	names.Fail("none.test", errors.New("no such name"))
	for host, want := range map[string][]string{
		"one.test":  {"GetConn", "DNSStart", "DNSDone", "ConnectStart", "ConnectDone", "GotConn"},
		"two.test":  {"GetConn", "DNSStart", "DNSDone", "ConnectStart", "ConnectDone", "GotConn"},
		"none.test": {"GetConn", "DNSStart", "DNSDone"},
	} {
		t.Run(host, func(t *testing.T) {
			tr := peerTransport(t, &Transport{Resolver: regressTraced{names}})
			got, err := regressHooks(t, tr, peerURL(t, o, host))
			if (err != nil) != (host == "none.test") {
				t.Errorf("got error %v", err)
			}
			if !slices.Equal(got, want) {
				t.Errorf("the hooks are %v, want %v", got, want)
			}
		})
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

// TestARaceDoesNotBeginBeforeThereIsRoom: one connection is one dial, and no socket waits for its request.
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
	first := regressAsync(tr, peerRequest(t, "http://a.test:"+port+"/", nil))
	w.WaitRequests(1)
	second := regressAsync(tr, peerRequest(t, "http://b.test:"+port+"/", nil))
	peerEventually(t, "the second request waits", func() bool { return tr.Stats().Waiting == 1 })
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

// TestADialThatNobodyWaitsForIsWatchedOnceItIdles: it has had no exchange after which one would have looked.
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
	ended := regressAsync(tr, peerRequest(t, w.URL(), nil).WithContext(ctx))
	peerReceive(t, dialing, "the request dials")
	cancel()
	if err := peerReceive(t, ended, "the request has ended"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that the request was canceled", err)
	}
	close(proceed)
	peerEventually(t, "the connection idles", func() bool { return tr.Stats().Idle == 1 })
	close(hangUp)
	peerEventually(t, "the connection is closed as its peer has closed it", func() bool {
		s := tr.Stats()
		return s.Idle == 0 && s.Closes["peer_closed"] == 1
	})
}
