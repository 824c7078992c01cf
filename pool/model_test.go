package pool

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// TestThePoolDoesWhatItsReferenceDoes drives the pool and the reference with the same random operations, and
// compares all that can be seen after each of them.
func TestThePoolDoesWhatItsReferenceDoes(t *testing.T) {
	for _, test := range []struct {
		name   string
		limits []int // of the Config
		choices
	}{
		{"anything goes", []int{0, 0, 1, 2, 3, -1}, choices{
			maxConns: []int{0, 1, 2, 3}, reuse: []int{0, 0, 0, 1, 3}, expect: []int{0},
		}},
		{"hosts, anything goes", []int{0, 0, 1, 2, 3, -1}, choices{
			maxConns: []int{0, 1, 2, 3}, reuse: []int{0, 0, 0, 1, 3}, expect: []int{0},
			names: []string{"x", "x", "y", "a", "b"},
		}},
		{"one host", []int{0, 0, 2}, choices{
			maxConns: []int{2, 2, 3}, reuse: []int{0}, expect: []int{0}, names: []string{"x"},
		}},
		{"one host and its keys, some shared", []int{0, 0, 1, 2, 3}, choices{
			maxConns: []int{0, 1, 2, 3}, reuse: []int{0, 0, 1, 3},
			expect: []int{0, 2, ExpectUnknown}, capacity: []int{exclusive, exclusive, 1, 2, 3}, names: []string{"x", "x", "a", "b"},
		}},
		{"hosts, some shared", []int{0, 0, 1, 2, 3, -1}, choices{
			maxConns: []int{0, 1, 2, 3}, reuse: []int{0, 0, 0, 1, 3},
			expect: []int{0, 1, 2, 3, 100, ExpectUnknown}, capacity: []int{exclusive, 0, 1, 2, 3, 100},
			names: []string{"x", "x", "y", "a", "b"},
		}},
		{"hardly a limit", []int{0}, choices{maxConns: []int{0, 0, 0, 4}, reuse: []int{0}, expect: []int{0}}},
		{"few idle", []int{1, 2, 3}, choices{maxConns: []int{0}, reuse: []int{0, 4}, expect: []int{0}}},
		{"one connection", []int{0, 1}, choices{maxConns: []int{1}, reuse: []int{0, 2}, expect: []int{0}}},
		{"two connections", []int{0, 1, 2}, choices{maxConns: []int{2}, reuse: []int{0}, expect: []int{0}}},
		{"anything goes, some shared", []int{0, 0, 1, 2, 3, -1}, choices{
			maxConns: []int{0, 1, 2, 3}, reuse: []int{0, 0, 0, 1, 3},
			expect: []int{0, 1, 2, 3, 100, ExpectUnknown}, capacity: []int{exclusive, 0, 1, 2, 3, 100},
		}},
		{"shared", []int{0}, choices{
			maxConns: []int{0, 0, 0, 4}, reuse: []int{0, 0, 7}, expect: []int{3}, capacity: []int{2, 3, 4},
		}},
		{"unknown", []int{0}, choices{
			maxConns: []int{0}, reuse: []int{0}, expect: []int{ExpectUnknown}, capacity: []int{exclusive, 2, 5},
		}},
		{"one shared connection", []int{0, 1}, choices{
			maxConns: []int{1}, reuse: []int{0, 0, 5}, expect: []int{ExpectUnknown, 2}, capacity: []int{1, 2, 3},
		}},
		{"two shared connections", []int{0, 1, 2}, choices{
			maxConns: []int{2}, reuse: []int{0}, expect: []int{ExpectUnknown, 2}, capacity: []int{2, 3, exclusive},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.names == nil {
				test.names = []string{"a", "a", "b", "c"}
			}
			rapid.Check(t, func(rt *rapid.T) {
				rapid.SyncTest(rt, func(rt *rapid.T) {
					m := newMachine(rt, test.limits, test.choices)
					defer m.finish()
					rt.Repeat(m.actions())
				})
			})
		})
	}
}

