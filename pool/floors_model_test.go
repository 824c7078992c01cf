package pool

import (
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// TestFloorsWarmsAndBalancesKeepTheRules drives a pool with random operations, among them those that dial without a want.
// The reference does not know these, so the test checks what must hold for any pool: the limits at every moment, that no want
// waits for a connection that is idle, and that floors and calls of Warm get what the limits allow when nothing else happens.
func TestFloorsWarmsAndBalancesKeepTheRules(t *testing.T) {
	for _, test := range []struct {
		name    string
		balance Balance
		shared  bool
	}{
		{"no balance", BalanceNone, false},
		{"round robin", BalanceRoundRobin, false},
		{"least leases", BalanceLeastLeases, false},
		{"no balance, shared", BalanceNone, true},
		{"round robin, shared", BalanceRoundRobin, true},
		{"least leases, shared", BalanceLeastLeases, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				rapid.SyncTest(rt, func(rt *rapid.T) {
					k := newKeeper(rt, test.balance, test.shared)
					defer k.finish()
					rt.Repeat(k.actions())
					k.rest(rt)
				})
			})
		})
	}
}

// keeper drives a pool with a host "x" of the keys a, b and c. All requests have the same Terms.
type keeper struct {
	*world
	balance Balance
	terms   Terms
	floors  map[string]int // by key or host
	leases  []testLease
	waiting []*call
	warming []*warming
}

func newKeeper(rt *rapid.T, balance Balance, shared bool) *keeper {
	limits := rapid.SampledFrom([]int{0, 0, 1, 2, 3, 4})
	w := newWorld(rt, config{MaxIdle: limits.Draw(rt, "MaxIdle"), MaxIdlePerKey: limits.Draw(rt, "MaxIdlePerKey")})
	w.pool.pick = rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0)).IntN // called under Pool.mu
	k := &keeper{world: w, balance: balance, floors: make(map[string]int)}
	k.terms = Terms{
		MaxConns:    rapid.SampledFrom([]int{0, 2, 3, 5}).Draw(rt, "MaxConns"),
		IdleTimeout: rapid.SampledFrom([]time.Duration{0, 10 * time.Second}).Draw(rt, "IdleTimeout"),
	}
	if shared {
		w.shares, w.capacity = true, rapid.SampledFrom([]int{1, 2, 3}).Draw(rt, "capacity")
		k.terms.Expect = rapid.SampledFrom([]int{ExpectUnknown, 2}).Draw(rt, "Expect")
	}
	h := w.pool.NewHost([]string{"a", "b", "c"}, nil)
	if balance != BalanceNone {
		h.SetBalance(balance, w, k.terms.MaxConns)
	}
	w.hosts["x"] = h
	return k
}

func (k *keeper) finish() {
	k.pool.KeepNone() // ends the floors
	for _, c := range k.warming {
		c.cancel(errGaveUp)
	}
	k.end()
	synctest.Wait()
}

// actions are all operations, with the more frequent ones under several names, as all names are equally likely.
func (k *keeper) actions() map[string]func(*rapid.T) {
	name := func(rt *rapid.T) string { return rapid.SampledFrom([]string{"x", "x", "a", "b"}).Draw(rt, "name") }
	dialed := func(rt *rapid.T) {
		k.land(draw(rt, k.dials(), "dial"), rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "key"))
	}
	acquire := func(rt *rapid.T) { k.waiting = append(k.waiting, k.acquire(name(rt), k.terms)) }
	release := func(rt *rapid.T) { k.release(k.drawLease(rt)) }
	return map[string]func(*rapid.T){
		"":         k.check,
		"acquire":  acquire,
		"acquire2": acquire,
		"release":  release,
		"release2": release,
		"dialed":   dialed,
		"dialed2":  dialed,
		"dialed3":  dialed,
		"discard":  func(rt *rapid.T) { k.discard(k.drawLease(rt), "done") },
		"dialFails": func(rt *rapid.T) {
			k.world.finish(draw(rt, k.dials(), "dial"), func() (*fakeConn, error) { return nil, errDial })
		},
		"giveUp": func(rt *rapid.T) { draw(rt, k.waiting, "call").cancel(errGaveUp) },
		"wait": func(rt *rapid.T) {
			time.Sleep(rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, time.Minute}).Draw(rt, "time"))
		},
		"keepIdle": func(rt *rapid.T) {
			at, n := name(rt), rapid.IntRange(0, 3).Draw(rt, "n")
			k.floors[at] = n
			k.keepIdle(at, n, k.terms)
		},
		"warm": func(rt *rapid.T) {
			k.warming = append(k.warming, k.warm(name(rt), rapid.IntRange(1, 3).Draw(rt, "n"), k.terms))
		},
		"setLimits": func(rt *rapid.T) {
			limits := rapid.SampledFrom([]int{0, 1, 2, 3, 4})
			k.pool.SetLimits(limits.Draw(rt, "MaxIdle"), limits.Draw(rt, "MaxIdlePerKey"), nil)
		},
		"setKeys": func(rt *rapid.T) {
			k.hosts["x"].SetKeys(rapid.SampledFrom([][]string{{"a"}, {"a", "b"}, {"b", "c"}, {"a", "b", "c"}}).Draw(rt, "keys"))
		},
	}
}

