package pool

import (
	"fmt"
	"slices"
	"testing"
)

// balancedWorld has a host "x" of three keys with this Balance.
func balancedWorld(w *world, balance Balance, maxConns int) *Host[string, fake] {
	h := w.pool.NewHost([]string{"a", "b", "c"}, nil)
	h.SetBalance(balance, w, maxConns)
	w.hosts["x"] = h
	return h
}

func TestABalancedHostSpreadsItsDials(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		balancedWorld(w, BalanceRoundRobin, 0)
		for range 6 {
			w.acquire("x", Terms{})
		}
		for range 6 {
			w.dialed()
		}
		for key, k := range w.pool.Stats().Keys {
			if k.Active != 2 {
				t.Errorf("%d connections of %s, want 2", k.Active, key)
			}
		}
	})
}

func TestRoundRobinHasEachKeyServeAsOftenAndDialsForTheOneThatLacksAConnection(t *testing.T) {
	for _, balance := range []Balance{BalanceRoundRobin, BalanceLeastLeases} {
		t.Run(fmt.Sprint(balance), func(t *testing.T) {
			inBubble(t, config{}, func(t *testing.T, w *world) {
				balancedWorld(w, balance, 0)
				first := w.acquire("x", Terms{})
				w.dialed()
				w.release(first.leased())
				served := make(map[string]int)
				for range 30 { // never waits, though at first there is one connection alone
					lease := w.try("x", Terms{})
					served[lease.Key()]++
					for range w.dials() {
						w.dialed()
					}
					w.release(lease)
				}
				for _, key := range []string{"a", "b", "c"} {
					if served[key] < 8 || served[key] > 12 {
						t.Errorf("the keys have served %v, want 10 each, give or take 2", served)
					}
				}
				if got := w.pool.Stats().Opened; got != 3 {
					t.Errorf("%d connections were opened, want 3", got)
				}
			})
		})
	}
}

func TestABalancedHostThatIsForgottenBeginsWithAKeyThatItDraws(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		balancedWorld(w, BalanceRoundRobin, 0)
		for i, key := range []string{"c", "a", "b", "b"} {
			w.pool.pick = func(n int) int { return slices.Index([]string{"a", "b", "c"}[:n], key) }
			call := w.acquire("x", Terms{})
			w.dialed()
			lease := call.leased()
			if lease.Key() != key {
				t.Errorf("request %d was served by %s, want %s", i, lease.Key(), key)
			}
			w.discard(lease, "done")
		}
	})
}

func TestABalancedHostDialsForALackingKeyWithinMaxConns(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		balancedWorld(w, BalanceRoundRobin, 1)
		terms := Terms{MaxConns: 1}
		first := w.acquire("x", terms)
		w.dialed()
		w.release(first.leased())
		for range 5 {
			w.release(w.try("x", terms))
			w.wantDials(0)
		}
	})
}

func TestANewKeyGetsItsShareAndNoMore(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		h := balancedWorld(w, BalanceRoundRobin, 0)
		h.SetKeys([]string{"a", "b"})
		take := func(served map[string]int) {
			call := w.acquire("x", Terms{})
			for range w.dials() {
				w.dialed()
			}
			lease := call.leased()
			served[lease.Key()]++
			w.release(lease)
		}
		for range 100 {
			take(make(map[string]int))
		}
		h.SetKeys([]string{"a", "b", "c"})
		served := make(map[string]int)
		for range 30 {
			take(served)
		}
		if served["c"] < 8 || served["c"] > 12 {
			t.Errorf("the keys have served %v since there are three, want 10 each, give or take 2", served)
		}
	})
}

// crowded has a host "x" of twenty keys with this Balance, each with a connection that idles.
func crowded(w *world, balance Balance) *Host[string, fake] {
	var keys []string
	for i := range 20 {
		keys = append(keys, fmt.Sprint("k", i))
	}
	h := w.pool.NewHost(keys, nil)
	h.SetBalance(balance, w, 0)
	w.hosts["x"] = h
	calls := make([]*call, len(keys))
	for i := range calls {
		calls[i] = w.acquire("x", Terms{})
	}
	for range calls {
		w.dialed()
	}
	for _, c := range calls {
		w.release(c.leased())
	}
	return h
}

func TestRoundRobinOverManyKeysTakesThemInTurn(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		crowded(w, BalanceRoundRobin)
		served := make(map[string]int)
		for range 200 {
			lease := w.try("x", Terms{})
			served[lease.Key()]++
			w.release(lease)
		}
		for key, n := range served {
			if n != 10 {
				t.Errorf("%s has served %d of 200 requests, want 10", key, n)
			}
		}
		if len(served) != 20 {
			t.Errorf("%d keys have served, want 20", len(served))
		}
	})
}

func TestFewestLeasesOverManyKeysSpreadsThem(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		crowded(w, BalanceLeastLeases)
		served := make(map[string]int)
		for range 2000 {
			lease := w.try("x", Terms{})
			served[lease.Key()]++
			w.release(lease)
		}
		for key, n := range served {
			if n < 50 || n > 150 {
				t.Errorf("%s has served %d of 2000 requests, want about 100", key, n)
			}
		}
	})
}

func TestABalanceDoesNotDialForAConnectionThatCouldNotIdle(t *testing.T) {
	inBubble(t, config{MaxIdlePerKey: 1}, func(t *testing.T, w *world) {
		balancedWorld(w, BalanceRoundRobin, 0)
		first := w.acquire("x", Terms{})
		w.dialed()
		w.release(first.leased())
		for range 20 {
			w.release(w.try("x", Terms{}))
			w.wantDials(0)
		}
	})
}

func TestAKeyThatWasNotListedDoesNotMakeUpForThat(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		h := balancedWorld(w, BalanceRoundRobin, 0)
		w.take(30)
		h.SetKeys([]string{"a", "b"})
		w.take(300)
		h.SetKeys([]string{"a", "b", "c"})
		if served := w.take(30); served["c"] < 8 || served["c"] > 12 {
			t.Errorf("the keys have served %v since there are three again, want 10 each, give or take 2", served)
		}
	})
}

func TestABalanceDoesNotDialForAnUndialedKey(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		h := balancedWorld(w, BalanceRoundRobin, 0)
		h.SetUndialed([]string{"b", "c"})
		for range 6 {
			call := w.acquire("x", Terms{})
			for range w.dials() {
				w.dialed()
			}
			lease := call.leased()
			if lease.Key() != "a" {
				t.Errorf("a connection to %s was dialed", lease.Key())
			}
			w.release(lease)
		}
		if got := w.pool.Stats(); got.Dials != 1 {
			t.Errorf("%d dials, want 1", got.Dials)
		}
	})
}
