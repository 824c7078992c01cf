package pool

import "slices"

// room says whether the connection, which is active, can be leased once more.
func (c *refConn) room() bool {
	if !c.shares {
		return true
	}
	return c.retired == "" && c.leases < c.capacity && !(c.unpooled && c.leases > 0)
}

// suits says whether the want may have the connection.
func (c *refConn) suits(w *refWant) bool {
	switch {
	case c.uses > 0 && (w.terms.Unpooled || w.terms.Fresh && !c.shares):
		return false
	case w.terms.Fresh:
		return c.order >= w.order
	}
	return true
}

func (m *reference) take(c *refConn, terms Terms) {
	c.uses++
	c.bind(terms)
	if c.shares {
		c.leases++
		m.list(c)
	}
}

// list keeps the list of the connections with room.
func (m *reference) list(c *refConn) {
	listed := slices.Contains(m.spare, c)
	belongs := c.shares && c.state == active && c.room()
	if belongs && !listed {
		m.spare = append(m.spare, c)
	}
	if listed && !belongs {
		m.spare = slices.DeleteFunc(m.spare, func(other *refConn) bool { return other == c })
	}
}

func (m *reference) leastLoaded(ask *refAsk) (least *refConn) {
	for _, key := range ask.keys {
		for _, c := range m.spare {
			if c.key == key && (least == nil || c.leases < least.leases) {
				least = c
			}
		}
	}
	return least
}

// end closes the connection, now or when its last lease ends.
func (m *reference) end(c *refConn, why Reason) {
	if c.shares && c.retired != "" {
		why = c.retired
	}
	if c.leases == 0 {
		m.close(c, why)
		return
	}
	c.retired = why
	m.list(c)
}

func (m *reference) resize(c *refConn, capacity int) {
	c.capacity = capacity
	switch {
	case c.state == idle:
		m.learn(c)
		if capacity <= 0 {
			m.close(c, ReasonNoCapacity)
		}
	case c.state == active:
		m.learn(c)
		if !c.unpooled {
			m.settle(c, "", nil)
		}
	}
	m.tend()
}

// drain returns how many connections it has retired.
func (m *reference) drain(key string, why Reason) (n int) {
	for _, c := range m.conns {
		if c.key == key && (c.state == idle || c.state == active) && c.retired == "" {
			n++
			m.retire(c, why)
		}
	}
	return n
}

// learn notes what the connection shows of its key.
func (m *reference) learn(c *refConn) {
	if !c.shares || c.private {
		m.share[c.key] = 1
	} else if c.capacity > 0 && c.retired == "" {
		m.share[c.key] = c.capacity
	} else {
		return
	}
	m.lesson++
	m.lessons[c.key] = m.lesson
}

// covers says that enough dials are under way to serve everybody, this want included.
func (m *reference) covers(w *refWant) bool {
	expect := w.terms.Expect
	if share := m.shown(w.ask); share > 0 {
		expect = share
	}
	dials, others := 0, 0
	for _, other := range m.waitingFor(w.ask) {
		if other.dial != nil && !other.dial.terms.Unpooled {
			dials++
		}
		if !other.terms.Unpooled {
			others++
		}
	}
	switch {
	case w.terms.Unpooled || expect == 0 || expect == 1:
		return false
	case expect < 0:
		return dials >= unknownDials
	}
	return dials*expect >= others
}

// adopt gives the dial to the oldest want that may use what it brings and has no dial.
func (m *reference) adopt(d *refDial) {
	if d.terms.Unpooled || m.shown(d.ask) <= 1 {
		return
	}
	for _, w := range m.waitingFor(d.ask) {
		if w.dial == nil && !w.terms.Unpooled {
			w.dial, d.want, d.adopted = d, w, true
			return
		}
	}
}
