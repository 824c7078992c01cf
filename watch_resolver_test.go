package peerpool

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// registry is a WatchResolver: it passes on what is sent to it.
type registry struct {
	changes chan []string // each an address with a port
	fail    chan error
	watches atomic.Int32 // under way
	calls   atomic.Int32 // so far
}

func newRegistry() *registry {
	return &registry{changes: make(chan []string, 1), fail: make(chan error)}
}

func (r *registry) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return nil, errors.New("it was asked")
}

func (r *registry) Watch(ctx context.Context, host string, update func([]netip.AddrPort)) error {
	r.calls.Add(1)
	r.watches.Add(1)
	defer r.watches.Add(-1)
	for {
		select {
		case list := <-r.changes:
			var addrs []netip.AddrPort
			for _, text := range list {
				addrs = append(addrs, netip.MustParseAddrPort(text))
			}
			update(addrs)
		case err := <-r.fail:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// watchedCluster is a cluster whose addresses a registry tells.
func watchedCluster(t *testing.T, n int, tr *Transport) (*cluster, *registry) {
	c := newCluster(t, n, tr)
	r := newRegistry()
	tr.Resolver = r
	t.Cleanup(func() { tr.Shutdown(context.Background()) })
	return c, r
}

func TestAResolverThatPushesChangesIsHeededAtOnceAndNotAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := watchedCluster(t, 3, &Transport{Balance: BalanceRoundRobin})
		r.changes <- []string{"192.0.2.1:0", "192.0.2.2:8080"}
		for range 20 {
			c.mustGet(1)
			synctest.Wait()
		}
		if one, two := c.at(1).requests.Load(), c.at(2).requests.Load(); one < 8 || two < 8 {
			t.Errorf("%d and %d requests, want ten each", one, two)
		}
		if a := c.address(2).Addr; a.Port() != 8080 || c.address(1).Addr.Port() != 80 {
			t.Errorf("the second address is %v", a)
		}
		before := c.at(1).requests.Load()
		r.changes <- []string{"192.0.2.2:8080", "192.0.2.3:80"}
		synctest.Wait()
		for range 20 {
			c.mustGet(1)
			synctest.Wait()
		}
		if n := c.at(3).requests.Load(); n < 8 || c.at(1).requests.Load() != before {
			t.Errorf("the new address got %d requests, the one that left %d", n, c.at(1).requests.Load()-before)
		}
		c.wantState(1, AddressLeaving, "")
		if n := r.calls.Load(); n != 1 {
			t.Errorf("Watch was called %d times", n)
		}
	})
}

func TestAWatchWithoutAnUpdateFailsTheRequestByName(t *testing.T) {
	for name, watch := range map[string]watchFunc{
		"blocks": func(ctx context.Context, _ string, _ func([]netip.AddrPort)) error { <-ctx.Done(); return ctx.Err() },
		"ends its goroutine": func(context.Context, string, func([]netip.AddrPort)) error {
			runtime.Goexit()
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := peerTransport(t, &Transport{Resolver: watch})
				begun := time.Now()
				err := peerTry(tr, peerRequest(t, "http://a.test/", nil))
				if err == nil || !strings.Contains(err.Error(), "a.test") || (name != "blocks") != (time.Since(begun) == 0) {
					t.Errorf("after %v: %v", time.Since(begun), err)
				}
				tr.Shutdown(t.Context())
			})
		})
	}
}

func TestAnUpdateWithoutAValidAddressChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, &Transport{})
		var update func([]netip.AddrPort)
		c.tr.Resolver = watchFunc(func(ctx context.Context, host string, told func([]netip.AddrPort)) error {
			update = told
			told([]netip.AddrPort{{}, netip.MustParseAddrPort("192.0.2.1:80")})
			<-ctx.Done()
			return ctx.Err()
		})
		c.mustGet(1)
		update([]netip.AddrPort{{}})
		time.Sleep(2 * lookInterval)
		c.mustGet(1)
		if err := c.tr.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// watchFunc is a WatchResolver that only watches.
type watchFunc func(context.Context, string, func([]netip.AddrPort)) error

func (f watchFunc) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return nil, errors.New("it was asked")
}

func (f watchFunc) Watch(ctx context.Context, host string, update func([]netip.AddrPort)) error {
	return f(ctx, host, update)
}

func TestARequestWaitsForTheFirstUpdateNoLongerThanItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := watchedCluster(t, 1, &Transport{})
		if err := c.get(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want that it took too long", err)
		}
		done := make(chan error)
		go func() { done <- c.get() }()
		synctest.Wait()
		r.changes <- []string{"192.0.2.1:80"}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestAWatchThatFailsBeforeItsFirstUpdateFailsTheRequestAndIsCalledAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := watchedCluster(t, 1, &Transport{})
		broken := errors.New("the registry is down")
		done := make(chan error)
		go func() { done <- c.get() }()
		r.fail <- broken
		if err := <-done; !errors.Is(err, broken) {
			t.Errorf("%v, want what Watch has returned", err)
		}
		r.changes <- []string{"192.0.2.1:80"}
		c.mustGet(1)
		if s := c.tr.Stats(); s.LookupFailures != 1 {
			t.Errorf("%d look-ups have failed", s.LookupFailures)
		}
	})
}