// choices are what to draw Terms and connections from.
type choices struct {
	maxConns, reuse, expect []int
	capacity                []int    // of connections; none: all are exclusive
	names                   []string // the keys and hosts to ask for; none: keys
}

// exclusive is the capacity of a connection that is not shared.
const exclusive = -99

// actions are all operations, with the more frequent ones under several names, as all names are equally likely.
func (m *machine) actions() map[string]func(*rapid.T) {
	actions := map[string]func(*rapid.T){
		"":          m.check,
		"end":       m.end,
		"limit":     m.limit,
		"dialFails": m.dialFails,
		"giveUp":    m.giveUp,
		"retire":    m.retire,
		"sicken":    m.sicken,
		"wait":      m.wait,
		"closeIdle": m.closeIdle,
		"keepNone":  m.keepNone,
		"shutdown":  m.shutdown,
		"drain":     m.drain,
		"resize":    m.resize,
	}
	for i := range 4 {
		actions[fmt.Sprint("acquire", i)] = m.acquire
		actions[fmt.Sprint("tryAcquire", i)] = m.tryAcquire
		actions[fmt.Sprint("release", i)] = m.release
		actions[fmt.Sprint("dialed", i)] = m.dialed
	}
	if !slices.Contains(m.names, "y") { // with two hosts that share a key, it is not said which of them closes first
		actions["setLimits"], actions["rebind"] = m.setLimits, m.rebind
	}
	if slices.Contains(m.names, "x") {
		actions["setKeys"], actions["drainUnlisted"] = m.setKeys, m.drainUnlisted
	}
	return actions
}

// machine holds both pools, and which of their parts belong together.
type machine struct {
	world  *world
	ref    *reference
	calls  map[*refWant]*call // not yet seen to return
	leases []refLease
	conns  map[*refConn]*fakeConn
	ids    int
	jitter time.Duration

	choices

	downs []*shutdown
}

// refLease is a lease under way.
type refLease struct {
	conn  *refConn
	lease testLease
}

func newMachine(rt *rapid.T, limited []int, choices choices) *machine {
	limits := rapid.SampledFrom(limited)
	cfg := config{
		MaxIdle:        limits.Draw(rt, "MaxIdle"),
		MaxIdlePerKey:  limits.Draw(rt, "MaxIdlePerKey"),
		MaxDialsPerKey: limits.Draw(rt, "MaxDialsPerKey"),
	}
	m := &machine{
		choices: choices,
		world:   newWorld(rt, cfg),
		ref: &reference{
			config: cfg, known: make(map[string]bool), share: make(map[string]int), avoided: make(map[string]time.Duration), lessons: make(map[string]int),
			asks: make(map[string]*refAsk), misses: make(map[Miss]uint64),
		},
		calls: make(map[*refWant]*call),
		conns: make(map[*refConn]*fakeConn),
	}
	for name, keys := range map[string][]string{"x": {"a", "b"}, "y": {"b", "c"}} {
		m.ref.asks[name] = &refAsk{keys: keys, named: true}
		m.world.hosts[name] = m.world.pool.NewHost(keys, nil)
	}
	for _, key := range []string{"a", "b", "c"} {
		m.ref.ask(key)
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

// drawName draws a key or a host to ask for.
func (m *machine) drawName(rt *rapid.T) string {
	return rapid.SampledFrom(m.names).Draw(rt, "name")
}

func drawKey(rt *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "a", "b", "c"}).Draw(rt, "key")
}

