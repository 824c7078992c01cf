package pool

import "math"

// This file implements sharing. A connection that is a Sharer serves as many leases at once as it says. Each lease
// holds a claim on the connection, and the connection is active as long as there is a claim.

// sharing holds what only a shared connection has. Pool.mu guards it.
type sharing struct {
	leases   map[uint64]struct{} // the numbers of the leases under way
	capacity int                 // how many leases the connection serves at once
	resized  bool                // resize has set capacity, which overrides the result of Share
}

// void ends a claim that did not become a lease. Its number goes to the next lease, unless a younger claim has been
// made since. In that case the claim counts as a lease.
func (c claim[K, C]) void() {
	e := c.entry
	if !e.shared {
		return
	}
	if c.number < e.uses() {
		e.ended.Add(1)
	}
	delete(e.leases, c.number)
}

// drop ends the claim. It returns false if the claim has ended before.
func (c claim[K, C]) drop() bool {
	e := c.entry
	if !e.shared {
		return true
	}
	if _, ok := e.leases[c.number]; !ok {
		return false
	}
	delete(e.leases, c.number)
	e.ended.Add(1)
	return true
}

// load returns the number of leases that still share the connection, or 0 if the connection is not shared.
func (e *entry[K, C]) load() int {
	if !e.shared {
		return 0
	}
	return len(e.leases)
}

// room reports whether the connection, which is active or about to be, can serve one more lease.
func (e *entry[K, C]) room() bool {
	switch {
	case !e.shared:
		return true
	case e.isRetired() || e.unpooled && e.load() > 0:
		return false
	}
	return e.load() < e.capacity
}

// take claims the connection, or a place on it.
func (e *entry[K, C]) take(terms *Terms) claim[K, C] {
	if !e.shared {
		return claim[K, C]{entry: e}
	}
	e.bind(terms)
	number := e.uses() + 1
	e.leases[number] = struct{}{}
	e.updateSpare()
	return claim[K, C]{entry: e, number: number}
}

// updateSpare adds an active connection with room to the spare ones of its group, and removes one without room.
func (e *entry[K, C]) updateSpare() {
	switch {
	case !e.shared || e.state != active:
	case !e.room():
		e.removeSpare()
	case !e.group.spare.has(e):
		e.group.spare.pushBack(e)
		e.group.spared()
	}
}

func (e *entry[K, C]) removeSpare() {
	if e.shared && e.state == active && e.group.spare.has(e) {
		e.group.spare.remove(e)
		e.group.spared()
	}
}

// newTo reports whether a want that takes only new connections may have this one. If the want is Unpooled, the
// connection must be unused. If it is Fresh, the connection must have been dialed or, if it is shared, opened since the
// want joined.
func (e *entry[K, C]) newTo(w *want[K, C]) bool {
	if w.terms.Unpooled && e.used() {
		return false
	}
	return !w.terms.Fresh || w.order <= e.order
}

// surplus reports whether a shared connection came too late to be of use: it has served nobody, and another shared one
// of its group has room. It would be idle until it times out.
func (e *entry[K, C]) surplus() bool {
	if !e.shared || e.used() {
		return false
	}
	others := e.group.spare.len()
	if e.group.spare.has(e) {
		others--
	}
	if others > 0 {
		return true
	}
	for rested := e.group.idle.first; rested != nil; rested = rested.in[inGroup].next {
		if rested.shared { // if the server has changed its protocol, others may lie above it
			return true
		}
	}
	return false
}

// leastLoaded returns the shared connection of the key with room that has the fewest leases, or nil.
func (g *group[K, C]) leastLoaded() *entry[K, C] {
	least := g.spare.first
	for e := least; e != nil; e = e.in[inGroup].next {
		if e.load() < least.load() {
			least = e
		}
	}
	return least
}

// leaving returns the number of shared connections in use that are retired. They make room when their last leases end.
func (g *group[K, C]) leaving() (n int) {
	for e := g.all.first; e != nil; e = e.in[inAll].next {
		if e.shared && e.state == active && e.isRetired() {
			n++
		}
	}
	return n
}

