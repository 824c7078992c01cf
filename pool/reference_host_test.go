package pool

import "slices"

// refAsk is what a request asks for: a key, or a host with several keys.
type refAsk struct {
	keys  []string // whose connections it may use
	old   []string // that are listed no more, and have connections
	named bool
	known bool // of a host: the pool knows it
}

func (a *refAsk) all() []string { return slices.Concat(a.keys, a.old) }

func (a *refAsk) overlaps(other *refAsk) bool {
	return slices.ContainsFunc(a.all(), func(key string) bool { return slices.Contains(other.all(), key) })
}

// ask returns what a request for the name asks for.
func (m *reference) ask(name string) *refAsk {
	if m.asks[name] == nil {
		m.asks[name] = &refAsk{keys: []string{name}}
	}
	return m.asks[name]
}

// busy is the number of connections that count for ask: those in use, and those of dials that may lead to one of its keys.
func (m *reference) busy(ask *refAsk) int {
	n := m.of(ask.all(), active)
	for _, d := range m.dials {
		if (d.ask == ask || d.ask.known || !d.ask.named) && d.ask.overlaps(ask) {
			n++
		}
	}
	return n
}

// meet makes a host known that asks for a key which is.
func (m *reference) meet(ask *refAsk) {
	if slices.ContainsFunc(ask.keys, func(key string) bool { return m.known[key] }) {
		known := ask.known
		m.introduce(ask)
		if !known && m.trim(ask) {
			m.tend()
		}
	}
}

func (m *reference) introduce(ask *refAsk) {
	ask.known = true
	for _, key := range ask.keys {
		m.known[key] = true
	}
}

// trim closes the idle connections that exceed MaxIdlePerKey, and returns whether there were any.
func (m *reference) trim(ask *refAsk) (closed bool) {
	for m.idleOf(ask) > limit(m.config.MaxIdlePerKey) {
		m.close(m.oldest(ask), ReasonKeyIdleLimit)
		closed = true
	}
	return closed
}

// shown is the capacity that the latest connection of any of the keys has shown.
func (m *reference) shown(ask *refAsk) int {
	share, lesson := 0, 0
	for _, key := range ask.all() {
		if m.share[key] > 0 && m.lessons[key] > lesson {
			share, lesson = m.share[key], m.lessons[key]
		}
	}
	return share
}

// tidy forgets hosts and keys that have nothing left. It returns whether a host that is alive counts less than before.
func (m *reference) tidy() (less bool) {
	for _, ask := range m.asks {
		conns := func(key string) int { return m.of([]string{key}, idle) + m.of([]string{key}, active) }
		if !ask.named || !ask.known {
			continue
		}
		before := len(ask.old)
		if m.dialing(ask) == 0 {
			ask.old = slices.DeleteFunc(ask.old, func(key string) bool { return conns(key) == 0 })
		}
		if m.dialing(ask)+len(m.waitingFor(ask)) == 0 && !slices.ContainsFunc(ask.all(), func(key string) bool { return conns(key) > 0 }) {
			ask.known, ask.old = false, nil
		} else if len(ask.old) < before {
			less = true
		}
	}
	for key := range m.known {
		listed := false
		for _, ask := range m.asks {
			listed = listed || ask.named && ask.known && slices.Contains(ask.all(), key)
		}
		own := m.ask(key)
		if !listed && m.of(own.keys, idle)+m.of(own.keys, active)+m.dialing(own)+len(m.waitingFor(own)) == 0 {
			delete(m.known, key)
			delete(m.share, key)
			delete(m.avoided, key)
			m.forgets = append(m.forgets, key)
		}
	}
	return less
}

// setKeys changes what a host may use.
func (m *reference) setKeys(ask *refAsk, keys []string) {
	before := ask.all()
	ask.keys = keys
	if !ask.known {
		return
	}
	ask.old = nil
	for _, key := range before {
		if !slices.Contains(keys, key) {
			ask.old = append(ask.old, key)
		}
	}
	m.introduce(ask)
	m.trim(ask)
	m.tend()
	for {
		waiting := slices.DeleteFunc(m.waitingFor(ask), func(w *refWant) bool { return w.terms.Fresh || w.terms.Unpooled })
		if len(waiting) == 0 || !m.offer(ask, waiting[0]) {
			break
		}
	}
	m.tend()
}

// offer gives an idle connection to a want of a host.
func (m *reference) offer(ask *refAsk, w *refWant) bool {
	c := m.top(ask.keys, anyConn)
	if c == nil {
		c = m.leastLoaded(ask)
	}
	if c != nil && c.state == idle && c.spent(w.terms, m.now) == "" && m.avoids(c, w.terms) {
		c = m.instead(ask, c, w.terms)
	}
	if c == nil {
		return false
	}
	if why := c.spent(w.terms, m.now); why != "" {
		m.end(c, why)
		return true
	}
	if c.state == idle {
		m.rouse(c)
		m.list(c)
	}
	m.settle(c, c.sick, nil)
	m.tend()
	return true
}

func (m *reference) idleOf(ask *refAsk) int { return m.of(ask.all(), idle) }

// drainUnlisted retires the connections of a key that is on no host's list.
func (m *reference) drainUnlisted(key string, why Reason) int {
	for _, ask := range m.asks {
		if ask.named && ask.known && slices.Contains(ask.keys, key) {
			return 0
		}
	}
	if len(m.waitingFor(m.ask(key))) > 0 {
		return 0
	}
	return m.drain(key, why)
}
