package resolve

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

func TestAFreshAnswerNeedsNoLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Cache
		r := saying("192.0.2.1", "2001:db8::1")
		first := mustLookup(t, &c, r)
		if want := parse("192.0.2.1", "2001:db8::1"); !slices.Equal(first.Addrs, want) {
			t.Fatalf("addresses %v, want %v", first.Addrs, want)
		}
		time.Sleep(ttl - 1)
		mustLookup(t, &c, r)
		synctest.Wait()
		r.wantAsked(t, 1)
	})
}

func TestAFreshAnswerCostsNoAllocation(t *testing.T) {
	var c Cache
	r := saying("192.0.2.1")
	ctx := t.Context()
	allocs := testing.AllocsPerRun(100, func() {
		if _, err := c.Lookup(ctx, r, "ip", host, time.Hour); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Fatalf("%v allocations for a fresh answer", allocs)
	}
}

func TestAnExpiredAnswerIsUsedAndRefreshedByOneLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Cache
		r := saying("192.0.2.1")
		old := mustLookup(t, &c, r)
		r.says("192.0.2.2")
		r.release = make(chan struct{})

		time.Sleep(ttl)
		for range 3 {
			if got := mustLookup(t, &c, r); got.Version != old.Version {
				t.Fatalf("got %v while the refresh is under way, want the old %v", got, old)
			}
		}
		synctest.Wait()
		r.wantAsked(t, 2)

		close(r.release)
		synctest.Wait()
		if got := mustLookup(t, &c, r); !slices.Equal(got.Addrs, parse("192.0.2.2")) {
			t.Fatalf("got %v after the refresh", got)
		}
		r.wantAsked(t, 2)
	})
}

func TestAFailedRefreshKeepsTheAnswerAndPausesLongerEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Cache
		r := saying("192.0.2.1")
		mustLookup(t, &c, r)
		r.fails(errServFail)
		time.Sleep(ttl)

		start := time.Now()
		var asked []int
		for range 200 { // a request a second
			before := r.asked.Load()
			if got := mustLookup(t, &c, r); !slices.Equal(got.Addrs, parse("192.0.2.1")) {
				t.Fatalf("got %v from a resolver that fails, want the old answer", got)
			}
			synctest.Wait()
			if r.asked.Load() > before {
				asked = append(asked, int(time.Since(start).Seconds()))
			}
			time.Sleep(time.Second)
		}
		if want := []int{0, 1, 3, 7, 15, 31, 63, 123, 183}; !slices.Equal(asked, want) {
			t.Fatalf("refreshed at seconds %v, want %v", asked, want)
		}
	})
}

func TestAGoodAnswerEndsThePauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Cache
		r := saying("192.0.2.1")
		mustLookup(t, &c, r)

		for range 2 {
			r.fails(errServFail)
			time.Sleep(ttl)
			mustLookup(t, &c, r)
			synctest.Wait()
			r.says("192.0.2.1")
			time.Sleep(firstPause) // a second failure in a row would have to wait longer
			before := r.asked.Load()
			mustLookup(t, &c, r)
			synctest.Wait()
			r.wantAsked(t, before+1)
		}
	})
}

func TestAnAnswerTooStaleIsNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Cache
		r := saying("192.0.2.1")
		mustLookup(t, &c, r)
		r.fails(errServFail)

		time.Sleep(ttl + MaxStale - 1)
		mustLookup(t, &c, r)
		synctest.Wait()
		time.Sleep(time.Nanosecond)
		if answer, err := c.Lookup(t.Context(), r, "ip", host, ttl); err != errServFail {
			t.Fatalf("got %v, %v, want the resolver's error", answer, err)
		}
	})
}

func TestATTLBeyondAllBoundsKeepsTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Cache
		r := saying("192.0.2.1")
		const forever = time.Duration(1<<63 - 1)
		for range 2 {
			if _, err := c.Lookup(t.Context(), r, "ip", host, forever); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * MaxStale)
		}
		synctest.Wait()
		r.wantAsked(t, 1)
	})
}

