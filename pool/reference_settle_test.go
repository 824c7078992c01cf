package pool

import (
	"math"
	"slices"
)

// settle is what happens to a connection at the end of a lease or a dial, whose asker may still wait.
func (m *reference) settle(c *refConn, probe Reason, asker *refWant) Reason {
	why := probe
	if c.retired != "" {
		why = c.retired
	}
	if why == "" && m.closed {
		why = ReasonShutdown
	}
	if why == "" && c.unpooled && asker == nil {
		why = ReasonUnpooled
	}
	if why == "" && c.shares && c.capacity <= 0 && c.leases == 0 {
		why = ReasonNoCapacity
	}
	if why == "" {
		why = c.spent(Terms{}, m.now)
	}
	if why == "" {
		why = m.pass(c, asker)
	}
	if why != "" {
		m.end(c, why)
	}
	return why
}

func (m *reference) pass(c *refConn, asker *refWant) Reason {
	for c.room() {
		heir := asker
		for _, w := range m.waiting(c.key) {
			if heir == nil && c.suits(w) {
				heir = w
			}
		}
		if asker == nil && len(m.waiting(c.key)) > 0 && m.owesRoom(c, heir) {
			return ReasonMakeRoom
		}
		if heir == nil {
			break
		}
		if why := c.spent(heir.terms, m.now); why != "" {
			return why
		}
		asker = nil
		heir.conn, heir.uses = c, c.uses
		m.take(c, heir.terms)
		if d := m.settleWant(heir); d != nil && !d.landed {
			m.adopt(d)
		}
		if !c.shares {
			return ""
		}
	}
	if c.leases == 0 {
		return m.park(c)
	}
	m.list(c)
	return ""
}

func (m *reference) owesRoom(c *refConn, heir *refWant) bool {
	for _, ask := range m.asks {
		if m.owesRoomTo(ask, c, heir) {
			return true
		}
	}
	return false
}

func (m *reference) owesRoomTo(ask *refAsk, c *refConn, heir *refWant) bool {
	if ask.named && !ask.known || !slices.Contains(ask.all(), c.key) || m.dialing(ask) >= limit(m.config.MaxDialsPerKey) {
		return false
	}
	owed, leaving := 0, 0
	for _, other := range m.conns {
		if slices.Contains(ask.all(), other.key) && other.state == active && other.shares && other.retired != "" {
			leaving++
		}
	}
	for _, w := range m.waitingFor(ask) {
		if heir != nil && w.order >= heir.order {
			return false
		}
		if w.dial == nil && !m.covers(w) && m.busy(ask) == limit(w.terms.MaxConns) {
			owed++
		}
		if owed > 0 && (c.leases == 0 || owed > leaving) {
			return true
		}
	}
	return false
}

func (m *reference) park(c *refConn) Reason {
	switch {
	case m.keepNone:
		return ReasonShutdown
	case m.closeIdle:
		return ReasonCloseIdle
	case c.shares && c.uses == 0 && m.hasRoom(c.key, c):
		return ReasonSurplus
	case m.config.MaxIdlePerKey < 0:
		return ReasonKeyIdleLimit
	case m.config.MaxIdle < 0:
		return ReasonIdleLimit
	}
	for _, ask := range m.asks {
		counts := slices.Contains(ask.all(), c.key) && (ask.known || !ask.named)
		for counts && m.idleOf(ask) >= limit(m.config.MaxIdlePerKey) {
			if !m.evictAvoided(c.key) {
				return ReasonKeyIdleLimit
			}
		}
	}
	if len(m.idle) >= limit(m.config.MaxIdle) {
		m.close(m.idle[0], ReasonIdleLimit)
		m.tend()
	}
	c.state = idle
	m.list(c)
	c.idleSince = m.now
	c.idleUntil = m.now + min(span(c.idleFor), span(c.peerIdle))
	if c.uses == 0 {
		c.idleUntil = min(c.idleUntil, m.now+unusedFor)
	}
	m.idle = append(m.idle, c)
	return ""
}

// evictAvoided closes the connection of the key that was released longest ago, if requests leave it alone.
func (m *reference) evictAvoided(key string) bool {
	limit, ok := m.avoided[key]
	c := m.bottom([]string{key})
	if c == nil || !ok || m.now-c.idleSince < limit {
		return false
	}
	m.close(c, ReasonKeyIdleLimit)
	m.tend()
	return true
}

// hasRoom says that a shared connection of the key, other than that one, can take a lease.
func (m *reference) hasRoom(key string, other *refConn) bool {
	return slices.ContainsFunc(m.conns, func(c *refConn) bool {
		return c != other && c.key == key && c.shares && (c.state == idle || c.state == active && c.room())
	})
}

// oldest is the idle connection that goes first: to a key that is listed no more, and released longest ago.
func (m *reference) oldest(ask *refAsk) *refConn {
	if c := m.bottom(ask.old); c != nil {
		return c
	}
	return m.bottom(ask.keys)
}

// tend starts the dials that are due, and forgets keys.
func (m *reference) tend() {
	m.startDials()
	for m.tidy() {
		m.startDials()
	}
}

func (m *reference) startDials() {
	for _, w := range slices.Clone(m.wants) {
		if w.dial != nil || m.covers(w) || m.dialing(w.ask) >= limit(m.config.MaxDialsPerKey) ||
			m.busy(w.ask) >= limit(w.terms.MaxConns) {
			continue
		}
		for m.busy(w.ask)+m.idleOf(w.ask) >= limit(w.terms.MaxConns) {
			m.close(m.oldest(w.ask), ReasonMakeRoom)
		}
		w.dial = &refDial{ask: w.ask, id: w.id, want: w, terms: w.terms, order: m.order}
		m.dials = append(m.dials, w.dial)
		m.begun++
	}
}

// landed ends a dial, with a connection to a key or an error.
func (m *reference) landed(d *refDial, key string, c *refConn, err error) {
	if err == nil {
		m.known[key] = true
		if !slices.Contains(d.ask.all(), key) {
			d.ask.old = append(d.ask.old, key)
			if m.trim(d.ask) { // the key may have idle connections, which now count
				m.tend()
			}
		}
	}
	m.dials = slices.DeleteFunc(m.dials, func(other *refDial) bool { return other == d })
	d.landed = true
	asker := d.want
	if d.adopted && asker != nil {
		d.want, asker.dial, asker = nil, nil, nil
	}
	if err != nil {
		m.failed++
	} else {
		c.key, c.state, c.born, c.order = key, active, m.now, d.order
		c.maxUses, c.expires = math.MaxInt32, never
		c.bind(d.terms)
		if c.shares {
			c.order = m.order
		}
		m.learn(c)
		m.conns = append(m.conns, c)
		if m.settle(c, "", asker) != "" {
			err = ErrRetired
		}
	}
	if err != nil && asker != nil && asker.conn == nil {
		asker.err = err
		m.settleWant(asker)
	}
	m.tend()
}
