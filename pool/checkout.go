package pool

import "context"

// TryAcquire leases an idle connection, or a place on a shared one. It returns false if no suitable connection is
// available. TryAcquire does not dial and does not wait. It does not allocate, except to record the lease of a shared
// connection. It counts no miss, because an Acquire that follows counts it. If TryAcquire returns false, the Lease
// leases nothing, but its Miss method returns what TryAcquire found: MissStale or MissExpired, or "" if there was no
// connection to try. Pass this value on to Acquire in Terms.Missed.
func (p *Pool[K, C]) TryAcquire(key K, terms Terms) (Lease[K, C], bool) {
	r := request[K, C]{terms: &terms, start: p.now()}
	l, _, _ := p.checkout(asked[K, C]{key: key}, &r)
	return l, l.entry != nil
}

// Acquire leases a connection. If there is an idle connection or a place on a shared one, Acquire leases it.
// Otherwise Acquire waits and takes the first connection that becomes available: one that another lease releases, or
// one that is dialed for this call or for several calls. If Acquire returns before its dial ends, the dial goes on,
// and its connection serves the caller that has waited longest.
//
// Acquire returns context.Cause(ctx) if ctx ends first, and ErrClosed after Shutdown. If the dial that this call
// asked for fails, Acquire returns the dialer's error. If the connection of that dial retired at once, Acquire
// returns an error that wraps ErrRetired. If a Dialer panics, Acquire returns an error that names the panic's value,
// and that wraps the value if it is an error.
func (p *Pool[K, C]) Acquire(ctx context.Context, key K, dialer Dialer[C], terms Terms) (Lease[K, C], error) {
	return p.acquire(asked[K, C]{key: key}, &caller[K, C]{ctx: ctx, dialer: dialer}, &terms)
}

func (p *Pool[K, C]) acquire(at asked[K, C], by *caller[K, C], terms *Terms) (Lease[K, C], error) {
	if by.ctx.Err() != nil {
		return Lease[K, C]{}, context.Cause(by.ctx)
	}
	r := request[K, C]{terms: terms, start: p.now(), caller: by}
	l, w, err := p.checkout(at, &r)
	switch {
	case err != nil:
		return Lease[K, C]{}, err
	case w == nil:
		return l, nil
	default:
		p.tellHeldBack(by.ctx, w)
		return p.await(w, &r)
	}
}

// checkout leases the first idle connection that passes its probe, or a place on a shared connection.
// If there is none, the lease has no entry. If the request also waits, w is the want that has joined the queue. If a
// connection fails its probe, checkout closes it and looks for the next one without releasing the lock in between, so
// that it misses no connection that comes back meanwhile.
func (p *Pool[K, C]) checkout(at asked[K, C], r *request[K, C]) (l Lease[K, C], w *want[K, C], err error) {
	p.mu.Lock()
	for {
		var c claim[K, C]
		c, w, err = p.choose(at, r)
		p.unlock()
		if c.entry == nil {
			return Lease[K, C]{found: r.found | r.data}, w, err
		}
		reason := c.entry.conn.Probe()
		if reason == "" {
			c.entry.group.hits.Add(1)
			if r.roomy {
				p.offerRoom(c.entry)
			}
			return c.begin(r.terms, hit|r.data, r.rested), nil, nil
		}
		if r.found, r.roomy = stale, false; reason == ReasonUnexpectedData {
			r.data = planted
		}
		p.mu.Lock()
		c.void()
		if at.host != nil {
			at.host.unserves(c.entry.group)
		}
		p.closeOrRetire(c.entry, reason)
		p.todo.rested(c.entry, r.rested)
	}
}