// downRegistry is a WatchResolver whose Watch fails at once while it is down.
type downRegistry struct {
	*registry
	down atomic.Bool
}

func (r *downRegistry) Watch(ctx context.Context, host string, update func([]netip.AddrPort)) error {
	if r.down.Load() {
		r.calls.Add(1)
		return errors.New("the registry is down")
	}
	return r.registry.Watch(ctx, host, update)
}

func TestARegistryThatIsDownIsAskedLessAndLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, up := watchedCluster(t, 1, &Transport{})
		r := &downRegistry{registry: up}
		r.down.Store(true)
		c.tr.Resolver = r
		for range 200 { // in 20 seconds
			if c.get() == nil {
				t.Fatal("a request was served without an address")
			}
			time.Sleep(100 * time.Millisecond)
		}
		// At once, again at once, and then after 1, 2, 4, 5, and 5 seconds.
		if n := r.calls.Load(); n != 7 {
			t.Errorf("Watch was called %d times in 20 seconds, want 7", n)
		}
		r.down.Store(false)
		r.changes <- []string{"192.0.2.1:80"}
		time.Sleep(longestBlindPause)
		c.mustGet(5)
		if n := r.calls.Load(); n != 8 {
			t.Errorf("Watch was called %d times, want one more when the registry is up", n-7)
		}
	})
}

func TestAWatchThatFailsLaterChangesNothingAndIsCalledAgainAfterAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := watchedCluster(t, 2, &Transport{})
		r.changes <- []string{"192.0.2.1:80"}
		c.mustGet(1)
		r.fail <- errors.New("the registry is down")
		c.mustGet(5)
		synctest.Wait()
		if n := r.watches.Load(); n != 0 {
			t.Errorf("%d watches are under way, want none yet", n)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := r.watches.Load(); n != 1 {
			t.Errorf("%d watches are under way, want one again", n)
		}
		r.changes <- []string{} // an update without addresses changes nothing either
		r.changes <- []string{"192.0.2.2:80"}
		synctest.Wait()
		c.mustGet(1)
		if c.at(2).requests.Load() != 1 {
			t.Error("the update after that was not heeded")
		}
	})
}

func TestAWatchEndsWithTheTransportAndWhenNoRequestNeedsTheHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := watchedCluster(t, 1, &Transport{})
		r.changes <- []string{"192.0.2.1:80"}
		c.mustGet(1)
		time.Sleep(watchQuiet + time.Second)
		synctest.Wait()
		if n := r.watches.Load(); n != 0 {
			t.Errorf("%d watches are under way a minute after the last request", n)
		}
		r.changes <- []string{"192.0.2.1:80"}
		c.mustGet(1)
		for range 10 { // a host that is needed stays watched
			time.Sleep(watchQuiet / 2)
			c.mustGet(1)
		}
		if n := r.watches.Load(); n != 1 || r.calls.Load() != 2 {
			t.Errorf("%d watches are under way after %d calls", n, r.calls.Load())
		}
		if err := c.tr.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n := r.watches.Load(); n != 0 {
			t.Errorf("%d watches are under way after Shutdown", n)
		}
	})
}

// zone has SRV records and addresses.
type zone struct {
	addrs map[string]string

	mu      sync.Mutex // guards the fields below
	records []*net.SRV
	broken  string // the look-up of this target fails
	err     error  // of the look-up of the records
}

func (z *zone) breaks(target string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.broken = target
}

func (z *zone) set(records []*net.SRV) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.records = records
}

func (z *zone) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	if service != "http" || proto != "tcp" || name != "a.test" {
		return "", nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	return "", z.records, z.err
}

func (z *zone) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if host == z.broken {
		return nil, &net.DNSError{Err: "i/o timeout", Name: host, IsTimeout: true}
	}
	if z.addrs[host] == "" {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return []netip.Addr{netip.MustParseAddr(z.addrs[host])}, nil
}

func TestSRVRecordsGiveAddressesAndPortsInTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{addrs: map[string]string{"one.test": "192.0.2.1", "two.test": "192.0.2.2"}}
		z.records = []*net.SRV{{Target: "gone.test.", Port: 1}, {Target: "one.test.", Port: 8001}, {Target: "two.test.", Port: 8002, Priority: 1}}
		c := newCluster(t, 2, &Transport{})
		c.tr.Resolver = &SRVResolver{Service: "http", Lookup: z, Refresh: time.Minute}
		c.mustGet(5)
		if c.at(1).requests.Load() != 5 || c.address(1).Addr.Port() != 8001 || c.address(2).Addr.Port() != 8002 {
			t.Errorf("%+v", c.tr.Stats().Hosts)
		}
		z.set(z.records[2:])
		for range 4 { // a host that is needed stays watched
			time.Sleep(20 * time.Second)
			c.mustGet(1)
		}
		if n := c.at(2).requests.Load(); n == 0 {
			t.Error("the records that have changed are not heeded")
		}
		c.tr.Shutdown(t.Context())
	})
}

