package pool

import (
	"fmt"
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
