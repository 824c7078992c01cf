package peerpool

import (
	"context"
	"errors"
	"math"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// cluster is a simulated network for a bubble: servers at 192.0.2.1 and so on, which a host a.test has.
type cluster struct {
	t       *testing.T
	tr      *Transport
	servers map[netip.Addr]*simulated
	changes []AddressChange // told so far
	mu      sync.Mutex      // guards changes
}

// simulated is one server of a cluster.
type simulated struct {
	listener *httptestutil.Listener
	server   *http.Server
	dark     atomic.Bool // connects hang
	refuses  atomic.Bool // connects fail
	connects atomic.Int64
	requests atomic.Int64
	serve    atomic.Pointer[http.HandlerFunc]
}

func (s *simulated) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	(*s.serve.Load())(w, r)
}

func (s *simulated) does(f http.HandlerFunc) { s.serve.Store(&f) }

// What servers do.
var (
	serves  http.HandlerFunc = func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("well")) }
	aborts  http.HandlerFunc = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	errs    http.HandlerFunc = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }
	hangs   http.HandlerFunc = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	cutsOff http.HandlerFunc = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		w.Write([]byte("short"))
		panic(http.ErrAbortHandler)
	}
)

// newCluster starts that many servers, and a Transport for them. It is called in a bubble.
func newCluster(t *testing.T, n int, tr *Transport) *cluster {
	t.Helper()
	c := &cluster{t: t, tr: peerTransport(t, tr), servers: make(map[netip.Addr]*simulated)}
	r := &httptestutil.Resolver{}
	addr := netip.MustParseAddr("192.0.2.1")
	var addrs []string
	for range n {
		s := &simulated{listener: httptestutil.NewListener(0)}
		s.does(serves)
		s.server = &http.Server{Handler: s}
		go s.server.Serve(s.listener)
		t.Cleanup(func() { s.server.Close() })
		c.servers[addr] = s
		addrs = append(addrs, addr.String())
		addr = addr.Next()
	}
	r.Set(t, "a.test", addrs...)
	tr.Resolver = r
	tr.network = c.connect
	tr.Observer = MultiObserver(tr.Observer, &Observer{AddressChange: func(a AddressChange) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.changes = append(c.changes, a)
	}})
	return c
}

func (c *cluster) connect(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	s := c.servers[addr.Addr()]
	s.connects.Add(1)
	switch {
	case s.dark.Load():
		<-ctx.Done()
		return nil, ctx.Err()
	case s.refuses.Load():
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	return s.listener.Dial(ctx, "tcp", addr.String())
}

// at returns the server whose address ends with that number.
func (c *cluster) at(n byte) *simulated { return c.servers[netip.AddrFrom4([4]byte{192, 0, 2, n})] }

// get sends a GET, and returns what came of it.
func (c *cluster) get() error {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Second)
	defer cancel()
	req := peerRequest(c.t, "http://a.test/", nil).WithContext(ctx)
	return peerTry(c.tr, req)
}

// mustGet sends so many GETs one after the other, which have to be answered.
func (c *cluster) mustGet(n int) {
	c.t.Helper()
	for range n {
		if err := c.get(); err != nil {
			c.t.Error(err)
		}
	}
}

// eject sends GETs until an address is ejected.
func (c *cluster) eject(n byte, does http.HandlerFunc) {
	c.t.Helper()
	c.at(n).does(does)
	for range 200 {
		c.get()
		synctest.Wait() // until dials have ended
		if c.address(n).State == AddressEjected {
			return
		}
	}
	c.t.Fatalf("192.0.2.%d is not ejected: %+v", n, c.address(n))
}

// address returns what the Transport says of an address.
func (c *cluster) address(n byte) AddressStats {
	c.t.Helper()
	for _, h := range c.tr.Stats().Hosts {
		for _, a := range h.Addresses {
			if a.Addr.Addr() == netip.AddrFrom4([4]byte{192, 0, 2, n}) {
				return a
			}
		}
	}
	c.t.Fatalf("nothing is known of 192.0.2.%d", n)
	return AddressStats{}
}

