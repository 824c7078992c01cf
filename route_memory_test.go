package peerpool

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptrace"
	"net/url"
	"strings"
	"testing"
	"unique"
	"unsafe"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/nettest"
)

// wantNoRoutes fails the test unless the Transport comes to remember no route.
func wantNoRoutes(t *testing.T, tr *Transport) {
	t.Helper()
	left := func() (n int) {
		rs := &tr.use().routes
		rs.mu.RLock()
		defer rs.mu.RUnlock()
		if rs.latest.Load() != nil {
			n++
		}
		return n + len(rs.byKey) + len(rs.byIdentity)
	}
	nettest.Eventually(t, "no route is remembered", func() bool { return left() == 0 })
}

func TestRoutesAreForgottenWithTheirConnections(t *testing.T) {
	plain := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	secure := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
	proxy := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
	r := &httptestutil.Resolver{}
	tr := peerTransport(t, &Transport{Resolver: r, TLSClientConfig: secure.ClientTLS()})
	for i := range 10 {
		host := fmt.Sprintf("h%d.example.test", i)
		r.Set(t, host, "127.0.0.1")
		for _, o := range []*httptestutil.Origin{plain, secure} {
			peerGet(t, tr, peerURL(t, o, host), nil)
			peerGet(t, tr, o.URL(), peerNew(t, PeerOptions{Proxy: proxy.URL(), Group: host}))
		}
	}
	rs := &tr.use().routes
	if len(rs.byKey) != 40 || len(rs.byIdentity) != 1+10+10+10 {
		t.Errorf("%d routes of %d identities are remembered, want 40 of 31", len(rs.byKey), len(rs.byIdentity))
	}
	tr.CloseIdleConnections()
	wantNoRoutes(t, tr)
	if s := tr.Stats(); s.Idle+s.Active != 0 || len(s.Peers) != 0 {
		t.Errorf("the statistics are %+v", s)
	}
}

func TestRoutesThatLeadNowhereAreForgotten(t *testing.T) {
	peerNeedsSecondLoopback(t)
	httptestutil.CheckLeaks(t)
	closed := nettest.RefusingAddr(t)
	r := &httptestutil.Resolver{}
	tr := peerTransport(t, &Transport{Resolver: r})
	for i := range 10 {
		host := fmt.Sprintf("h%d.test", i)
		r.Set(t, host, "127.0.0.1", "127.0.0.2")
		peerFail(t, tr, "http://"+net.JoinHostPort(host, peerPort(t, closed)), nil)
		peerFail(t, tr, "http://"+closed, peerNew(t, PeerOptions{Group: host}))
		peerFail(t, tr, "http://"+closed, peerNew(t, PeerOptions{Proxy: &url.URL{Scheme: "http", Host: closed}}))
	}
	wantNoRoutes(t, tr)
}

// The test cancels each request at the last moment before it asks for a connection.
func TestTheRouteOfACanceledRequestIsForgotten(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	tr := peerTransport(t, &Transport{})
	for i := range 10 {
		ctx, cancel := context.WithCancel(t.Context())
		trace := &httptrace.ClientTrace{GetConn: func(string) { cancel() }}
		peer := peerNew(t, PeerOptions{Group: fmt.Sprint(i)})
		req := peerRequest(t, o.URL(), nil).WithContext(WithPeer(httptrace.WithClientTrace(ctx, trace), peer))
		if err := peerTry(tr, req); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want that the request was canceled", err)
		}
	}
	wantNoRoutes(t, tr)
}

// twins starts two origins on the same port of 127.0.0.1 and 127.0.0.2.
func twins(t *testing.T) (one, two *httptestutil.Origin, port string) {
	t.Helper()
	peerNeedsSecondLoopback(t)
	for range 100 {
		first, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := peerPort(t, first.Addr().String())
		second, err := net.Listen("tcp4", "127.0.0.2:"+port)
		if err != nil {
			first.Close()
			continue // somebody else has it
		}
		return httptestutil.NewOrigin(t, httptestutil.OriginOptions{Listener: first}),
			httptestutil.NewOrigin(t, httptestutil.OriginOptions{Listener: second}), port
	}
	t.Fatal("no port is free on both addresses")
	return nil, nil, ""
}

// answerSettled waits until the Transport knows the answer of its resolver.
func answerSettled(t *testing.T, tr *Transport, host string, want ...string) {
	t.Helper()
	nettest.Eventually(t, "the new answer is known", func() bool {
		answer, err := tr.core.names.Lookup(t.Context(), tr.Resolver, "ip", host, always)
		return err == nil && fmt.Sprint(answer.Addrs) == fmt.Sprint(want)
	})
}

