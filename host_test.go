package peerpool

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unique"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// booked returns a host with these addresses of its own, without a pool or a network.
func booked(t *testing.T, addrs ...string) *host {
	t.Helper()
	tr := &Transport{}
	tr.use()
	head := &route{plan: plan{t: tr, peer: &noOptions}, learned: new(learned), version: 1, id: unique.Make(Identity{network: "tcp", scheme: "http", address: "a.test:80"})}
	var listed []netip.AddrPort
	for _, addr := range addrs {
		listed = append(listed, netip.AddrPortFrom(netip.MustParseAddr(addr), 80))
	}
	return newHost(head, listed)
}

func (h *host) texts() (addrs []string) {
	order, _ := h.order(nil, groundwork{})
	for _, m := range order {
		addrs = append(addrs, m.addr.Addr().String())
	}
	return addrs
}

func (h *host) at(addr string) *route {
	return h.dialed[netip.AddrPortFrom(netip.MustParseAddr(addr), 80)]
}

func wantOrder(t *testing.T, h *host, want ...string) {
	t.Helper()
	if got := h.texts(); !slices.Equal(got, want) {
		t.Errorf("the addresses are dialed in the order %v, want %v", got, want)
	}
}

var errRefused = errors.New("refused")

func TestAnAddressThatDoesNotAnswerIsDialedLastAtOnceAndOneThatRefusesAfterAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := booked(t, "192.0.2.1", "192.0.2.2", "192.0.2.3")
		h.failed(h.at("192.0.2.1"), EjectSilent, errSilent)
		wantOrder(t, h, "192.0.2.2", "192.0.2.3", "192.0.2.1")

		h = booked(t, "192.0.2.1", "192.0.2.2", "192.0.2.3")
		for range defaultFailures {
			wantOrder(t, h, "192.0.2.1", "192.0.2.2", "192.0.2.3")
			h.failed(h.at("192.0.2.1"), EjectConnect, errRefused)
		}
		wantOrder(t, h, "192.0.2.2", "192.0.2.3", "192.0.2.1")
	})
}

func TestFailuresThatDoNotFollowOneAnotherDoNotLeaveAnAddressOut(t *testing.T) {
	h := booked(t, "192.0.2.1", "192.0.2.2")
	m := h.at("192.0.2.1")
	for range 3 * defaultFailures {
		h.failed(m, EjectConnect, errRefused)
		h.connected(m)
		h.failed(m, EjectRequest, nil)
		h.answered(m, false)
	}
	wantOrder(t, h, "192.0.2.1", "192.0.2.2")
}

func TestAnAddressThatIsLeftOutIsTriedByOneDialAndLeftOutForLongerIfThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := booked(t, "192.0.2.1", "192.0.2.2", "192.0.2.3")
		m := h.at("192.0.2.2")
		var last time.Duration
		for range 8 {
			h.failed(m, EjectSilent, errSilent)
			out := m.state.until - time.Since(epoch)
			if longest := defaultMaxEjectionTime; out <= 0 || out > longest*5/4 || last < longest/2 && out < last*6/5 {
				t.Errorf("it is left out for %v, and was for %v before", out, last)
			}
			last = out
			wantOrder(t, h, "192.0.2.1", "192.0.2.3", "192.0.2.2")
			time.Sleep(out)
			wantOrder(t, h, "192.0.2.2", "192.0.2.1", "192.0.2.3") // this dial tries it
			wantOrder(t, h, "192.0.2.1", "192.0.2.3", "192.0.2.2") // and no other does
		}
		h.connected(m)
		wantOrder(t, h, "192.0.2.1", "192.0.2.2", "192.0.2.3")
	})
}

func TestNeverMoreThanHalfOfTheAddressesAreLeftOut(t *testing.T) {
	h := booked(t, "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5")
	for i, addr := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5"} {
		for range defaultFailures {
			h.failed(h.at(addr), []EjectReason{EjectSilent, EjectRequest}[i%2], errSilent)
		}
	}
	wantOrder(t, h, "192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.1", "192.0.2.2")
}

func TestATrialThatIsOverDoesNotEndTheNextOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := booked(t, "192.0.2.1", "192.0.2.2", "192.0.2.3")
		m := h.at("192.0.2.2")
		h.failed(m, EjectSilent, errSilent)
		time.Sleep(m.state.until - time.Since(epoch))
		_, first := h.order(nil, groundwork{})
		h.failed(m, EjectSilent, errSilent)
		time.Sleep(m.state.until - time.Since(epoch))
		_, second := h.order(nil, groundwork{})
		if first.at != m || second.at != m {
			t.Fatal("two dials did not try the address")
		}
		h.endTrial(first) // by a dial that has raced other addresses for long
		wantOrder(t, h, "192.0.2.1", "192.0.2.3", "192.0.2.2")
		h.endTrial(second)
		wantOrder(t, h, "192.0.2.2", "192.0.2.1", "192.0.2.3")
	})
}

func TestAHostThatIsForgottenAgainAndAgainRemembersNoOldAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 100, &Transport{IdleConnTimeout: time.Second})
		r := c.tr.Resolver.(*httptestutil.Resolver)
		for i := range 50 {
			r.Set(t, "a.test", fmt.Sprint("192.0.2.", 2*i+1), fmt.Sprint("192.0.2.", 2*i+2))
			c.mustGet(1)
			c.mustGet(1)
			h := c.tr.core.routes.hosts()[0]
			h.book.mu.Lock()
			if n := len(h.book.state); n > 4 {
				t.Fatalf("%d addresses are remembered, want those that are listed, and those that were before", n)
			}
			h.book.mu.Unlock()
			time.Sleep(10 * time.Minute)
			if n := len(c.tr.core.routes.hosts()); n != 0 {
				t.Fatalf("%d hosts are known", n)
			}
		}
	})
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