func (m *machine) drawTerms(rt *rapid.T) Terms {
	rarely := rapid.SampledFrom([]bool{false, false, false, false, false, false, false, true})
	return Terms{
		IdleTimeout: rapid.SampledFrom([]time.Duration{0, 5 * time.Second, time.Minute}).Draw(rt, "IdleTimeout"),
		MaxIdleTime: rapid.SampledFrom([]time.Duration{0, 0, 3 * time.Second, 10 * time.Second}).Draw(rt, "MaxIdleTime"),
		Unpooled:    rarely.Draw(rt, "Unpooled"),
		MaxReuse:    rapid.SampledFrom(m.reuse).Draw(rt, "MaxReuse"),
		MaxLifetime: rapid.SampledFrom([]time.Duration{0, 0, 20 * time.Second, 2 * time.Minute}).Draw(rt, "MaxLifetime"),
		MaxConns:    rapid.SampledFrom(m.maxConns).Draw(rt, "MaxConns"),
		Fresh:       rarely.Draw(rt, "Fresh"),
		Expect:      rapid.SampledFrom(m.expect).Draw(rt, "Expect"),
	}
}

// draw picks one of the choices. If there is none, it skips the operation.
func draw[T any](rt *rapid.T, choices []T, label string) T {
	if len(choices) == 0 {
		rt.Skip("no " + label)
	}
	return choices[rapid.IntRange(0, len(choices)-1).Draw(rt, label)]
}

// ending draws a lease that is about to end.
func (m *machine) ending(rt *rapid.T) (*refConn, testLease) {
	h := draw(rt, m.leases, "lease")
	m.leases = slices.DeleteFunc(m.leases, func(other refLease) bool { return other == h })
	return h.conn, h.lease
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
	name, terms := m.drawName(rt), m.drawTerms(rt)
	terms.Missed = rapid.SampledFrom(misses[:]).Draw(rt, "Missed")
	m.ids++
	w := m.ref.acquire(m.ids, m.ref.ask(name), terms)
	m.calls[w] = m.world.acquireAs(m.ids, name, terms)
}

func (m *machine) tryAcquire(rt *rapid.T) {
	name, terms := m.drawName(rt), m.drawTerms(rt)
	c, miss := m.ref.tryAcquire(m.ref.ask(name), terms)
	lease, ok := m.world.tryAcquire(name, terms)
	if ok != (c != nil) || lease.Valid() != ok || lease.Miss() != miss {
		rt.Fatalf("TryAcquire: %v, miss %q; want conn %+v, miss %q", ok, lease.Miss(), c, miss)
	}
	if ok {
		lease.Conn().hold()
		m.leased(rt, c, lease, c.number-1, "")
	}
}

func (m *machine) release(rt *rapid.T) {
	c, lease := m.ending(rt)
	if got, want := m.world.release(lease), m.ref.release(c); got != want {
		rt.Fatalf("Release of conn %d: %q, want %q", c.id, got, want)
	}
}

func (m *machine) end(rt *rapid.T) {
	c, lease := m.ending(rt)
	if rapid.Bool().Draw(rt, "hijack") && !c.shares {
		m.ref.hijack(c)
		lease.Hijack()
	} else {
		m.ref.discard(c, "done")
		m.world.discard(lease, "done")
	}
}

func (m *machine) limit(rt *rapid.T) {
	h := draw(rt, m.leases, "lease")
	idle := rapid.SampledFrom([]time.Duration{0, 2 * time.Second, 10 * time.Minute}).Draw(rt, "idle")
	reuse := rapid.IntRange(-1, 3).Draw(rt, "reuse")
	m.ref.limit(h.conn, h.lease.Uses()+1, idle, reuse)
	h.lease.Limit(idle, reuse)
}

// setLimits changes the limits of the pool, and of one key. With a host, the limit on the idle connections of a key stays,
// because it is not said which key closes first.
func (m *machine) setLimits(rt *rapid.T) {
	total := rapid.SampledFrom([]int{0, 0, 1, 2, 3, -1}).Draw(rt, "MaxIdle")
	perKey := m.ref.config.MaxIdlePerKey
	if !slices.Contains(m.names, "x") {
		perKey = rapid.SampledFrom([]int{0, 0, 1, 2, 3, -1}).Draw(rt, "MaxIdlePerKey")
	}
	key, terms := drawKey(rt), m.drawTerms(rt)
	m.ref.setLimits(total, perKey, key, terms)
	m.world.pool.SetLimits(total, perKey, map[string]Terms{key: terms})
}