func TestAnIdleConnectionToAnyListedAddressIsUsedAndADialFollowsTheResolver(t *testing.T) {
	one, two, port := twins(t)
	r := &httptestutil.Resolver{}
	r.Set(t, "a.test", "127.0.0.2")
	tr := peerTransport(t, &Transport{Resolver: r, DNSRefresh: always})
	peerGet(t, tr, "http://a.test:"+port, nil)

	r.Set(t, "a.test", "127.0.0.1", "127.0.0.2")
	answerSettled(t, tr, "a.test", "127.0.0.1", "127.0.0.2")
	for range 5 {
		if seen := peerGet(t, tr, "http://a.test:"+port, nil); seen.Origin != two.Addr() || seen.Conn != 1 {
			t.Errorf("the request went to connection %d of %s", seen.Conn, seen.Origin)
		}
	}
	two.CloseConns()
	nettest.Eventually(t, "the idle connection is closed", func() bool { return tr.Stats().Idle == 0 })
	if seen := peerGet(t, tr, "http://a.test:"+port, nil); seen.Origin != one.Addr() {
		t.Errorf("the dial went to %s, want the first address that is listed", seen.Origin)
	}
}

func TestAnAddressThatIsListedNoMoreGetsNoNewRequestsAndItsIdleConnectionsEnd(t *testing.T) {
	for name, first := range map[string][]string{"the only one": {"127.0.0.2"}, "one of two": {"127.0.0.2", "127.0.0.1"}} {
		t.Run(name, func(t *testing.T) {
			one, two, port := twins(t)
			r := &httptestutil.Resolver{}
			r.Set(t, "a.test", first...)
			tr := peerTransport(t, &Transport{Resolver: r, DNSRefresh: always})
			if seen := peerGet(t, tr, "http://a.test:"+port, nil); seen.Origin != two.Addr() {
				t.Fatalf("the first request went to %s", seen.Origin)
			}
			r.Set(t, "a.test", "127.0.0.1")
			answerSettled(t, tr, "a.test", "127.0.0.1")
			for want := 1; want <= 3; want++ {
				if seen := peerGet(t, tr, "http://a.test:"+port, nil); seen.Origin != one.Addr() || seen.Seq != want {
					t.Errorf("request %d is number %d at %s", want, seen.Seq, seen.Origin)
				}
			}
			nettest.Eventually(t, "the connection to the other address is closed", func() bool {
				return tr.Stats().Closes["unlisted"] == 1
			})
			two.WaitOpenConns(0)
		})
	}
}

func TestAnAddressThatFailsIsGivenUpForTheNext(t *testing.T) {
	one, two, port := twins(t)
	r := &httptestutil.Resolver{}
	r.Set(t, "a.test", "127.0.0.2")
	tr := peerTransport(t, &Transport{Resolver: r, DNSRefresh: always})
	peerGet(t, tr, "http://a.test:"+port, nil)
	r.Set(t, "a.test", "127.0.0.2", "127.0.0.1")
	answerSettled(t, tr, "a.test", "127.0.0.2", "127.0.0.1")

	two.Stop()
	for want := 1; want <= 3; want++ {
		if seen := peerGet(t, tr, "http://a.test:"+port, nil); seen.Origin != one.Addr() || seen.Seq != want {
			t.Errorf("request %d is number %d at %s", want, seen.Seq, seen.Origin)
		}
	}
}

func TestTheFirstRequestPassesOverAnAddressThatRefuses(t *testing.T) {
	peerNeedsSecondLoopback(t)
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	r := &httptestutil.Resolver{}
	r.Set(t, "a.test", "127.0.0.2", "127.0.0.1")
	tr := peerTransport(t, &Transport{Resolver: r})
	peerGet(t, tr, peerURL(t, o, "a.test"), nil)
	if n := o.Conns(); n != 1 {
		t.Errorf("the first request took %d connections", n)
	}
	if s := tr.Stats(); s.Dials != 1 || s.DialFailures != 0 {
		t.Errorf("%d dials, %d of them failed, want one that did not", s.Dials, s.DialFailures)
	}
}