// land ends a dial. Without a Balance, it leads to the key.
func (k *keeper) land(d *fakeDial, key string) {
	conn := k.newConn()
	if k.balance == BalanceNone {
		conn.key = key
	}
	k.world.finish(d, func() (*fakeConn, error) { return conn, nil })
}

func (k *keeper) drawLease(rt *rapid.T) testLease {
	l := draw(rt, k.leases, "lease")
	k.leases = slices.DeleteFunc(k.leases, func(other testLease) bool { return other == l })
	return l
}

// check checks what must hold at every moment.
func (k *keeper) check(rt *rapid.T) {
	synctest.Wait()
	k.waiting = slices.DeleteFunc(k.waiting, func(c *call) bool {
		if !c.waits() && c.err == nil {
			k.leases = append(k.leases, c.lease)
		}
		return !c.waits()
	})
	for _, failure := range k.complaints() {
		rt.Error(failure)
	}
	if err := checkInvariants(k.pool); err != nil {
		rt.Fatalf("the pool's books are not in order: %v", err)
	}
	k.pool.mu.Lock()
	defer k.pool.mu.Unlock()
	for name, h := range k.known() {
		if h.waiting() > 0 && h.latestIdle() != nil {
			rt.Fatalf("%d wants of %s wait, although a connection is idle", h.waiting(), name)
		}
		if h.waiting() > 0 && h.dialing == 0 && !k.full(h) {
			rt.Fatalf("%d wants of %s wait for no dial, and MaxConns does not hold them back", h.waiting(), name)
		}
		if k.terms.Expect == 0 && h.waiting() > h.dialing && !k.full(h) {
			rt.Fatalf("%d wants of %s wait for %d dials, and MaxConns does not hold them back", h.waiting(), name, h.dialing)
		}
	}
}

// known returns the hosts that the pool knows, by name. The caller holds Pool.mu.
func (k *keeper) known() map[string]*host[string, fake] {
	known := make(map[string]*host[string, fake])
	for key, g := range k.pool.groups {
		known[key] = &g.own
	}
	if h := &k.hosts["x"].host; h.set.known {
		known["x"] = h
	}
	return known
}

// full reports whether MaxConns allows no more connections of the host. The caller holds Pool.mu.
func (k *keeper) full(h *host[string, fake]) bool {
	return k.terms.MaxConns > 0 && h.busy()+h.idle() >= k.terms.MaxConns
}

// rest ends all leases, lets all dials succeed for a while, and checks that floors and calls of Warm get what they may have.
func (k *keeper) rest(rt *rapid.T) {
	lacking := make(map[string]int) // for how many seconds in a row
	for range 300 {
		k.check(rt)
		for _, l := range k.leases {
			k.release(l)
		}
		k.leases = nil
		keys := k.hosts["x"].host.set.keys
		for i, d := range k.dials() {
			k.land(d, keys[i%len(keys)])
		}
		time.Sleep(time.Second)
		synctest.Wait()
		k.pool.mu.Lock()
		for name, h := range k.known() {
			if lacking[name]++; !k.lacks(h) {
				lacking[name] = 0
			}
		}
		k.pool.mu.Unlock()
	}
	k.check(rt)
	if len(k.waiting) > 0 {
		rt.Fatalf("%d requests still wait", len(k.waiting))
	}
	k.pool.mu.Lock()
	defer k.pool.mu.Unlock()
	for name, h := range k.known() {
		f := k.pool.floors[h]
		if k.floors[name] > 0 && (f == nil || f.least != k.floors[name]) {
			rt.Fatalf("the floor of %s is %+v, want %d", name, f, k.floors[name])
		}
		if lacking[name] > 100 {
			rt.Fatalf("%d places of %s are free, its floor wants %d, and no limit holds the floor back", h.free(f.target()), name, f.target())
		}
	}
}

// lacks reports whether a floor, or a call of Warm, lacks a connection that the limits allow. The caller holds Pool.mu.
func (k *keeper) lacks(h *host[string, fake]) bool {
	f := k.pool.floors[h]
	if f == nil || h.free(f.target()) >= f.target() || h.dialing > 0 || k.full(h) {
		return false
	}
	config := k.pool.config
	if config.MaxIdle > 0 && k.pool.idle.len() >= config.MaxIdle {
		return false
	}
	return config.MaxIdlePerKey == 0 || slices.ContainsFunc(h.listedGroups(), func(g *group[string, fake]) bool {
		return !slices.ContainsFunc(g.counting(), func(h *host[string, fake]) bool { return h.idle() >= config.MaxIdlePerKey })
	})
}
