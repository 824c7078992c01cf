package peerpool

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// booked returns a host with these addresses of its own, without a pool or a network.
func booked(t *testing.T, addrs ...string) *host {
	t.Helper()
	tr := &Transport{}
	tr.runtime()
	head := &route{plan: plan{t: tr, peer: &noOptions}, learned: new(learned), version: 1}
	var listed []netip.AddrPort
	for _, addr := range addrs {
		listed = append(listed, netip.AddrPortFrom(netip.MustParseAddr(addr), 80))
	}
	return newHost(head, listed)
}

func (h *host) texts() (addrs []string) {
	order, _ := h.order(netip.AddrPort{})
	for _, addr := range order {
		addrs = append(addrs, addr.Addr().String())
	}
	return addrs
}

func at(addr string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(addr), 80) }

func wantOrder(t *testing.T, h *host, want ...string) {
	t.Helper()
	if got := h.texts(); !slices.Equal(got, want) {
		t.Errorf("the addresses are dialed in the order %v, want %v", got, want)
	}
}

func TestAnAddressThatDoesNotAnswerIsDialedLastAtOnceAndOneThatRefusesAfterAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := booked(t, "192.0.2.1", "192.0.2.2", "192.0.2.3")
		h.failed(at("192.0.2.1"), true, errSilent)
		wantOrder(t, h, "192.0.2.2", "192.0.2.3", "192.0.2.1")

		h = booked(t, "192.0.2.1", "192.0.2.2", "192.0.2.3")
		for range maxFailures {
			wantOrder(t, h, "192.0.2.1", "192.0.2.2", "192.0.2.3")
			h.failed(at("192.0.2.1"), false, errSilent)
		}
		wantOrder(t, h, "192.0.2.2", "192.0.2.3", "192.0.2.1")
	})
}

func TestFailuresThatDoNotFollowOneAnotherDoNotLeaveAnAddressOut(t *testing.T) {
	h := booked(t, "192.0.2.1", "192.0.2.2")
	for range 3 * maxFailures {
		h.failed(at("192.0.2.1"), false, errSilent)
		h.answered(at("192.0.2.1"))
	}
	wantOrder(t, h, "192.0.2.1", "192.0.2.2")
}

func TestAnAddressThatIsLeftOutIsTriedByOneDialAndLeftOutForLongerIfThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := booked(t, "192.0.2.1", "192.0.2.2", "192.0.2.3")
		var last time.Duration
		for range 8 {
			h.failed(at("192.0.2.2"), true, errSilent)
			out := h.book.state[at("192.0.2.2")].out - time.Since(started)
			if out <= 0 || out > longestOut*5/4 || last < longestOut/2 && out < last*6/5 {
				t.Errorf("it is left out for %v, and was for %v before", out, last)
			}
			last = out
			wantOrder(t, h, "192.0.2.1", "192.0.2.3", "192.0.2.2")
			time.Sleep(out)
			wantOrder(t, h, "192.0.2.2", "192.0.2.1", "192.0.2.3") // this dial tries it
			wantOrder(t, h, "192.0.2.1", "192.0.2.3", "192.0.2.2") // and no other does
		}
		h.answered(at("192.0.2.2"))
		wantOrder(t, h, "192.0.2.1", "192.0.2.2", "192.0.2.3")
	})
}

func TestNeverMoreThanHalfOfTheAddressesAreLeftOut(t *testing.T) {
	h := booked(t, "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5")
	for _, addr := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5"} {
		h.failed(at(addr), true, errSilent)
	}
	wantOrder(t, h, "192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.1", "192.0.2.2")
}

func TestLimitsOfAHostHoldForAllItsAddressesTogether(t *testing.T) {
	one, two, port := twins(t)
	r := &httptestutil.Resolver{}
	r.Set(t, "a.test", "127.0.0.1", "127.0.0.2")
	tr := peerTransport(t, &Transport{Resolver: r, MaxConnsPerHost: 3, MaxIdleConnsPerHost: 2, DNSRefresh: always})
	swapped := false
	var wg sync.WaitGroup
	for i := range 60 {
		if i%5 == 0 { // so that dials go to either address
			if swapped = !swapped; swapped {
				r.Set(t, "a.test", "127.0.0.2", "127.0.0.1")
			} else {
				r.Set(t, "a.test", "127.0.0.1", "127.0.0.2")
			}
		}
		wg.Go(func() {
			if err := peerTry(tr, peerRequest(t, "http://a.test:"+port, nil)); err != nil {
				t.Error(err)
			}
			if s := tr.Stats(); s.Active+s.Idle+s.Dialing > 3 || s.Idle > 2 {
				t.Errorf("%d active, %d idle and %d dialing", s.Active, s.Idle, s.Dialing)
			}
		})
	}
	wg.Wait()
	if n := one.OpenConns() + two.OpenConns(); n > 3 {
		t.Errorf("%d connections are open", n)
	}
}

func TestTheLookUpOfARequestThatWaitedIsPartOfItsDial(t *testing.T) {
	for _, addrs := range [][]string{{"127.0.0.1"}, {"127.0.0.1", "127.0.0.2"}} {
		t.Run(fmt.Sprint(len(addrs)), func(t *testing.T) {
			o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
			const took = 20 * time.Millisecond
			var dials []DialDone
			tr := peerTransport(t, &Transport{
				MaxConnsPerHost: 5,
				Resolver: resolverFunc(func(context.Context, string, string) ([]netip.Addr, error) {
					time.Sleep(took)
					var found []netip.Addr
					for _, addr := range addrs {
						found = append(found, netip.MustParseAddr(addr))
					}
					return found, nil
				}),
				Observer: &Observer{DialDone: func(_ context.Context, d DialDone) { dials = append(dials, d) }},
			})
			peerGet(t, tr, peerURL(t, o, "a.test"), nil)
			if len(dials) != 1 || dials[0].Resolve < took || dials[0].Identity.Address() != o.Addr() {
				t.Errorf("the dials are %+v, want one whose look-up took %v", dials, took)
			}
		})
	}
}

func TestTheSocketThatWonTheRaceIsTheConnection(t *testing.T) {
	for _, limit := range []int{0, 5} {
		one, two, port := twins(t)
		r := &httptestutil.Resolver{}
		r.Set(t, "a.test", "127.0.0.1", "127.0.0.2")
		tr := peerTransport(t, &Transport{Resolver: r, MaxConnsPerHost: limit})
		for range 3 {
			peerGet(t, tr, "http://"+net.JoinHostPort("a.test", port), nil)
		}
		if s := tr.Stats(); s.Dials != 1 || s.Opened != 1 || one.Conns()+two.Conns() != 1 {
			t.Errorf("with a limit of %d: %d dials, %d opened, %d accepted, want one", limit, s.Dials, s.Opened, one.Conns()+two.Conns())
		}
	}
}