func (c *cluster) wantState(n byte, want AddressState, reason EjectReason) {
	c.t.Helper()
	if a := c.address(n); a.State != want || a.Reason != reason {
		c.t.Errorf("192.0.2.%d is %+v, want %s for %q", n, a, want, reason)
	}
}

func TestAnAddressWhoseRequestsFailGetsNoMoreOfThemAndNoneIsLost(t *testing.T) {
	for name, fails := range map[string]http.HandlerFunc{"no response": aborts, "half of one": cutsOff} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 2, &Transport{Balance: BalanceRoundRobin})
				c.at(1).does(fails)
				lost := 0
				for range 100 {
					if c.get() != nil {
						lost++
					}
					synctest.Wait()
				}
				if half := name == "half of one"; lost > 0 && !half || lost > defaultFailures {
					t.Errorf("%d requests were lost", lost)
				}
				if n := c.at(1).requests.Load(); n > 2*defaultFailures { // those on connections that had idled do not count
					t.Errorf("it got %d requests, want about %d", n, defaultFailures)
				}
				c.wantState(1, AddressEjected, EjectRequest)
				c.wantState(2, AddressListed, "")
			})
		})
	}
}

func TestAnAddressThatDoesNotAnswerInTimeIsEjected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, &Transport{})
		c.at(1).does(hangs)
		for range defaultFailures {
			if err := c.get(); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v, want that it took too long", err)
			}
		}
		c.mustGet(20)
		c.wantState(1, AddressEjected, EjectTimeout)
	})
}

func TestStatusesOf5xxEjectAnAddressOnlyIfTheOptionSaysSo(t *testing.T) {
	for _, errors := range []int{0, 5} {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 2, &Transport{Outliers: Outliers{ServerErrors: errors}})
			c.at(1).does(errs)
			c.mustGet(50)
			want := int64(50)
			if errors > 0 {
				want = int64(errors)
				c.wantState(1, AddressEjected, EjectStatus)
			} else {
				c.wantState(1, AddressListed, "")
			}
			if n := c.at(1).requests.Load(); n != want {
				t.Errorf("with %d, it got %d requests, want %d", errors, n, want)
			}
		})
	}
}

func TestAnEjectedAddressComesBackWithOneRequestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, &Transport{Balance: BalanceRoundRobin})
		c.eject(1, aborts)
		before := c.at(1).requests.Load()

		time.Sleep(3 * time.Second) // it is tried, fails, and is out for about four seconds
		c.mustGet(20)
		if n := c.at(1).requests.Load() - before; n != 1 {
			t.Errorf("%d requests tried it, want one", n)
		}
		c.wantState(1, AddressEjected, EjectRequest)

		c.at(1).does(serves)
		time.Sleep(2 * time.Second)
		c.mustGet(20)
		c.wantState(1, AddressEjected, EjectRequest)
		time.Sleep(3 * time.Second)
		c.mustGet(20)
		c.wantState(1, AddressListed, "")
		if n := c.at(1).requests.Load() - before; n < 8 || n > 13 {
			t.Errorf("it has got %d requests since, want half of 20", n)
		}
		if n := len(c.changes); n != 3 || c.changes[0].State != AddressEjected || !c.changes[2].Ended {
			t.Errorf("%d changes were told: %+v", n, c.changes)
		}
	})
}

func TestOnlyOneRequestAtATimeTriesAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, &Transport{Balance: BalanceRoundRobin})
		c.eject(1, aborts)
		time.Sleep(3 * time.Second)
		before := c.at(1).requests.Load()
		answer := make(chan bool)
		c.at(1).does(func(w http.ResponseWriter, _ *http.Request) { <-answer })
		for range 10 {
			go c.get()
		}
		synctest.Wait()
		if n := c.at(1).requests.Load() - before; n != 1 {
			t.Errorf("%d requests try it at a time", n)
		}
		c.wantState(1, AddressTrial, EjectRequest)
		close(answer)
		synctest.Wait()
		c.wantState(1, AddressListed, "")
	})
}

