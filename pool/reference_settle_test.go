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
		if asker == nil && m.owesRoom(c, heir) {
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
	key, owed, leaving := c.key, 0, 0
	for _, other := range m.conns {
		if other.key == key && other.state == active && other.shares && other.retired != "" {
			leaving++
		}
	}
	for _, w := range m.waiting(key) {
		if w == heir || m.dialing(key) >= limit(m.config.MaxDialsPerKey) {
			return false
		}
		if w.dial != nil {
			continue
		}
		needsOwn := w.terms.Fresh || w.terms.Unpooled
		if needsOwn && !m.covers(w) && m.of(key, active)+m.dialing(key) == limit(w.terms.MaxConns) {
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
	case m.of(c.key, idle) >= limit(m.config.MaxIdlePerKey):
		return ReasonKeyIdleLimit
	}
	if len(m.idle) >= limit(m.config.MaxIdle) {
		m.close(m.idle[0], ReasonIdleLimit)
		m.tend()
	}
	c.state = idle
	m.list(c)
	c.idleSince = m.now
	c.idleUntil = m.now + min(span(c.idleFor), span(c.peerIdle))
	m.idle = append(m.idle, c)
	return ""
}

// hasRoom says that a shared connection of the key, other than that one, can take a lease.
func (m *reference) hasRoom(key string, other *refConn) bool {
	return slices.ContainsFunc(m.conns, func(c *refConn) bool {
		return c != other && c.key == key && c.shares && (c.state == idle || c.state == active && c.room())
	})
}

func (m *reference) oldest(key string) *refConn {
	i := slices.IndexFunc(m.idle, func(c *refConn) bool { return c.key == key })
	return m.idle[i]
}

// tend starts the dials that are due, and forgets keys.
func (m *reference) tend() {
	for _, w := range slices.Clone(m.wants) {
		busy := m.of(w.key, active) + m.dialing(w.key)
		if w.dial != nil || m.covers(w) || m.dialing(w.key) >= limit(m.config.MaxDialsPerKey) ||
			busy >= limit(w.terms.MaxConns) {
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
			delete(m.share, key)
			m.forgets = append(m.forgets, key)
		}
	}
}

// landed ends a dial, with a connection or an error.
func (m *reference) landed(d *refDial, c *refConn, err error) {
	m.dials = slices.DeleteFunc(m.dials, func(other *refDial) bool { return other == d })
	d.landed = true
	asker := d.want
	if d.adopted && asker != nil {
		d.want, asker.dial, asker = nil, nil, nil
	}
	if err != nil {
		m.failed++
	} else {
		c.key, c.state, c.born, c.order = d.key, active, m.now, d.order
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