// share asks a Sharer for its capacity.
func (p *Pool[K, C]) share(e *entry[K, C], sharer Sharer) {
	capacity := sharer.Share(func(capacity int) { p.resize(e, capacity) })
	p.mu.Lock()
	if !e.resized {
		e.capacity = capacity
	}
	p.mu.Unlock()
}

// resize is the function that a Sharer gets. It sets how many leases the connection serves at once from now on.
func (p *Pool[K, C]) resize(e *entry[K, C], capacity int) {
	now := p.now()
	p.mu.Lock()
	e.capacity, e.resized = capacity, true
	if e.state == idle || e.state == active {
		p.learn(e)
		switch {
		case e.state == idle && capacity <= 0:
			p.close(e, ReasonNoCapacity)
		case e.state == active && !e.unpooled: // an unpooled connection serves only its own lease
			p.settle(e, nil, "", now)
		}
		p.tend(e.group) // in every case: the dials under way may now cover fewer wants
	}
	p.unlock()
}

// enroll adds a new connection to its group, and notes what it shows about the key.
func (p *Pool[K, C]) enroll(e *entry[K, C]) {
	e.group.all.pushBack(e)
	if e.shared {
		e.order = p.joined
	}
	p.learn(e)
}

// learn takes the connection as an example of those to come. A connection that is retired or has no capacity is not an
// example: it shows that it takes no more leases, not what the next one will do.
func (p *Pool[K, C]) learn(e *entry[K, C]) {
	g := e.group
	switch {
	case !e.shared || e.private:
		g.share = 1
	case e.capacity > 0 && !e.isRetired():
		g.share = int32(min(e.capacity, math.MaxInt32))
	default:
		return
	}
	p.lessons++
	g.lesson = p.lessons
}

// dismiss removes a connection that is closed or hijacked from the group.
func (g *group[K, C]) dismiss(e *entry[K, C]) { g.all.remove(e) }

// cover counts a dial whose connection others may share, as long as a want waits for the dial. If its want has left,
// other wants should not count on the dial, because it may hang.
func (h *host[K, C]) cover(d *dial[K, C], by int) {
	if !d.terms.Unpooled {
		h.covered += by
	}
}

// covers reports whether the dials under way are expected to bring what the want waits for. share is the capacity that
// the latest connection has shown.
func (h *host[K, C]) covers(w *want[K, C], share int) bool {
	expect := w.terms.Expect
	if share > 0 {
		expect = share
	}
	switch {
	case w.terms.Unpooled || expect == 0 || expect == 1:
		return false
	case expect < 0:
		return h.covered >= unknownDials
	}
	// This compares the number of dials with what all wants that are not Unpooled need, in a form that cannot overflow.
	return h.covered > (h.waiting()-h.alone-1)/expect
}

// part takes a dial away from the want that has adopted it, and lets the want ask for its own.
func (w *want[K, C]) part() {
	h := w.host
	h.cover(w.dial, -1)
	w.dial.want, w.dial = nil, nil
	younger := h.unasked.first()
	for younger != nil && younger.order < w.order {
		younger = younger.inUnasked.next.owner
	}
	mark := &h.unasked.root
	if younger != nil {
		mark = &younger.inUnasked
	}
	h.unasked.insertBefore(&w.inUnasked, mark)
	h.mixed = true
	h.roof = max(h.roof, w.terms.maxConns())
}

// adopt is called if the want that asked for the dial was served otherwise. It gives the dial to the oldest want that
// has none and that may share the connection, so that the pool begins no further dial for that want.
func (d *dial[K, C]) adopt() {
	h := d.host
	if d.terms.Unpooled || h.shown() <= 1 {
		return
	}
	for w := h.unasked.first(); w != nil; w = w.inUnasked.next.owner {
		if w.terms.Unpooled {
			continue
		}
		h.unasked.remove(&w.inUnasked)
		w.dial, d.want, d.adopted = d, w, true
		h.cover(d, +1)
		return
	}
}