// An address that does not even answer connects costs one race, and nothing until it is tried again.
func TestADarkAddressCostsOneRaceAndItsConnectionsServeNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, &Transport{})
		c.mustGet(1)
		c.at(1).dark.Store(true)
		c.at(1).does(hangs)
		start := time.Now()
		dial := func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			req := peerRequest(t, "http://a.test/", nil).WithContext(ctx)
			if err := peerTry(c.tr, req); err != nil {
				t.Error(err)
			}
		}
		c.tr.CloseIdleConnections()
		for range 20 {
			dial()
			if a := c.address(1); a.State != AddressAvoided || a.Reason != EjectSilent {
				t.Errorf("%+v", a)
			}
			c.tr.CloseIdleConnections()
		}
		if took := time.Since(start); took > 300*time.Millisecond {
			t.Errorf("20 requests took %v, want one pause of a race", took)
		}
		if n := c.at(1).connects.Load(); n != 2 {
			t.Errorf("%d connects went to it, want the one before and one more", n)
		}
	})
}

func TestTheIdleConnectionsOfASilentAddressServeNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, &Transport{})
		c.at(1).refuses.Store(true)
		c.mustGet(1) // so that the host is known by a connection to the other address
		c.at(1).refuses.Store(false)
		c.at(2).does(func(w http.ResponseWriter, r *http.Request) { time.Sleep(10 * time.Millisecond); serves(w, r) })
		for range 5 { // at once
			go c.get()
		}
		time.Sleep(time.Second)
		if n := c.address(1).Idle; n == 0 {
			t.Fatal("nothing idles")
		}
		c.at(1).dark.Store(true)
		h := c.tr.core.routes.hosts()[0]
		_, nc, err := h.connect(t.Context(), nil, groundwork{})
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if a := c.address(1); a.Idle != 0 || a.State != AddressAvoided {
			t.Errorf("%+v, want no idle connection", a)
		}
		if n := c.tr.Stats().Closes[reasonEjected]; n == 0 {
			t.Error("none was closed for that")
		}
	})
}

func TestAConnectThatFailsInARaceIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failed []ConnectFailed
		c := newCluster(t, 2, &Transport{Observer: &Observer{
			ConnectFailed: func(_ context.Context, f ConnectFailed) { failed = append(failed, f) },
		}})
		c.at(1).refuses.Store(true)
		c.mustGet(1)
		if s := c.tr.Stats(); s.Dials != 1 || s.DialFailures != 0 || s.ConnectFailures != 1 || s.Lookups != 1 || s.LookupFailures != 0 {
			t.Errorf("%+v", s)
		}
		if len(failed) != 1 || !errors.Is(failed[0].Err, syscall.ECONNREFUSED) || failed[0].ErrorType != "connection_refused" ||
			failed[0].Addr.String() != "192.0.2.1:80" || failed[0].Host != "a.test" || failed[0].Silent {
			t.Errorf("%+v", failed)
		}
	})
}

func TestALookUpThatFailsIsCounted(t *testing.T) {
	r := &httptestutil.Resolver{}
	r.Fail("a.test", errors.New("no answer"))
	tr := peerTransport(t, &Transport{Resolver: r})
	if peerTry(tr, peerRequest(t, "http://a.test/", nil)) == nil {
		t.Fatal("it was answered")
	}
	if s := tr.Stats(); s.Lookups != 1 || s.LookupFailures != 1 {
		t.Errorf("%d look-ups, of which %d failed, want one", s.Lookups, s.LookupFailures)
	}
}

func TestOutliersOfNegativeFailuresLeaveNoAddressOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, &Transport{Outliers: Outliers{Failures: -1, ServerErrors: 1}})
		c.at(1).does(aborts)
		c.mustGet(50)
		c.wantState(1, AddressListed, "")
		c.at(1).does(errs)
		c.mustGet(50)
		c.wantState(1, AddressListed, "")
	})
}

func TestARequestThatTheCallerCancelsIsNoFailureOfTheAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, &Transport{})
		c.at(1).does(hangs)
		for range 5 {
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				time.Sleep(time.Second)
				cancel()
			}()
			if err := peerTry(c.tr, peerRequest(t, "http://a.test/", nil).WithContext(ctx)); err == nil {
				t.Error("it was answered")
			}
		}
		c.at(1).does(serves)
		c.mustGet(1)
		c.wantState(1, AddressListed, "")
	})
}