func TestATargetWhoseLookUpFailsKeepsItsAddressesAsLongAsItHasARecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{addrs: map[string]string{"one.test": "192.0.2.1", "two.test": "192.0.2.2"}}
		z.records = []*net.SRV{{Target: "one.test.", Port: 80}, {Target: "two.test.", Port: 80}}
		c := newCluster(t, 2, &Transport{Balance: BalanceRoundRobin})
		c.tr.Resolver = &SRVResolver{Service: "http", Lookup: z, Refresh: time.Second}
		c.mustGet(4)
		served := func() (n int64) {
			before := c.at(2).requests.Load()
			time.Sleep(2 * time.Second)
			c.mustGet(12) // more than the turns that the other address may have to make up for
			return int64(c.at(2).requests.Load() - before)
		}
		z.breaks("two.test")
		if served() == 0 {
			t.Error("the target whose look-up fails got no request")
		}
		z.set(z.records[:1])
		if n := served(); n != 0 {
			t.Errorf("the target without a record got %d of 12 requests", n)
		}
		z.set([]*net.SRV{{Target: "one.test.", Port: 80}, {Target: "two.test.", Port: 80}})
		if n := served(); n != 0 {
			t.Errorf("the target, which was forgotten, got %d of 12 requests", n)
		}
		z.breaks("")
		if served() == 0 {
			t.Error("the target whose look-up succeeds again got no request")
		}
		c.tr.Shutdown(t.Context())
	})
}

// A net.Resolver leaves out malformed records, and returns an error beside the others.
func TestOneMalformedSRVRecordCostsNoOtherRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{addrs: map[string]string{"one.test": "192.0.2.1"}, records: []*net.SRV{{Target: "one.test.", Port: 80}}}
		z.err = &net.DNSError{Err: "DNS response contained records which contain invalid names", Name: "a.test"}
		c := newCluster(t, 1, &Transport{})
		c.tr.Resolver = &SRVResolver{Service: "http", Lookup: z}
		c.mustGet(1)
		c.tr.Shutdown(t.Context())
	})
}

func TestAHostWithoutSRVRecordsIsNotFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := peerTransport(t, &Transport{Resolver: &SRVResolver{Service: "http", Lookup: &zone{records: []*net.SRV{{Target: "."}}}}})
		for _, host := range []string{"a.test", "b.test"} {
			err := peerTry(tr, peerRequest(t, "http://"+host+"/", nil))
			if dns, ok := errors.AsType[*net.DNSError](err); !ok || !dns.IsNotFound {
				t.Errorf("%s: %v, want that it is not found", host, err)
			}
		}
		tr.Shutdown(t.Context())
	})
}

func TestUpdatesAloneDoNotKeepAHostWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := watchedCluster(t, 2, &Transport{})
		r.changes <- []string{"192.0.2.1:80", "192.0.2.2:80"}
		c.mustGet(1)
		for range 10 {
			time.Sleep(watchQuiet / 2)
			synctest.Wait() // the watch may end at this very moment
			if r.watches.Load() == 0 {
				return
			}
			r.changes <- []string{"192.0.2.1:80"}
			synctest.Wait()
			r.changes <- []string{"192.0.2.1:80", "192.0.2.2:80"}
			synctest.Wait()
		}
		t.Errorf("%d watches are under way five minutes after the last request", r.watches.Load())
	})
}

func TestShutdownFailsTheRequestThatWaitsForTheFirstUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := watchedCluster(t, 1, &Transport{})
		failed := make(chan error, 1)
		go func() { failed <- peerTry(c.tr, peerRequest(t, "http://a.test/", nil)) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_ = c.tr.Shutdown(ctx)
		synctest.Wait()
		select {
		case err := <-failed:
			if !errors.Is(err, ErrClosed) {
				t.Errorf("error is %v", err)
			}
		default:
			t.Errorf("it failed later: %v", <-failed)
		}
	})
}

// The race detector says whether the dial and the update agree on who writes.
func TestAnAddressIsListedAgainWhileItWaitsForItsTurnInARace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := watchedCluster(t, 2, &Transport{})
		c.at(1).dark.Store(true)
		r.changes <- []string{"192.0.2.1:80", "192.0.2.2:80"}
		done := make(chan error, 1)
		go func() { done <- c.get() }()
		time.Sleep(100 * time.Millisecond)
		r.changes <- []string{"192.0.2.1:80"}
		synctest.Wait()
		r.changes <- []string{"192.0.2.1:80", "192.0.2.2:80"}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