func TestATTLOfZeroOrLessUsesTheLastAnswerAndRefreshesAtEveryLookup(t *testing.T) {
	for _, ttl := range []time.Duration{0, -2 * MaxStale, -1 << 63} {
		synctest.Test(t, func(t *testing.T) {
			var c Cache
			r := saying("192.0.2.1")
			mustLookup(t, &c, r)
			r.release = make(chan struct{})
			for refreshes := range int32(3) {
				if _, err := c.Lookup(t.Context(), r, "ip", host, ttl); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				r.wantAsked(t, 2+refreshes)
				r.release <- struct{}{}
				synctest.Wait()
			}
		})
	}
}

func TestTheVersionChangesWithTheAddressesOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Cache
		r := saying("192.0.2.1", "192.0.2.2")
		refreshed := func() uint64 {
			time.Sleep(ttl)
			mustLookup(t, &c, r)
			synctest.Wait()
			return mustLookup(t, &c, r).Version
		}
		first := refreshed()
		if again := refreshed(); again != first || first == 0 {
			t.Fatalf("version %d, then %d for the same addresses", first, again)
		}
		r.says("192.0.2.2", "192.0.2.1")
		second := refreshed()
		r.says("192.0.2.1", "192.0.2.2")
		if third := refreshed(); second == first || third == second || third == first {
			t.Fatalf("versions %d, %d, %d for changing addresses", first, second, third)
		}
	})
}

func TestTheHostUnusedForLongestIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Cache
		r := saying("192.0.2.1")
		ask := func(host string) Answer {
			answer, err := c.Lookup(t.Context(), r, "ip", host, ttl)
			if err != nil {
				t.Fatal(err)
			}
			return answer
		}
		for i := range MaxHosts {
			ask(strconv.Itoa(i))
		}
		ask("0") // so that "1" is the one unused for longest
		one := ask("one more")
		r.wantAsked(t, MaxHosts+1)

		ask("0")
		r.wantAsked(t, MaxHosts+1)
		if again := ask("1"); again.Version <= one.Version {
			t.Fatalf("version %d of a forgotten host is not newer than %d", again.Version, one.Version)
		}
		r.wantAsked(t, MaxHosts+2)
		if c.used.Len() != MaxHosts || len(c.known) != MaxHosts || len(c.flights) != 0 {
			t.Fatalf("%d hosts in the list, %d in the map, %d look-ups under way",
				c.used.Len(), len(c.known), len(c.flights))
		}
	})
}

func TestEachNetworkIsAQuestionOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Cache
		all := resolverFunc(func(context.Context, string, string) ([]netip.Addr, error) {
			addrs := parse("::ffff:192.0.2.1", "2001:db8::1", "192.0.2.1", "192.0.2.2", "2001:db8::1")
			return append(addrs, netip.Addr{}), nil
		})
		for network, want := range map[string][]netip.Addr{
			"ip":  parse("192.0.2.1", "2001:db8::1", "192.0.2.2"),
			"ip4": parse("192.0.2.1", "192.0.2.2"),
			"ip6": parse("2001:db8::1"),
		} {
			answer, err := c.Lookup(t.Context(), all, network, host, ttl)
			if err != nil || !slices.Equal(answer.Addrs, want) {
				t.Errorf("%s: got %v, %v, want %v", network, answer.Addrs, err, want)
			}
		}
	})
}

func TestAnEqualAnswerHasTheSameVersionAndAHigherNumber(t *testing.T) {
	var c Cache
	if known := c.Known("ip", host); known.Number != 0 || known.Addrs != nil {
		t.Errorf("%+v is known before the first look-up", known)
	}
	r := saying("192.0.2.1")
	first := mustLookup(t, &c, r)
	c.Refresh(t.Context(), r, "ip", host)
	second := c.Known("ip", host)
	if second.Version != first.Version || second.Number <= first.Number || !slices.Equal(second.Addrs, first.Addrs) {
		t.Errorf("%+v came after %+v", second, first)
	}
}