// Connections that a server closes while they idle show nothing: it may have its reasons.
func TestStaleConnectionsAreNoFailureOfTheAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, &Transport{})
		c.mustGet(1)
		for range 10 {
			first := true
			c.at(1).does(func(w http.ResponseWriter, r *http.Request) {
				if first {
					first = false
					panic(http.ErrAbortHandler)
				}
				serves(w, r)
			})
			c.mustGet(1)
		}
		if n := c.at(2).requests.Load(); n != 0 {
			t.Errorf("%d requests went elsewhere", n)
		}
		c.wantState(1, AddressListed, "")
	})
}

func TestAListThatShrinksTakesAddressesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, &Transport{DNSRefresh: time.Minute, Balance: BalanceRoundRobin})
		c.eject(1, aborts)
		time.Sleep(time.Millisecond)
		c.eject(2, aborts)
		c.tr.Resolver.(*httptestutil.Resolver).Set(t, "a.test", "192.0.2.1", "192.0.2.2")
		c.at(1).does(serves)
		h := c.tr.core.routes.hosts()[0]
		h.update(listing{addrs: []netip.AddrPort{h.at("192.0.2.1").addr, h.at("192.0.2.2").addr}, version: h.version + 1})
		c.wantState(1, AddressListed, "")
		c.wantState(2, AddressEjected, EjectRequest)
		c.mustGet(5)
	})
}

// The answer to the request that tries an address may come when the address is not listed.
func TestAnAddressThatIsTriedWhileItIsNotListedIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := watchedCluster(t, 3, &Transport{Balance: BalanceRoundRobin})
		r.changes <- []string{"192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80"}
		c.eject(1, aborts)
		time.Sleep(3 * time.Second)
		answer := make(chan bool)
		c.at(1).does(func(http.ResponseWriter, *http.Request) { <-answer })
		go c.get()
		synctest.Wait()
		c.wantState(1, AddressTrial, EjectRequest)
		r.changes <- []string{"192.0.2.2:80", "192.0.2.3:80"}
		synctest.Wait()
		close(answer)
		synctest.Wait()
		r.changes <- []string{"192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80"}
		synctest.Wait()
		c.at(1).does(serves)
		time.Sleep(5 * time.Second)
		c.mustGet(10)
		c.wantState(1, AddressListed, "")
	})
}

func TestAnAddressCanBeLeftOutForAsLongAsATimeCanBe(t *testing.T) {
	for _, long := range []time.Duration{1, time.Second, 100 * 365 * 24 * time.Hour, math.MaxInt64 / 2, math.MaxInt64} {
		o := Outliers{EjectionTime: long, MaxEjectionTime: long}
		long = min(long, math.MaxInt64/2)
		for range 100 {
			if d := o.span(0); d < long-long/4 || d > long+long/4+1 {
				t.Fatalf("left out for %v instead of %v", d, long)
			}
		}
	}
}

func TestAHostThatWasForgottenTakesAddressesBackToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := watchedCluster(t, 4, &Transport{
			Balance: BalanceRoundRobin, IdleConnTimeout: time.Second, Outliers: Outliers{EjectionTime: time.Hour, MaxEjectionTime: time.Hour},
		})
		r.changes <- []string{"192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80", "192.0.2.4:80"}
		c.eject(1, aborts)
		c.eject(2, aborts)
		time.Sleep(10 * time.Second)
		if n := len(c.tr.Hosts()); n != 0 {
			t.Fatalf("%d hosts are known", n)
		}
		r.changes <- []string{"192.0.2.1:80", "192.0.2.2:80"}
		synctest.Wait()
		c.at(1).does(serves)
		connects := c.at(1).connects.Load()
		c.mustGet(10)
		c.wantState(1, AddressListed, "")
		c.wantState(2, AddressEjected, EjectRequest)
		if n := c.at(1).connects.Load() - connects; n != 1 {
			t.Errorf("%d connects, want one", n)
		}
	})
}
