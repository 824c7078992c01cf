package peerpool

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

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
			synctest.Wait() // the race has ended
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
		_, nc, _, err := h.connect(t.Context(), nil, groundwork{})
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		synctest.Wait() // the race has ended
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

func TestALookUpWithoutAnAnswerHasFailed(t *testing.T) {
	for name, answer := range map[string]func() ([]netip.Addr, error){
		"hangs":              func() ([]netip.Addr, error) { time.Sleep(time.Hour); return nil, nil },
		"panics":             func() ([]netip.Addr, error) { panic("broken") },
		"ends its goroutine": func() ([]netip.Addr, error) { runtime.Goexit(); return nil, nil },
		"finds nothing":      func() ([]netip.Addr, error) { return nil, nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told []error
				r := resolverFunc(func(context.Context, string, string) ([]netip.Addr, error) { return answer() })
				tr := peerTransport(t, &Transport{Resolver: r, Observer: &Observer{
					ResolveDone: func(_ context.Context, d ResolveDone) { told = append(told, d.Err) },
				}})
				if peerTry(tr, peerRequest(t, "http://a.test/", nil)) == nil {
					t.Error("it was answered")
				}
				synctest.Wait()
				if s := tr.Stats(); s.Lookups != 1 || s.LookupFailures != 1 || len(told) != 1 || told[0] == nil {
					t.Errorf("%d look-ups, of which %d failed, and the observer was told %v, want one", s.Lookups, s.LookupFailures, told)
				}
				time.Sleep(time.Hour)
			})
		})
	}
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

func TestAnAnswerOnAnOpenConnectionTakesAnAvoidedAddressBackWhenItsTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, &Transport{})
		c.at(2).refuses.Store(true)
		c.mustGet(1)
		c.at(2).refuses.Store(false)
		h := c.tr.core.routes.hosts()[0]
		m := h.members.Load().all[0]
		for range defaultFailures {
			h.failed(m, EjectConnect, syscall.ECONNREFUSED)
		}
		c.mustGet(5)
		c.wantState(1, AddressAvoided, EjectConnect) // its time is not over
		time.Sleep(4 * time.Second)
		c.wantState(1, AddressAvoided, EjectConnect) // nothing has tried it
		c.mustGet(1)
		c.wantState(1, AddressListed, "")
		if n := c.at(1).connects.Load(); n != 1 {
			t.Errorf("%d connects, want the one before", n)
		}
		if n := len(c.changes); n != 2 || !c.changes[1].Ended {
			t.Errorf("%d changes were told: %+v", n, c.changes)
		}
	})
}
