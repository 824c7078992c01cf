package pool

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
)

// steady is a connection that never fails. If capacity is not 0, it is shared.
type steady struct{ capacity int }

func (steady) Probe() Reason { return "" }
func (steady) Close() error  { return nil }

type steadyShared struct{ steady }

func (c steadyShared) Share(func(int)) int { return c.capacity }

// cluster simulates servers, one for each key of a host. It needs a bubble, and uses no random numbers but its own.
type cluster struct {
	host     *Host[string, Conn]
	keys     []string
	capacity int // of a connection; 0 if it is exclusive
	random   *rand.Rand
	served   map[string]int // how many leases each key has had in the latest run
}

// newCluster returns a cluster of n servers, whose pool spreads the leases with this Balance.
func newCluster(n int, balance Balance, capacity int) *cluster {
	c := &cluster{capacity: capacity, random: rand.New(rand.NewPCG(1, 2))}
	for i := range n {
		c.keys = append(c.keys, fmt.Sprint("k", i))
	}
	p := New(Config[string, Conn]{})
	p.pick = c.random.IntN
	c.host = p.NewHost(c.keys, nil)
	c.host.SetBalance(balance, c, 0)
	return c
}

func (c *cluster) DialHost(_ context.Context, first string) (string, Conn, error) {
	if c.capacity > 0 {
		return first, &steadyShared{steady{c.capacity}}, nil
	}
	return first, &steady{}, nil
}

// run has callers take n leases between them. A caller holds a lease for a random time, and then takes the next one.
func (c *cluster) run(t *testing.T, callers, n int) {
	t.Helper()
	c.served = make(map[string]int)
	held := make([]Lease[string, Conn], min(callers, n))
	ends := make([]float64, len(held))
	for i := range n {
		next := i
		if i >= len(held) {
			next = 0
			for j := range held {
				if ends[j] < ends[next] {
					next = j
				}
			}
			held[next].Release()
		}
		held[next] = c.lease(t)
		c.served[held[next].Key()]++
		ends[next] += 0.5 + c.random.Float64()
	}
	for _, lease := range held {
		lease.Release()
	}
}

// lease takes a lease, and lets the dials end that begin with it.
func (c *cluster) lease(t *testing.T) Lease[string, Conn] {
	t.Helper()
	var terms Terms
	if c.capacity > 0 {
		terms.Expect = ExpectUnknown
	}
	lease, ok := c.host.TryAcquire(terms)
	if !ok {
		var err error
		if lease, err = c.host.Acquire(t.Context(), c, terms); err != nil {
			t.Fatal(err)
		}
	}
	if c.host.Stats().Dialing > 0 {
		synctest.Wait()
	}
	return lease
}

// offEven returns by how many percent the key that has served the most, or the fewest, differs from an even share.
func (c *cluster) offEven(leases int) (off float64) {
	even := float64(leases) / float64(len(c.keys))
	for _, key := range c.keys {
		n := float64(c.served[key])
		off = max(off, 100*(n/even-1), 100*(1-n/even))
	}
	return off
}

func TestABalanceSpreadsLeases(t *testing.T) {
	for balance, bound := range map[Balance]float64{BalanceRoundRobin: 2, BalanceLeastLeases: 5} {
		for _, capacity := range []int{0, 100} {
			for _, keys := range []int{3, 9, 20, 100} {
				for _, callers := range []int{1, 16, 128} {
					t.Run(fmt.Sprintf("balance %d, %d keys, capacity %d, %d callers", balance, keys, capacity, callers), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							c := newCluster(keys, balance, capacity)
							leases := 400 * keys
							c.run(t, callers, leases)
							if off := c.offEven(leases); off > bound {
								t.Errorf("the leases are up to %.1f %% off even, want at most %v %%", off, bound)
							}
						})
					})
				}
			}
		}
	}
}

func TestEachOfManyKeysGetsAConnectionInItsFirstTurns(t *testing.T) {
	for _, balance := range []Balance{BalanceRoundRobin, BalanceLeastLeases} {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(100, balance, 0)
			c.run(t, 1, 400)
			for _, key := range c.keys {
				if c.served[key] == 0 {
					t.Errorf("balance %d: %s has served none of 400 leases", balance, key)
				}
			}
		})
	}
}

