package pool

import (
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
	wants   []*refWant // the first one waits longest
	dials   []*refDial // under way
	order   int        // of wants
	known   map[string]bool
	forgets []string
	misses  map[Miss]uint64
	hits    uint64
	begun   uint64 // dials
	failed  uint64 // dials

	closeIdle, closed bool
}

type refConn struct {
	id    int
	key   string
	state state
	why   Reason // it is closed

	born, expires        time.Duration
	jitter               time.Duration
	uses, maxUses        int
	order                int // of the newest want when its dial began
	idleFor, peerIdle    time.Duration
	idleSince, idleUntil time.Duration
	unpooled             bool
	retired, sick        Reason
}

type refWant struct {
	id    int
	key   string
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
	key   string
	id    int // of the want that asked
	want  *refWant
	terms Terms
	order int
}

const never = 1 << 60

func (m *reference) of(key string, s state) (n int) {
	for _, c := range m.conns {
		if c.key == key && c.state == s {
			n++
		}
	}
	return n
}

func (m *reference) dialing(key string) (n int) {
	for _, d := range m.dials {
		if d.key == key {
			n++
		}
	}
	return n
}

func (m *reference) waiting(key string) (wants []*refWant) {
	for _, w := range m.wants {
		if w.key == key {
			wants = append(wants, w)
		}
	}
	return wants
}

func limit(n int) int {
	if n <= 0 {
		return never
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
	c.idleFor, c.unpooled = terms.IdleTimeout, terms.Unpooled
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
		return ReasonIdleTimeout
	}
	return ""
}

func (m *reference) close(c *refConn, why Reason) {
	c.state, c.why = closed, why
	m.idle = slices.DeleteFunc(m.idle, func(other *refConn) bool { return other == c })
}

// checkout is the first half of every acquire.
func (m *reference) checkout(key string, terms Terms) (*refConn, Miss) {
	m.closeIdle = false
	miss := Miss("")
	for !terms.Fresh && !terms.Unpooled {
		at := -1
		for i, c := range m.idle {
			if c.key == key {
				at = i
			}
		}
		if at < 0 {
			break
		}
		c := m.idle[at]
		if why := c.spent(terms, m.now); why != "" {
			m.close(c, why)
			if miss == "" {
				miss = MissExpired
			}
			continue
		}
		if c.sick != "" {
			m.close(c, c.sick)
			miss = MissStale
			continue
		}
		m.idle = slices.Delete(m.idle, at, at+1)
		c.state = active
		c.uses++
		c.bind(terms)
		m.hits++
		m.tend()
		return c, ""
	}
	return nil, miss
}

func (m *reference) tryAcquire(key string, terms Terms) *refConn {
	if m.closed {
		return nil
	}
	c, _ := m.checkout(key, terms)
	m.tend()
	return c
}

// acquire returns a want that may be settled already.
func (m *reference) acquire(id int, key string, terms Terms) *refWant {
	w := &refWant{id: id, key: key, terms: terms, start: m.now}
	if m.closed {
		w.err = ErrClosed
		return w
	}
	c, miss := m.checkout(key, terms)
	if c != nil {
		w.conn, w.uses = c, c.uses-1
		return w
	}
	switch {
	case terms.Fresh:
		miss = MissFresh
	case terms.Unpooled:
		miss = MissUnpooled
	case miss == "" && m.of(key, active) > 0:
		miss = MissBusy
	case miss == "":
		miss = MissCold
	}
	m.misses[miss]++
	m.order++
	w.order, w.miss = m.order, miss
	m.wants = append(m.wants, w)
	m.known[key] = true
	m.tend()
	return w
}

func (m *reference) settleWant(w *refWant) {
	m.wants = slices.DeleteFunc(m.wants, func(other *refWant) bool { return other == w })
	if w.dial != nil {
		w.dial.want, w.dial = nil, nil
	}
}

func (m *reference) giveUp(w *refWant, err error) {
	w.err = err
	m.settleWant(w)
	m.tend()
}

// settle is what happens to a connection at the end of a lease or a dial.
func (m *reference) settle(c *refConn, probe Reason) Reason {
	why := probe
	if c.retired != "" {
		why = c.retired
	}
	if why == "" && m.closed {
		why = ReasonShutdown
	}
	if why == "" && c.unpooled && c.uses > 0 {
		why = ReasonUnpooled
	}
	if why == "" {
		why = c.spent(Terms{}, m.now)
	}
	if why == "" {
		why = m.pass(c)
	}
	if why != "" {
		m.close(c, why)
	}
	return why
}