func (m *machine) rebind(rt *rapid.T) {
	h, terms := draw(rt, m.leases, "lease"), m.drawTerms(rt)
	m.ref.rebind(h.conn, terms)
	h.lease.Rebind(terms)
}

func (m *machine) dialed(rt *rapid.T) {
	d := draw(rt, m.ref.dials, "dial")
	fake, conn := m.world.dialOf(d.id), m.world.newConn()
	m.jitter = rapid.SampledFrom([]time.Duration{900, 1000, 1100}).Draw(rt, "jitter")
	c := &refConn{id: conn.id, jitter: m.jitter}
	if len(m.capacity) > 0 {
		c.capacity = rapid.SampledFrom(m.capacity).Draw(rt, "capacity")
		c.shares = c.capacity != exclusive
		conn.shares, conn.capacity = c.shares, c.capacity
	}
	c.private = rapid.IntRange(0, 9).Draw(rt, "private") == 7
	conn.private = c.private
	m.conns[c] = conn
	conn.key = d.ask.keys[0]
	if d.ask.named {
		conn.key = rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "key")
	}
	m.ref.landed(d, conn.key, c, nil)
	m.world.finish(fake, func() (*fakeConn, error) { return conn, nil })
}

func (m *machine) dialFails(rt *rapid.T) {
	d := draw(rt, m.ref.dials, "dial")
	fake := m.world.dialOf(d.id)
	err := fmt.Errorf("dial %d failed", d.id)
	end := func() (*fakeConn, error) { return nil, err }
	if rapid.Bool().Draw(rt, "panic") {
		end = func() (*fakeConn, error) { panic(err) }
	}
	m.ref.landed(d, "", nil, err)
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

func (m *machine) resize(rt *rapid.T) {
	conns := slices.DeleteFunc(m.in(idle, active, closed), func(c *refConn) bool { return !c.shares })
	c := draw(rt, conns, "shared conn")
	capacity := rapid.SampledFrom([]int{-1, 0, 1, 2, 3, 5, 100}).Draw(rt, "capacity")
	m.ref.resize(c, capacity)
	m.conns[c].resize(capacity)
}

func (m *machine) setKeys(rt *rapid.T) {
	name := rapid.SampledFrom([]string{"x", "y"}).Draw(rt, "host")
	keys := rapid.SampledFrom([][]string{{"a"}, {"b"}, {"a", "b"}, {"b", "c"}, {"c", "a"}, {"a", "b", "c"}}).Draw(rt, "keys")
	m.ref.setKeys(m.ref.ask(name), keys)
	m.world.hosts[name].SetKeys(keys)
}

func (m *machine) drainUnlisted(rt *rapid.T) {
	key := drawKey(rt)
	if got, want := m.world.hosts["x"].DrainUnlisted(key, "unlisted"), m.ref.drainUnlisted(key, "unlisted"); got != want {
		rt.Fatalf("DrainUnlisted(%q): %d connections, want %d", key, got, want)
	}
}

func (m *machine) drain(rt *rapid.T) {
	key := drawKey(rt)
	if got, want := m.world.pool.Drain(key, "drained"), m.ref.drain(key, "drained"); got != want {
		rt.Fatalf("Drain(%q): %d connections, want %d", key, got, want)
	}
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

func (m *machine) keepNone(rt *rapid.T) {
	if rapid.IntRange(0, 9).Draw(rt, "really") != 7 {
		rt.Skip("not now")
	}
	m.ref.keepNothing()
	m.world.pool.KeepNone()
}

func (m *machine) shutdown(rt *rapid.T) {
	if rapid.IntRange(0, 19).Draw(rt, "really") != 13 {
		rt.Skip("not now")
	}
	m.ref.shutdown()
	m.downs = append(m.downs, m.world.shutdown())
}