// A net.Dialer does the same. The report lists all errors.
func TestWhenEveryAddressFailsTheErrorIsThatOfTheFirst(t *testing.T) {
	peerNeedsSecondLoopback(t)
	port := peerPort(t, nettest.RefusingAddr(t))
	r := &httptestutil.Resolver{}
	r.Set(t, "a.test", "127.0.0.2", "127.0.0.1")
	tr := peerTransport(t, &Transport{Resolver: r})
	err := peerFail(t, tr, "http://a.test:"+port, nil)
	told := peerWantHop(t, err, "connect")
	if op, ok := told.Err.(*net.OpError); !ok || op.Op != "dial" || op.Addr.String() != "127.0.0.2:"+port {
		t.Errorf("got %v, want the error of dialing the first address", err)
	}
	if len(told.Dials) != 1 {
		t.Fatalf("%d dials, want one", len(told.Dials))
	}
	for _, addr := range []string{"127.0.0.1:" + port, "127.0.0.2:" + port} {
		if !strings.Contains(told.Dials[0].Err.Error(), addr) {
			t.Errorf("%q does not tell of %s", told.Dials[0].Err, addr)
		}
	}
}

func TestHostsThatShareAnAddressShareItsConnections(t *testing.T) {
	peerNeedsSecondLoopback(t)
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	r := &httptestutil.Resolver{}
	r.Set(t, "a.test", "127.0.0.2", "127.0.0.1")
	r.Set(t, "b.test", "127.0.0.2", "127.0.0.1")
	tr := peerTransport(t, &Transport{Resolver: r})
	peerGet(t, tr, peerURL(t, o, "a.test"), nil)
	if seen := peerGet(t, tr, peerURL(t, o, "b.test"), nil); seen.Conn != 1 || seen.Seq != 2 {
		t.Errorf("the request is number %d on connection %d, want number 2 on connection 1", seen.Seq, seen.Conn)
	}
	if n := o.Conns(); n != 1 {
		t.Errorf("%d connections were made, want one", n)
	}
}

func TestARouteThatWasAskedForLastIsForgottenLikeAnyOther(t *testing.T) {
	for name, forget := range map[string]func(*routes, *route){
		"with its identity": func(rs *routes, r *route) { rs.forget(r.id) },
		"dropped":           (*routes).drop,
		"replaced": func(rs *routes, r *route) {
			rs.put(&route{plan: plan{key: r.key}, id: unique.Make(Identity{address: "another"})})
		},
	} {
		t.Run(name, func(t *testing.T) {
			var rs routes
			r := &route{plan: plan{key: routeKey{host: "example.test"}}, id: unique.Make(Identity{address: "one"})}
			rs.put(r)
			for range 2 { // the second time, it is the route that was asked for last
				if rs.get(&r.key) != r {
					t.Fatal("the route is not remembered")
				}
			}
			forget(&rs, r)
			if rs.get(&r.key) == r {
				t.Error("the route is still found")
			}
		})
	}
}

// rememberedRoutes returns how many routes tr remembers.
func rememberedRoutes(tr *Transport) int {
	rs := &tr.core.routes
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	for _, same := range rs.byIdentity {
		if same.count() > maxRoutes {
			return -1
		}
	}
	return len(rs.byKey)
}

// The connections of the identity never end, so they would keep a route for each host.
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
			if n := rememberedRoutes(tr); n != maxRoutes {
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

// TestWhatAPeerWithOneConnectionTakesIsLittle holds the sizes of what there is once for each peer or for each connection.
// TestARouteKeepsNoURLInMemory is about URLs that are long: the scheme and the host of a parsed URL are parts of its text.
func TestARouteKeepsNoURLInMemory(t *testing.T) {
	plain := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	r := &httptestutil.Resolver{}
	r.Set(t, "one.example.test", "127.0.0.1")
	for _, host := range []string{"127.0.0.1", "one.example.test", "ONE.example.test"} {
		tr := peerTransport(t, &Transport{Resolver: r})
		target := peerURL(t, plain, host) + "/" + strings.Repeat("x", 1<<10)
		peerGet(t, tr, target, nil)
		begin := uintptr(unsafe.Pointer(unsafe.StringData(target)))
		for key, route := range tr.use().routes.byKey {
			for _, text := range []string{key.scheme, key.host, route.key.scheme, route.key.host, route.authority} {
				if at := uintptr(unsafe.Pointer(unsafe.StringData(text))); begin <= at && at < begin+uintptr(len(target)) {
					t.Errorf("the route to %s keeps %q, a part of the URL", host, text)
				}
			}
		}
	}
}

func TestWhatAPeerWithOneConnectionTakesIsLittle(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("the sizes are those of 64 bits")
	}
	for name, size := range map[string]struct{ got, most uintptr }{
		"a route":                {unsafe.Sizeof(route{}), 224},
		"an Identity":            {unsafe.Sizeof(Identity{}), 256},
		"what has been learned":  {unsafe.Sizeof(learned{}), 80},
		"an HTTP/1.1 connection": {unsafe.Sizeof(http1Conn{}), 128},
	} {
		if size.got > size.most {
			t.Errorf("%s has %d bytes, want at most %d", name, size.got, size.most)
		}
	}
}
