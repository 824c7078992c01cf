package pool

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// TestThePoolDoesWhatItsReferenceDoes drives the pool and the reference with the same random operations, and
// compares all that can be seen after each of them.
func TestThePoolDoesWhatItsReferenceDoes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var failure any
		synctest.Test(t, func(t *testing.T) {
			defer func() { failure = recover() }() // rapid wants it on its own goroutine
			m := newMachine(rt)
			defer m.finish()
			rt.Repeat(often(map[string]func(*rapid.T){
				"":           m.check,
				"acquire":    m.acquire,
				"tryAcquire": m.tryAcquire,
				"release":    m.release,
				"dialed":     m.dialed,
			}, map[string]func(*rapid.T){
				"end":       m.end,
				"limit":     m.limit,
				"dialFails": m.dialFails,
				"giveUp":    m.giveUp,
				"retire":    m.retire,
				"sicken":    m.sicken,
				"wait":      m.wait,
				"closeIdle": m.closeIdle,
				"shutdown":  m.shutdown,
			}))
		})
		if failure != nil {
			panic(failure)
		}
	})
}

// often returns all the actions, with the frequent ones under several names, as all names are equally likely.
func often(frequent, rare map[string]func(*rapid.T)) map[string]func(*rapid.T) {
	actions := maps.Clone(rare)
	for name, action := range frequent {
		actions[name] = action
		for i := range 3 {
			if name != "" {
				actions[fmt.Sprint(name, i)] = action
			}
		}
	}
	return actions
}

// machine holds both pools, and which of their parts belong together.
type machine struct {
	world  *world
	ref    *reference
	calls  map[*refWant]*call // not yet seen to return
	leases map[*refConn]testLease
	conns  map[*refConn]*fakeConn
	ids    int
	jitter time.Duration
	downs  []*shutdown
}

func newMachine(rt *rapid.T) *machine {
	limits := rapid.SampledFrom([]int{0, 0, 1, 2, 3, -1})
	cfg := config{
		MaxIdle:        limits.Draw(rt, "MaxIdle"),
		MaxIdlePerKey:  limits.Draw(rt, "MaxIdlePerKey"),
		MaxDialsPerKey: limits.Draw(rt, "MaxDialsPerKey"),
	}
	m := &machine{
		world:  newWorld(rt, cfg),
		ref:    &reference{config: cfg, known: make(map[string]bool), misses: make(map[Miss]uint64)},
		calls:  make(map[*refWant]*call),
		leases: make(map[*refConn]testLease),
		conns:  make(map[*refConn]*fakeConn),
	}
	m.world.pool.draw = func() time.Duration { return m.jitter }
	return m
}

// finish lets the bubble end.
func (m *machine) finish() {
	for _, down := range m.downs {
		down.cancel(errGaveUp)
	}
	m.world.end()
}

func drawKey(rt *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "a", "b", "c"}).Draw(rt, "key")
}

func drawTerms(rt *rapid.T) Terms {
	rarely := rapid.SampledFrom([]bool{false, false, false, false, false, false, false, true})
	return Terms{
		IdleTimeout: rapid.SampledFrom([]time.Duration{0, 5 * time.Second, time.Minute}).Draw(rt, "IdleTimeout"),
		Unpooled:    rarely.Draw(rt, "Unpooled"),
		MaxReuse:    rapid.SampledFrom([]int{0, 0, 0, 1, 3}).Draw(rt, "MaxReuse"),
		MaxLifetime: rapid.SampledFrom([]time.Duration{0, 0, 20 * time.Second, 2 * time.Minute}).Draw(rt, "MaxLifetime"),
		MaxConns:    rapid.SampledFrom([]int{0, 1, 2, 3}).Draw(rt, "MaxConns"),
		Fresh:       rarely.Draw(rt, "Fresh"),
	}
}

// draw picks one of the choices, or skips the operation where there is none.
func draw[T any](rt *rapid.T, choices []T, label string) T {
	if len(choices) == 0 {
		rt.Skip("no " + label)
	}
	return choices[rapid.IntRange(0, len(choices)-1).Draw(rt, label)]
}

func (m *machine) active(rt *rapid.T) *refConn {
	return draw(rt, m.in(active), "lease")
}

func (m *machine) in(states ...state) (conns []*refConn) {
	for _, c := range m.ref.conns {
		if slices.Contains(states, c.state) {
			conns = append(conns, c)
		}
	}
	return conns
}

func (m *machine) acquire(rt *rapid.T) {
	key, terms := drawKey(rt), drawTerms(rt)
	m.ids++
	w := m.ref.acquire(m.ids, key, terms)
	m.calls[w] = m.world.acquireAs(m.ids, key, terms)
}

func (m *machine) tryAcquire(rt *rapid.T) {
	key, terms := drawKey(rt), drawTerms(rt)
	c := m.ref.tryAcquire(key, terms)
	lease, ok := m.world.pool.TryAcquire(key, terms)
	if ok != (c != nil) {
		rt.Fatalf("TryAcquire: %v, want conn %+v", ok, c)
	}
	if ok {
		lease.Conn().hold()
		m.leased(rt, c, lease, c.uses-1, "")
	}
}

