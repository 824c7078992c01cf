package pool

import (
	"math"
	"slices"
	"time"
)

// reference is the pool as doc.go describes it, written as plainly as can be: slices, searches, one moment after
// the other, and nothing concurrent. The model test compares the pool with it after every operation.
type reference struct {
	config  config
	now     time.Duration
	conns   []*refConn // all that were opened, in that order
	idle    []*refConn // the last one was released last
	spare   []*refConn // shared, leased, and with room for more: the first one has had room for longest
	wants   []*refWant // the first one waits longest
	dials   []*refDial // under way
	order   int        // of wants
	known   map[string]bool
	share   map[string]int           // the capacity that the latest connection of a key has shown
	avoided map[string]time.Duration // the MaxIdleTime of the latest request that has left a connection of the key alone
	lessons map[string]int           // when that was
	lesson  int
	asks    map[string]*refAsk // single keys, and hosts, by name
	forgets []string
	misses  map[Miss]uint64
	hits    uint64
	begun   uint64 // dials
	failed  uint64 // dials

	closeIdle, keepNone, closed bool
}

type refConn struct {
	id    int
	key   string
	state state
	why   Reason // it is closed

	born, expires        time.Duration
	jitter               time.Duration
	uses, maxUses        int
	order                int // of the newest want when its dial began, or ended if it is shared
	idleFor, peerIdle    time.Duration
	idleSince, idleUntil time.Duration
	rested               time.Duration // idle time before its latest lease
	number               int           // of the lease that the latest hit has got
	unpooled, private    bool
	retired, sick        Reason

	shares   bool
	capacity int // if it is shared
	leases   int // under way, if it is shared
}

type refWant struct {
	id    int
	ask   *refAsk
	terms Terms
	order int
	start time.Duration
	miss  Miss
	dial  *refDial // its own, under way

	conn *refConn // settled with it
	err  error    // settled with it
	uses int      // of conn before
}

type refDial struct {
	ask   *refAsk
	id    int // of the want that asked
	want  *refWant
	terms Terms
	order int

	adopted, landed bool
}

const never time.Duration = 1 << 60

func (m *reference) of(keys []string, s state) (n int) {
	for _, c := range m.conns {
		if slices.Contains(keys, c.key) && c.state == s {
			n++
		}
	}
	return n
}

// dialing are the dials that one asked for.
func (m *reference) dialing(ask *refAsk) (n int) {
	for _, d := range m.dials {
		if d.ask == ask {
			n++
		}
	}
	return n
}

// waiting are the wants that may be served by a connection of the key.
func (m *reference) waiting(key string) (wants []*refWant) {
	for _, w := range m.wants {
		if slices.Contains(w.ask.keys, key) {
			wants = append(wants, w)
		}
	}
	return wants
}

// waitingFor returns the wants of an ask: those that wait for its key or its host.
func (m *reference) waitingFor(ask *refAsk) (wants []*refWant) {
	for _, w := range m.wants {
		if w.ask == ask {
			wants = append(wants, w)
		}
	}
	return wants
}

func limit(n int) int {
	if n <= 0 {
		return math.MaxInt32
	}
	return n
}

func span(d time.Duration) time.Duration {
	if d <= 0 {
		return never
	}
	return d
}

func (c *refConn) lifetime(terms Terms) time.Duration {
	if terms.MaxLifetime <= 0 {
		return never
	}
	return c.born + terms.MaxLifetime*c.jitter/1000
}

func (c *refConn) bind(terms Terms) {
	if terms.MaxReuse > 0 {
		c.maxUses = min(c.maxUses, terms.MaxReuse+1)
	}
	c.expires = min(c.expires, c.lifetime(terms))
	c.idleFor, c.unpooled = terms.IdleTimeout, terms.Unpooled || c.private
}

func (c *refConn) spent(terms Terms, now time.Duration) Reason {
	most := c.maxUses
	if terms.MaxReuse > 0 {
		most = min(most, terms.MaxReuse+1)
	}
	switch {
	case c.uses > 0 && c.uses >= most:
		return ReasonMaxReuse
	case now >= min(c.expires, c.lifetime(terms)):
		return ReasonMaxLifetime
	case c.state == idle && now >= min(c.idleUntil, c.idleSince+span(terms.IdleTimeout)):
		return c.idleReason(span(terms.IdleTimeout))
	}
	return ""
}

func (m *reference) close(c *refConn, why Reason) {
	c.state, c.why = closed, why
	m.list(c)
	m.idle = slices.DeleteFunc(m.idle, func(other *refConn) bool { return other == c })
}

