package pool

import "slices"

// This file says what the reference does when limits change under way.

// setLimits replaces the limits of the pool, and those of one key.
func (m *reference) setLimits(maxIdle, maxIdlePerKey int, key string, terms Terms) {
	m.config.MaxIdle, m.config.MaxIdlePerKey = maxIdle, maxIdlePerKey
	if m.known[key] {
		m.rebindKey(key, terms)
	}
	for _, ask := range m.asks {
		for maxIdlePerKey != 0 && m.counts(ask) && m.idleOf(ask) > max(0, maxIdlePerKey) {
			m.close(m.oldest(ask), ReasonLimitLowered)
		}
	}
	for maxIdle != 0 && len(m.idle) > max(0, maxIdle) {
		m.close(m.idle[0], ReasonLimitLowered)
	}
	m.tend()
}

// counts says that the connections of its keys count for limits of ask.
func (m *reference) counts(ask *refAsk) bool { return !ask.named || ask.known }

// rebindKey replaces the limits of the connections, wants and dials of a key. A connection in use that serves one lease keeps
// its limits: its caller rebinds the lease.
func (m *reference) rebindKey(key string, terms Terms) {
	for _, c := range slices.Clone(m.conns) {
		if c.key != key || c.state != idle && (c.state != active || !c.shares) {
			continue
		}
		c.limit(terms)
		if c.state == idle {
			c.idleUntil = c.idleSince + min(span(c.idleFor), span(c.peerIdle))
			if c.uses == 0 {
				c.idleUntil = min(c.idleUntil, c.idleSince+unusedFor)
			}
		}
		if why := c.spent(Terms{}, m.now); why != "" && c.retired == "" {
			m.end(c, why)
		}
	}
	for _, ask := range m.counting(key) {
		for _, w := range m.waitingFor(ask) {
			w.terms.replace(&terms)
		}
		for _, d := range m.dials {
			if d.ask == ask {
				d.terms.replace(&terms)
			}
		}
		for m.standing(ask) > limit(terms.MaxConns) {
			c := m.oldest(ask)
			if c == nil {
				break
			}
			m.close(c, ReasonLimitLowered)
		}
	}
}

// limit does what bind does, except that it does not change whether the connection is unpooled.
func (c *refConn) limit(terms Terms) {
	unpooled := c.unpooled
	c.bind(terms)
	c.unpooled = unpooled
}

// counting returns the key and the hosts for whose limits its connections count.
func (m *reference) counting(key string) []*refAsk {
	asks := []*refAsk{m.ask(key)}
	for _, ask := range m.asks {
		if ask.named && ask.known && slices.Contains(ask.all(), key) {
			asks = append(asks, ask)
		}
	}
	return asks
}

// standing is the number of connections of ask that stay, and of those to come.
func (m *reference) standing(ask *refAsk) int {
	n := m.busy(ask) + m.idleOf(ask)
	for _, c := range m.conns {
		if slices.Contains(ask.all(), c.key) && c.state == active && c.retired != "" {
			n--
		}
	}
	return n
}

// rebind replaces the limits of a lease.
func (m *reference) rebind(c *refConn, terms Terms) {
	c.limit(terms)
	for _, ask := range m.counting(c.key) {
		if m.standing(ask) > limit(terms.MaxConns) && c.retired == "" {
			c.retired = ReasonLimitLowered
			m.list(c)
		}
	}
}