// leased notes a lease and compares what it says of itself.
func (m *machine) leased(rt *rapid.T, c *refConn, lease testLease, uses int, miss Miss) {
	if lease.Conn() != m.conns[c] {
		rt.Fatalf("leased conn %d, want conn %d", lease.Conn().id, c.id)
	}
	idle := time.Duration(0)
	if miss == "" {
		idle = m.ref.now - c.idleSince
	}
	if lease.Uses() != uses || lease.Reused() != (uses > 0) || lease.Miss() != miss || lease.Key() != c.key ||
		lease.IdleTime() != idle || lease.Age() != m.ref.now-c.born {
		rt.Fatalf("conn %d: lease says uses %d, miss %q, key %q, idle %v, age %v; want %d, %q, %q, %v, %v",
			c.id, lease.Uses(), lease.Miss(), lease.Key(), lease.IdleTime(), lease.Age(),
			uses, miss, c.key, idle, m.ref.now-c.born)
	}
	m.leases[c] = lease
}

func (m *machine) release(rt *rapid.T) {
	c := m.active(rt)
	lease := m.leases[c]
	delete(m.leases, c)
	if got, want := m.world.release(lease), m.ref.release(c); got != want {
		rt.Fatalf("Release of conn %d: %q, want %q", c.id, got, want)
	}
}

func (m *machine) end(rt *rapid.T) {
	c := m.active(rt)
	lease := m.leases[c]
	delete(m.leases, c)
	if rapid.Bool().Draw(rt, "hijack") {
		m.ref.hijack(c)
		lease.Hijack()
	} else {
		m.ref.discard(c, "done")
		m.world.discard(lease, "done")
	}
}

func (m *machine) limit(rt *rapid.T) {
	c := m.active(rt)
	idle := rapid.SampledFrom([]time.Duration{0, 2 * time.Second, 10 * time.Minute}).Draw(rt, "idle")
	reuse := rapid.IntRange(-1, 3).Draw(rt, "reuse")
	m.ref.limit(c, idle, reuse)
	m.leases[c].Limit(idle, reuse)
}

// dialOf finds the pool's dial for that of the reference: they name the same asker.
func (m *machine) dialOf(rt *rapid.T, d *refDial) *fakeDial {
	for _, fake := range m.world.dials() {
		if fake.asker == d.id {
			return fake
		}
	}
	rt.Fatalf("no dial is under way for want %d", d.id)
	return nil
}

func (m *machine) dialed(rt *rapid.T) {
	d := draw(rt, m.ref.dials, "dial")
	fake, conn := m.dialOf(rt, d), m.world.newConn()
	m.jitter = rapid.SampledFrom([]time.Duration{900, 1000, 1100}).Draw(rt, "jitter")
	c := &refConn{id: conn.id, jitter: m.jitter}
	m.conns[c] = conn
	m.ref.landed(d, c, nil)
	m.world.finish(fake, func() (*fakeConn, error) { return conn, nil })
}

func (m *machine) dialFails(rt *rapid.T) {
	d := draw(rt, m.ref.dials, "dial")
	fake := m.dialOf(rt, d)
	err := fmt.Errorf("dial %d failed", d.id)
	end := func() (*fakeConn, error) { return nil, err }
	if rapid.Bool().Draw(rt, "panic") {
		end = func() (*fakeConn, error) { panic(err) }
	}
	m.ref.landed(d, nil, err)
	m.world.finish(fake, end)
}

func (m *machine) giveUp(rt *rapid.T) {
	w := draw(rt, m.ref.wants, "want")
	m.ref.giveUp(w, errGaveUp)
	m.calls[w].cancel(errGaveUp)
}

func (m *machine) retire(rt *rapid.T) {
	c := draw(rt, m.in(idle, active, hijacked, closed), "conn")
	m.ref.retire(c, "retired")
	m.conns[c].retire("retired")
}

func (m *machine) sicken(rt *rapid.T) {
	c := draw(rt, m.in(idle, active), "conn")
	c.sick = rapid.SampledFrom([]Reason{ReasonPeerClosed, ReasonUnexpectedData}).Draw(rt, "sick")
	m.conns[c].sicken(c.sick)
}

// wait lets time pass. The reaper may come a little late, so time does not stop just behind a deadline.
func (m *machine) wait(rt *rapid.T) {
	const slack = time.Millisecond
	time.Sleep(rapid.SampledFrom([]time.Duration{slack, time.Second, 5 * time.Second, time.Minute}).Draw(rt, "time"))
	late := func(c *refConn) bool {
		at := min(c.idleUntil, c.expires)
		return at <= m.world.pool.now() && at > m.world.pool.now()-slack
	}
	for slices.ContainsFunc(m.ref.idle, late) {
		time.Sleep(slack)
	}
	synctest.Wait()
	m.ref.now = m.world.pool.now()
	m.ref.reap()
}

func (m *machine) closeIdle(*rapid.T) {
	m.ref.closeAllIdle()
	m.world.pool.CloseIdle()
}

func (m *machine) shutdown(rt *rapid.T) {
	if rapid.IntRange(0, 19).Draw(rt, "really") != 13 {
		rt.Skip("not now")
	}
	m.ref.shutdown()
	m.downs = append(m.downs, m.world.shutdown())
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
	for e := m.world.pool.idle.last(); e != nil; e = e.inPool.prev.owner {
		order = append(order, e.conn.id)
	}
	for _, c := range m.ref.idle {
		want = append(want, c.id)
	}
	if !slices.Equal(order, want) {
		rt.Fatalf("idle, released longest ago first: %v, want %v", order, want)
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
		keys[key] = KeyStats{
			Idle: ref.of(key, idle), Active: ref.of(key, active),
			Dialing: ref.dialing(key), Waiting: len(ref.waiting(key)),
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