// choose takes the next candidate. If there is none and the request waits, choose lets it join the queue. The caller
// holds the lock.
func (p *Pool[K, C]) choose(at asked[K, C], r *request[K, C]) (c claim[K, C], w *want[K, C], err error) {
	h := p.hostOf(at)
	if p.closed {
		if h != nil {
			p.tendHost(h)
		}
		return c, nil, ErrClosed
	}
	p.closeIdle = false
	if h != nil {
		c = p.candidate(h, r)
	}
	if c.entry != nil && r.found == hit { // otherwise a connection was closed, and the host must be tended
		if len(p.floors) > 0 {
			p.tendFloors(c.entry.group)
		}
		return c, nil, nil
	}
	if c.entry == nil && r.caller != nil {
		if w, err = p.join(at, h, r); w != nil {
			h = w.host
		}
	}
	if h != nil {
		p.tendHost(h)
	}
	if w != nil && p.config.OnHeldBack != nil {
		p.heldBack(w)
	}
	return c, w, err
}

// hostOf returns the host that a request asks for, or nil if the pool knows neither the host nor any of its keys.
func (p *Pool[K, C]) hostOf(at asked[K, C]) *host[K, C] {
	named := at.host
	if named == nil {
		if g := p.groups[at.key]; g != nil {
			return &g.own
		}
		return nil
	}
	if !named.set.known {
		for _, key := range named.set.keys {
			if p.groups[key] != nil { // other requests use the key
				if named.join() {
					p.tendHost(&named.host)
				}
				break
			}
		}
	}
	if !named.set.known {
		return nil
	}
	return &named.host
}

// candidate takes the first idle connection of the host, after it has closed those that are spent. If there is none,
// candidate takes a place on the shared connection that has the fewest leases.
func (p *Pool[K, C]) candidate(h *host[K, C], r *request[K, C]) claim[K, C] {
	if r.terms.Fresh || r.terms.Unpooled {
		return claim[K, C]{}
	}
	if h.set != nil && h.set.balance != BalanceNone {
		return p.balancedCandidate(h, r)
	}
	for e := h.latestIdle(); e != nil; e = h.latestIdle() {
		reason := e.spent(r.terms, r.start)
		if reason == "" && r.terms.MaxIdleTime > 0 {
			if e = r.accepted(e, h.listedGroups()); e == nil {
				break // the others have been idle for even longer
			}
			reason = e.spent(r.terms, r.start)
		}
		if reason == "" {
			return p.takeIdle(e, r)
		}
		p.close(e, reason)
		r.found = max(r.found, expired)
	}
	return p.place(h, r)
}

// takeIdle takes an idle connection for the request.
func (p *Pool[K, C]) takeIdle(e *entry[K, C], r *request[K, C]) claim[K, C] {
	p.unpark(e)
	e.become(active)
	p.active++
	e.group.use(+1)
	r.rested = r.start - e.idleSince
	if e.shared {
		r.roomy = p.waiting > 0
		return e.take(r.terms)
	}
	return claim[K, C]{entry: e}
}

// offerRoom gives the room on a shared connection, which was idle until now and has been probed, to wants that refused the
// connection because it had been idle for too long.
func (p *Pool[K, C]) offerRoom(e *entry[K, C]) {
	p.mu.Lock()
	p.settle(e, nil, "", p.now())
	p.tend(e.group)
	p.unlock()
}

// balancedCandidate does what candidate does, for a host with a Balance.
func (p *Pool[K, C]) balancedCandidate(h *host[K, C], r *request[K, C]) claim[K, C] {
	for {
		e, lacking := h.balanced(r)
		if e == nil {
			return claim[K, C]{}
		}
		if reason := e.spent(r.terms, r.start); reason != "" {
			p.closeOrRetire(e, reason)
			r.found = max(r.found, expired)
			continue
		}
		if lacking != nil {
			p.dialFor(lacking, r.terms, e)
		}
		h.took(e.group)
		if e.state == idle {
			return p.takeIdle(e, r)
		}
		r.rested = 0
		return e.take(r.terms)
	}
}

// place takes a place on the shared connection that has the fewest leases. If that connection is spent, place retires
// it and tries the next one.
func (p *Pool[K, C]) place(h *host[K, C], r *request[K, C]) claim[K, C] {
	for e := h.leastLoaded(); e != nil; e = h.leastLoaded() {
		reason := e.spent(r.terms, r.start)
		if reason == "" {
			r.rested = 0
			return e.take(r.terms)
		}
		p.closeOrRetire(e, reason)
		r.found = max(r.found, expired)
	}
	return claim[K, C]{}
}