// checkout is the first half of every acquire.
func (m *reference) checkout(ask *refAsk, terms Terms) (*refConn, Miss) {
	m.closeIdle = false
	miss := Miss("")
	for !terms.Fresh && !terms.Unpooled {
		c := m.top(ask.keys, anyConn)
		if c == nil {
			c = m.leastLoaded(ask)
		}
		if c == nil {
			break
		}
		if why := c.spent(terms, m.now); why != "" {
			m.end(c, why)
			if miss == "" {
				miss = MissExpired
			}
			continue
		}
		if c.state == idle && m.avoids(c, terms) {
			miss = m.orExpired(miss)
			if c = m.instead(ask, c, terms); c == nil {
				break
			}
			if why := c.spent(terms, m.now); why != "" {
				m.end(c, why)
				continue
			}
		}
		if c.sick != "" {
			m.end(c, c.sick)
			miss = MissStale
			continue
		}
		c.rested = 0
		woken := c.state == idle
		if woken {
			c.rested = m.now - c.idleSince
			m.rouse(c)
		}
		m.take(c, terms)
		m.hits++
		c.number = c.uses
		if woken && c.shares && len(m.wants) > 0 {
			m.settle(c, "", nil)
		}
		m.tend()
		return c, ""
	}
	return nil, miss
}

// avoids says that the connection has been idle for longer than the request accepts.
func (m *reference) avoids(c *refConn, terms Terms) bool {
	if terms.MaxIdleTime <= 0 || m.now-c.idleSince < terms.MaxIdleTime {
		return false
	}
	m.avoided[c.key] = terms.MaxIdleTime
	return true
}

func (m *reference) orExpired(miss Miss) Miss {
	if miss == "" {
		return MissExpired
	}
	return miss
}

func (m *reference) tryAcquire(ask *refAsk, terms Terms) (*refConn, Miss) {
	m.meet(ask)
	if m.closed {
		m.tend()
		return nil, ""
	}
	c, miss := m.checkout(ask, terms)
	m.tend()
	return c, miss
}

// acquire returns a want that may be settled already.
func (m *reference) acquire(id int, ask *refAsk, terms Terms) *refWant {
	w := &refWant{id: id, ask: ask, terms: terms, start: m.now}
	m.meet(ask)
	if m.closed {
		m.tend()
		w.err = ErrClosed
		return w
	}
	c, miss := m.checkout(ask, terms)
	if c != nil {
		w.conn, w.uses = c, c.number-1
		return w
	}
	miss = m.mostTelling(ask, terms, miss)
	m.misses[miss]++
	m.order++
	w.order, w.miss = m.order, miss
	m.wants = append(m.wants, w)
	m.introduce(ask)
	m.tend()
	return w
}

// mostTelling is the reason of a miss, where found is what the checkout has met.
func (m *reference) mostTelling(ask *refAsk, terms Terms, found Miss) Miss {
	switch {
	case terms.Fresh:
		return MissFresh
	case terms.Unpooled:
		return MissUnpooled
	case found == MissStale || terms.Missed == MissStale:
		return MissStale
	case found == MissExpired || terms.Missed == MissExpired:
		return MissExpired
	case m.of(ask.keys, active) > 0 || terms.Missed == MissBusy:
		return MissBusy
	default:
		return MissCold
	}
}

// settleWant takes the want out of the queue, and returns the dial that it had.
func (m *reference) settleWant(w *refWant) *refDial {
	m.wants = slices.DeleteFunc(m.wants, func(other *refWant) bool { return other == w })
	d := w.dial
	if d != nil {
		d.want, w.dial = nil, nil
	}
	return d
}

func (m *reference) giveUp(w *refWant, err error) {
	w.err = err
	m.settleWant(w)
	m.tend()
}

func (m *reference) release(c *refConn) Reason {
	probe := c.sick
	if c.shares {
		c.leases--
	} else if c.unpooled {
		probe = ""
	}
	why := m.settle(c, probe, nil)
	m.tend()
	return why
}

func (m *reference) discard(c *refConn, why Reason) {
	if c.shares {
		c.leases--
	}
	m.end(c, why)
	m.tend()
}

func (m *reference) hijack(c *refConn) {
	c.state = hijacked
	m.tend()
}

func (m *reference) retire(c *refConn, why Reason) {
	if c.state == idle {
		m.close(c, why)
		m.tend()
	} else if c.state == active && c.retired == "" {
		c.retired = why
		m.list(c)
	}
}

func (m *reference) limit(c *refConn, number int, idle time.Duration, reuse int) {
	if idle > 0 {
		c.peerIdle = min(span(c.peerIdle), idle)
	}
	if reuse >= 0 {
		c.maxUses = min(c.maxUses, number+reuse)
	}
}

// reap closes what has reached its deadline by now.
func (m *reference) reap() {
	for _, c := range slices.Clone(m.idle) {
		if at := min(c.idleUntil, c.expires); at <= m.now {
			why := c.idleReason(never)
			if c.expires <= at {
				why = ReasonMaxLifetime
			}
			m.close(c, why)
		}
	}
	m.tend()
}

func (m *reference) closeAllIdle() {
	m.closeIdle = true
	for len(m.idle) > 0 {
		m.close(m.idle[0], ReasonCloseIdle)
	}
	m.tend()
}

func (m *reference) keepNothing() {
	m.keepNone = true
	for len(m.idle) > 0 {
		m.close(m.idle[0], ReasonShutdown)
	}
	m.tend()
}

func (m *reference) shutdown() {
	m.closed = true
	for len(m.wants) > 0 {
		m.wants[0].err = ErrClosed
		m.settleWant(m.wants[0])
	}
	for len(m.idle) > 0 {
		m.close(m.idle[0], ReasonShutdown)
	}
	m.tend()
}