func (m *reference) pass(c *refConn) Reason {
	var heir *refWant
	for _, w := range m.waiting(c.key) {
		suits := c.uses == 0 && (!w.terms.Fresh || c.order >= w.order) ||
			c.uses > 0 && !w.terms.Fresh && !w.terms.Unpooled
		if suits {
			heir = w
			break
		}
	}
	if m.owesRoom(c.key, heir) {
		return ReasonMakeRoom
	}
	if heir == nil {
		return m.park(c)
	}
	if why := c.spent(heir.terms, m.now); why != "" {
		return why
	}
	heir.conn, heir.uses = c, c.uses
	m.settleWant(heir)
	c.uses++
	c.bind(heir.terms)
	return ""
}

func (m *reference) owesRoom(key string, heir *refWant) bool {
	for _, w := range m.waiting(key) {
		switch {
		case w == heir:
			return false
		case w.dial != nil:
			continue
		case !w.terms.Fresh && (!w.terms.Unpooled || m.spare(key) > 0):
			return false
		}
		return m.dialing(key) < limit(m.config.MaxDialsPerKey) &&
			m.of(key, active)+m.dialing(key) == limit(w.terms.MaxConns)
	}
	return false
}

func (m *reference) park(c *refConn) Reason {
	switch {
	case c.unpooled:
		return ReasonUnpooled
	case m.closeIdle:
		return ReasonCloseIdle
	case m.config.MaxIdlePerKey < 0:
		return ReasonKeyIdleLimit
	case m.config.MaxIdle < 0:
		return ReasonIdleLimit
	}
	if m.of(c.key, idle) >= limit(m.config.MaxIdlePerKey) {
		m.close(m.oldest(c.key), ReasonKeyIdleLimit)
		m.tend()
	}
	if len(m.idle) >= limit(m.config.MaxIdle) {
		m.close(m.idle[0], ReasonIdleLimit)
		m.tend()
	}
	c.state = idle
	c.idleSince = m.now
	c.idleUntil = m.now + min(span(c.idleFor), span(c.peerIdle))
	m.idle = append(m.idle, c)
	return ""
}

func (m *reference) oldest(key string) *refConn {
	i := slices.IndexFunc(m.idle, func(c *refConn) bool { return c.key == key })
	return m.idle[i]
}

func (m *reference) spare(key string) (n int) {
	for _, d := range m.dials {
		if d.key == key && d.want == nil {
			n++
		}
	}
	return n
}

// tend starts the dials that are due, and forgets keys.
func (m *reference) tend() {
	for _, w := range slices.Clone(m.wants) {
		plain := 0 // wants that a spare dial would serve, and that have none of their own
		for _, other := range m.waiting(w.key) {
			if other.dial == nil && !other.terms.Fresh {
				plain++
			}
		}
		busy := m.of(w.key, active) + m.dialing(w.key)
		if w.dial != nil || m.dialing(w.key) >= limit(m.config.MaxDialsPerKey) ||
			!w.terms.Fresh && m.spare(w.key) >= plain || busy >= limit(w.terms.MaxConns) {
			continue
		}
		for busy+m.of(w.key, idle) >= limit(w.terms.MaxConns) {
			m.close(m.oldest(w.key), ReasonMakeRoom)
		}
		w.dial = &refDial{key: w.key, id: w.id, want: w, terms: w.terms, order: m.order}
		m.dials = append(m.dials, w.dial)
		m.begun++
	}
	for key := range m.known {
		if m.of(key, idle)+m.of(key, active)+m.dialing(key)+len(m.waiting(key)) == 0 {
			delete(m.known, key)
			m.forgets = append(m.forgets, key)
		}
	}
}

// landed ends a dial, with a connection or an error.
func (m *reference) landed(d *refDial, c *refConn, err error) {
	m.dials = slices.DeleteFunc(m.dials, func(other *refDial) bool { return other == d })
	asker := d.want
	if asker != nil {
		d.want, asker.dial = nil, nil
	}
	if err != nil {
		m.failed++
	} else {
		c.key, c.state, c.born, c.order = d.key, active, m.now, d.order
		c.maxUses, c.expires = never, never
		c.bind(d.terms)
		m.conns = append(m.conns, c)
		if m.settle(c, "") != "" {
			err = ErrRetired
		}
	}
	if err != nil && asker != nil {
		asker.err = err
		m.settleWant(asker)
	}
	m.tend()
}

func (m *reference) release(c *refConn) Reason {
	probe := c.sick
	if c.unpooled {
		probe = ""
	}
	why := m.settle(c, probe)
	m.tend()
	return why
}

func (m *reference) discard(c *refConn, why Reason) {
	m.close(c, why)
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
	}
}

func (m *reference) limit(c *refConn, idle time.Duration, reuse int) {
	if idle > 0 {
		c.peerIdle = min(span(c.peerIdle), idle)
	}
	if reuse >= 0 {
		c.maxUses = min(c.maxUses, c.uses+reuse)
	}
}

// reap closes what has reached its deadline by now.
func (m *reference) reap() {
	for _, c := range slices.Clone(m.idle) {
		if at := min(c.idleUntil, c.expires); at <= m.now {
			why := ReasonIdleTimeout
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
