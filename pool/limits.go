package pool

import (
	"maps"
	"slices"
	"time"
)

// SetLimits replaces Config.MaxIdle and Config.MaxIdlePerKey, and the Terms of the connections, dials, wants and floors of some
// keys.
// Higher limits apply at once to the wants. Lower limits apply gently: SetLimits closes the idle connections that
// exceed them, those idle longest first. It does not cut a connection in use; the caller of that connection calls
// Lease.Rebind before it gives the connection back. A connection keeps a lower MaxReuse and MaxLifetime that it had
// before. Of the Terms, SetLimits uses IdleTimeout, MaxReuse, MaxLifetime and MaxConns. If several callers use
// different Terms for a key, pass the loosest. The others apply when their callers next call Acquire.
func (p *Pool[K, C]) SetLimits(maxIdle, maxIdlePerKey int, terms map[K]Terms) {
	now := p.now()
	p.mu.Lock()
	defer p.unlock()
	p.config.MaxIdle, p.config.MaxIdlePerKey = maxIdle, maxIdlePerKey
	var changed []*group[K, C]
	for key, t := range terms {
		if g := p.groups[key]; g != nil {
			p.rebind(g, &t, now)
			changed = append(changed, g)
		}
	}
	for _, g := range p.groups {
		for _, h := range g.counting() {
			changed = append(changed, h.trim(ReasonLimitLowered)...)
		}
	}
	for maxIdle != 0 && p.idle.len() > max(0, maxIdle) {
		changed = append(changed, p.idle.last.group)
		p.close(p.idle.last, ReasonLimitLowered)
	}
	for _, g := range changed {
		p.tend(g)
	}
	for _, h := range slices.Collect(maps.Keys(p.floors)) {
		p.tendHost(h) // a higher limit may let it dial, a lower one may end a Warm
	}
}

// rebind applies other terms to the connections and wants of a key.
func (p *Pool[K, C]) rebind(g *group[K, C], terms *Terms, now time.Duration) {
	for e := g.all.first; e != nil; {
		next := e.in[inAll].next
		switch {
		case e.state == idle:
			p.rebindIdle(e, terms, now)
		case e.state == active && e.shared:
			e.limit(terms)
			if reason := e.spent(&anyTerms, now); reason != "" && !e.isRetired() {
				p.closeOrRetire(e, reason)
			}
		} // the lease of any other connection guards its limits
		e = next
	}
	for _, h := range g.counting() {
		h.rebind(terms)
		for limit := terms.maxConns(); h.busy()+h.idle()-h.retiring() > limit; {
			e := h.longestIdle()
			if e == nil {
				break
			}
			p.close(e, ReasonLimitLowered)
		}
	}
}

// rebindIdle applies other terms to an idle connection, and closes the connection if it has reached one of the limits.
func (p *Pool[K, C]) rebindIdle(e *entry[K, C], terms *Terms, now time.Duration) {
	if e.bounds.timed() {
		p.reaper.timed--
	}
	e.limit(terms)
	e.limitUnused()
	if e.bounds.timed() {
		p.reaper.timed++
		p.arm(e.wake(now), now)
	}
	if reason := e.spent(&anyTerms, now); reason != "" {
		p.close(e, reason)
	}
}

// limit does what bind does, except that it does not change whether the connection is unpooled.
func (e *entry[K, C]) limit(terms *Terms) {
	unpooled := e.unpooled
	e.bind(terms)
	e.unpooled = unpooled
}

// rebind applies other terms to the wants, the dials and the floor of the host.
func (h *host[K, C]) rebind(terms *Terms) {
	if h.set != nil {
		h.set.maxConns = terms.maxConns()
	}
	for _, queue := range []*list[want[K, C]]{&h.plain, &h.own} {
		for w := queue.first(); w != nil; w = w.inQueue.next.owner {
			w.terms.replace(terms)
			h.roof = max(h.roof, terms.maxConns())
		}
	}
	if f := h.pool.floors[h]; f != nil {
		f.terms.replace(terms)
	}
	for d := h.pool.dials.first(); d != nil; d = d.inPool.next.owner {
		if d.host == h {
			d.terms.replace(terms)
		}
	}
}

// replace replaces the limits that SetLimits changes.
func (t *Terms) replace(by *Terms) {
	t.MaxConns, t.MaxReuse, t.MaxLifetime, t.IdleTimeout = by.MaxConns, by.MaxReuse, by.MaxLifetime, by.IdleTimeout
}

// Rebind replaces the limits of the lease's Terms: IdleTimeout, MaxReuse, MaxLifetime and MaxConns. Call it before the
// lease ends if the limits have changed since the Acquire. If the key has more connections than MaxConns, the connection
// takes no new lease, and is closed when its last lease ends. Rebind does nothing if the lease has ended.
func (l Lease[K, C]) Rebind(terms Terms) {
	e := l.entry
	if e == nil {
		return
	}
	p := e.group.own.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if !l.underWay() {
		return
	}
	e.limit(&terms)
	for _, h := range e.group.counting() {
		if h.busy()+h.idle()-h.retiring() > terms.maxConns() && !e.isRetired() {
			e.retire(ReasonLimitLowered)
			e.removeSpare()
		}
	}
}

// retiring returns the number of connections in use that take no new lease.
func (h *host[K, C]) retiring() (n int) {
	for _, g := range h.allGroups() {
		for e := g.all.first; e != nil; e = e.in[inAll].next {
			if e.state == active && e.isRetired() {
				n++
			}
		}
	}
	return n
}

// counting returns the hosts for whose limits a connection of the key counts.
func (g *group[K, C]) counting() []*host[K, C] {
	hosts := []*host[K, C]{&g.own}
	for _, s := range g.joined() {
		hosts = append(hosts, s.host)
	}
	return hosts
}
