package pool

import (
	"errors"
	"maps"
	"slices"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// leased notes a lease and compares what it says of itself.
func (m *machine) leased(rt *rapid.T, c *refConn, lease testLease, uses int, miss Miss) {
	if lease.Conn() != m.conns[c] {
		rt.Fatalf("leased conn %d, want conn %d", lease.Conn().id, c.id)
	}
	idle := time.Duration(0)
	if miss == "" {
		idle = c.rested
	}
	if lease.Uses() != uses || lease.Reused() != (uses > 0 || miss == "") || lease.Miss() != miss || lease.Key() != c.key ||
		lease.IdleTime() != idle || lease.Age() != m.ref.now-c.born {
		rt.Fatalf("conn %d: lease says uses %d, miss %q, key %q, idle %v, age %v; want %d, %q, %q, %v, %v",
			c.id, lease.Uses(), lease.Miss(), lease.Key(), lease.IdleTime(), lease.Age(),
			uses, miss, c.key, idle, m.ref.now-c.born)
	}
	m.leases = append(m.leases, refLease{c, lease})
}

// check compares everything.
func (m *machine) check(rt *rapid.T) {
	synctest.Wait()
	for _, failure := range m.world.complaints() {
		rt.Error(failure)
	}
	if err := checkInvariants(m.world.pool); err != nil {
		rt.Fatalf("the pool's books are not in order: %v", err)
	}
	m.checkCalls(rt)
	m.checkConns(rt)
	m.checkKeys(rt)
	m.checkStats(rt)
	got, want := slices.Sorted(slices.Values(m.world.forgotten())), slices.Sorted(slices.Values(m.ref.forgets))
	if !slices.Equal(got, want) {
		rt.Fatalf("forgotten keys are %v, want %v", got, want)
	}
	drained := len(m.in(active))+len(m.ref.dials) == 0
	for _, down := range m.downs {
		if returned := len(down.err) > 0; returned != drained {
			rt.Fatalf("Shutdown returned: %v, want %v", returned, drained)
		}
	}
}

// checkCalls compares which Acquires have returned, and with what.
func (m *machine) checkCalls(rt *rapid.T) {
	for w, c := range maps.Clone(m.calls) {
		settled := w.conn != nil || w.err != nil
		if settled == c.waits() {
			rt.Fatalf("want %d: settled %v, and waits %v", w.id, settled, c.waits())
		}
		if !settled {
			continue
		}
		delete(m.calls, w)
		if w.err != nil {
			if c.err == nil || c.err.Error() != w.err.Error() && !errors.Is(c.err, w.err) {
				rt.Fatalf("want %d: error %v, want %v", w.id, c.err, w.err)
			}
			continue
		}
		if c.err != nil {
			rt.Fatalf("want %d: error %v, want conn %d", w.id, c.err, w.conn.id)
		}
		m.leased(rt, w.conn, c.lease, w.uses, w.miss)
		waited := m.ref.now - w.start
		if w.miss == "" {
			waited = 0
		}
		if c.lease.Waited() != waited {
			rt.Fatalf("want %d waited %v, want %v", w.id, c.lease.Waited(), waited)
		}
	}
}

// checkConns compares which connections are closed, why, and how the idle ones are ordered.
func (m *machine) checkConns(rt *rapid.T) {
	m.world.mu.Lock()
	defer m.world.mu.Unlock()
	got := make(map[int]Reason)
	for _, event := range m.world.closes {
		got[event.conn] = event.reason
	}
	for _, c := range m.ref.conns {
		if got[c.id] != c.why {
			rt.Fatalf("conn %d is closed because of %q, want %q", c.id, got[c.id], c.why)
		}
		if wantCloses := min(1, len(c.why)); m.conns[c].closed != wantCloses {
			rt.Fatalf("conn %d was closed %d times, want %d", c.id, m.conns[c].closed, wantCloses)
		}
	}
	var order, want []int
	m.world.pool.mu.Lock()
	defer m.world.pool.mu.Unlock()
	for e := m.world.pool.idle.last; e != nil; e = e.in[inPool].prev {
		order = append(order, e.conn.fake().id)
	}
	for _, c := range m.ref.idle {
		want = append(want, c.id)
	}
	if !slices.Equal(order, want) {
		rt.Fatalf("idle, released longest ago first: %v, want %v", order, want)
	}
}

// checkKeys compares what the pool says of each connection.
func (m *machine) checkKeys(rt *rapid.T) {
	for _, key := range []string{"a", "b", "c"} {
		var want []ConnStats
		for _, c := range m.in(idle, active) {
			if c.key != key {
				continue
			}
			s := ConnStats{Age: m.ref.now - c.born, Uses: uint64(c.uses), Leases: 1, Capacity: 1, Retired: c.retired}
			if c.shares {
				s.Leases, s.Capacity = c.leases, c.capacity
			}
			if c.state == idle {
				s.Idle, s.Leases = m.ref.now-c.idleSince, 0
			}
			want = append(want, s)
		}
		if got := m.world.pool.Conns(key); !slices.Equal(got, want) {
			rt.Fatalf("conns of %q are %+v, want %+v", key, got, want)
		}
	}
}

func (m *machine) checkStats(rt *rapid.T) {
	ref := m.ref
	closes := make(map[Reason]uint64)
	for _, c := range m.in(closed) {
		closes[c.why]++
	}
	keys := make(map[string]KeyStats)
	for key := range ref.known {
		own := ref.ask(key)
		keys[key] = KeyStats{
			Idle: ref.of(own.keys, idle), Active: ref.of(own.keys, active),
			Dialing: ref.dialing(own), Waiting: len(ref.waitingFor(own)),
		}
	}
	got := m.world.pool.Stats()
	for key, k := range got.Keys { // its counters are those of the pool, and are tested by themselves
		k.Hits, k.Misses, k.Dials, k.DialFailures = 0, 0, 0, 0
		got.Keys[key] = k
	}
	if got.Idle != len(ref.idle) || got.Active != len(m.in(active)) || got.Dialing != len(ref.dials) ||
		got.Waiting != len(ref.wants) || !maps.Equal(got.Keys, keys) {
		rt.Fatalf("gauges are %+v, want %v", got, keys)
	}
	if got.Opened != uint64(len(ref.conns)) || got.Hijacked != uint64(len(m.in(hijacked))) || got.Hits != ref.hits ||
		got.Dials != ref.begun || got.DialFailures != ref.failed ||
		!maps.Equal(got.Misses, ref.misses) || !maps.Equal(got.Closes, closes) {
		rt.Fatalf("counters are %+v, want hits %d, dials %d, failed %d, misses %v, closes %v",
			got, ref.hits, ref.begun, ref.failed, ref.misses, closes)
	}
}