// take takes n leases one after the other, and returns how many each key has served.
func (w *world) take(n int) map[string]int {
	served := make(map[string]int)
	for range n {
		call := w.acquire("x", Terms{})
		for range w.dials() {
			w.dialed()
		}
		lease := call.leased()
		served[lease.Key()]++
		w.release(lease)
	}
	return served
}

func TestAKeyWithoutAConnectionMakesUpForLittle(t *testing.T) {
	for _, balance := range []Balance{BalanceRoundRobin, BalanceLeastLeases} {
		inBubble(t, config{}, func(t *testing.T, w *world) {
			balancedWorld(w, balance, 0)
			w.take(30)
			w.pool.Drain("c", "gone")
			for range 3000 { // the dials to c hang
				w.release(w.try("x", Terms{}))
			}
			for len(w.dials()) > 0 {
				w.dialed()
			}
			if served := w.take(1000); served["c"] < 400 || served["c"] > 340+2*mostOwed {
				t.Errorf("balance %d: the keys have served %v since all have a connection, want a third each, and at most %d more of c", balance, served, 2*mostOwed)
			}
		})
	}
}

func TestANewKeyGetsItsShareAlthoughTheOthersHaveAllConnections(t *testing.T) {
	for name, test := range map[string]struct {
		config   config
		maxConns int
	}{"MaxConns": {config{}, 4}, "MaxIdlePerKey": {config{MaxIdlePerKey: 4}, 0}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, test.config, func(t *testing.T, w *world) {
				h := balancedWorld(w, BalanceRoundRobin, test.maxConns)
				h.SetKeys([]string{"a"})
				calls := make([]*call, 4)
				for i := range calls {
					calls[i] = w.acquire("x", Terms{MaxConns: test.maxConns})
				}
				for range calls {
					w.dialed()
				}
				for _, c := range calls {
					w.release(c.leased())
				}
				h.SetKeys([]string{"a", "b"})
				if served := w.take(30); served["b"] < 13 || served["b"] > 17 {
					t.Errorf("the keys have served %v, want 15 each, give or take 2", served)
				}
				keys := w.pool.Stats().Keys
				if a, b := keys["a"].Idle, keys["b"].Idle; a != 3 || b != 1 {
					t.Errorf("%d and %d idle connections, want 3 and 1", a, b)
				}
			})
		})
	}
}

func TestAKeyThatWasNotDialedDoesNotMakeUpForThat(t *testing.T) {
	for _, balance := range []Balance{BalanceRoundRobin, BalanceLeastLeases} {
		inBubble(t, config{}, func(t *testing.T, w *world) {
			h := balancedWorld(w, balance, 0)
			w.take(30)
			h.SetUndialed([]string{"c"})
			w.pool.Drain("c", "gone")
			w.take(300)
			h.SetUndialed(nil)
			if served := w.take(30); served["c"] < 8 || served["c"] > 12 {
				t.Errorf("balance %d: the keys have served %v since all are dialed again, want 10 each, give or take 2", balance, served)
			}
		})
	}
}

func TestAConnectionThatFailsItsProbeHasNotServed(t *testing.T) {
	for _, balance := range []Balance{BalanceRoundRobin, BalanceLeastLeases} {
		inBubble(t, config{}, func(t *testing.T, w *world) {
			balancedWorld(w, balance, 0)
			calls := make([]*call, 60)
			for i := range calls {
				calls[i] = w.acquire("x", Terms{})
			}
			var dead []*fakeConn
			for range calls {
				if conn := w.dialed(); conn.key == "a" {
					dead = append(dead, conn)
				}
			}
			for _, c := range calls {
				w.release(c.leased())
			}
			for _, conn := range dead {
				conn.sicken(ReasonPeerClosed)
			}
			if served := w.take(60); served["a"] < 18 || served["a"] > 22 {
				t.Errorf("balance %d: the keys have served %v since the connections of a died, want 20 each, give or take 2", balance, served)
			}
		})
	}
}
