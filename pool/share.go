package pool

import "math"

// This file is what sharing adds: a connection that is a Sharer serves as many leases at once as it says. Each
// holds a claim on it, and the connection is active as long as there is one.

// sharing is what only a shared connection has. Guarded by Pool.mu.
type sharing struct {
	leases   map[uint64]struct{} // the numbers of those under way
	capacity int                 // leases at once
	resized  bool                // capacity has been set by resize, which goes before what Share returns
}

// void ends a claim that no lease has come of. Its number goes to the next lease, unless a younger claim has been
// made since: then it counts as a lease.
func (c claim[K, C]) void() {
	e := c.entry
	if !e.shared() {
		return
	}
	if c.number < e.uses() {
		e.ended.Add(1)
	}
	delete(e.leases, c.number)
}

// drop ends the claim, or returns false if it has ended before.
func (c claim[K, C]) drop() bool {
	e := c.entry
	if !e.shared() {
		return true
	}
	if _, ok := e.leases[c.number]; !ok {
		return false
	}
	delete(e.leases, c.number)
	e.ended.Add(1)
	return true
}

func (e *entry[K, C]) shared() bool { return e.sharing != nil }

// load is the number of leases that would go on if the connection were given back now.
func (e *entry[K, C]) load() int {
	if !e.shared() {
		return 0
	}
	return len(e.leases)
}

// room says whether the connection, active or about to be, can serve one lease more.
func (e *entry[K, C]) room() bool {
	switch {
	case !e.shared():
		return true
	case e.retired != nil || e.unpooled && e.load() > 0:
		return false
	}
	return e.load() < e.capacity
}

// take claims the connection, or a place on it.
func (e *entry[K, C]) take(terms *Terms) claim[K, C] {
	if !e.shared() {
		return claim[K, C]{entry: e}
	}
	e.bind(terms)
	number := e.uses() + 1
	e.leases[number] = struct{}{}
	e.updateSpare()
	return claim[K, C]{entry: e, number: number}
}

// updateSpare puts an active connection with room among the spare ones of its group, and takes one without away.
func (e *entry[K, C]) updateSpare() {
	switch {
	case !e.shared() || e.state != active:
	case !e.room():
		e.removeSpare()
	case !e.group.spare.has(e):
		e.group.spare.pushBack(e)
		e.group.spared()
	}
}

func (e *entry[K, C]) removeSpare() {
	if e.shared() && e.state == active && e.group.spare.has(e) {
		e.group.spare.remove(e)
		e.group.spared()
	}
}

// newTo says whether the connection is one that an own want may have: unused, or shared and opened since the want
// joined.
func (e *entry[K, C]) newTo(w *want[K, C]) bool {
	if w.terms.Unpooled && e.used() {
		return false
	}
	return !w.terms.Fresh || w.order <= e.order
}

// surplus says that the connection came too late to be of use: it has served nobody, and another one of its group has
// room. It would have to idle until it times out.
func (e *entry[K, C]) surplus() bool {
	if !e.shared() || e.used() {
		return false
	}
	others := e.group.spare.len
	if e.group.spare.has(e) {
		others--
	}
	if others > 0 {
		return true
	}
	for rested := e.group.idle.first; rested != nil; rested = rested.in[inGroup].next {
		if rested.shared() { // others may lie above it, of a server that has spoken another protocol
			return true
		}
	}
	return false
}

// leastLoaded is the shared connection of the key with room that has the fewest leases, or nil.
func (g *group[K, C]) leastLoaded() *entry[K, C] {
	least := g.spare.first
	for e := least; e != nil; e = e.in[inGroup].next {
		if e.load() < least.load() {
			least = e
		}
	}
	return least
}

// leaving is the number of shared connections in use that are retired, and so make room when their last lease ends.
func (g *group[K, C]) leaving() (n int) {
	for e := g.all.first; e != nil; e = e.in[inAll].next {
		if e.shared() && e.state == active && e.retired != nil {
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

// resize is what a Sharer is given: as many leases at once from now on.
func (p *Pool[K, C]) resize(e *entry[K, C], capacity int) {
	now := p.now()
	p.mu.Lock()
	e.capacity, e.resized = capacity, true
	if e.state == idle || e.state == active {
		p.learn(e)
		switch {
		case e.state == idle && capacity <= 0:
			p.close(e, ReasonNoCapacity)
		case e.state == active && !e.unpooled: // an unpooled one is its lease's alone
			p.settle(e, nil, "", now)
		}
		p.tend(e.group) // also where dials now cover fewer wants
	}
	p.unlock()
}

// enroll notes a connection that has just been opened, and what it shows of its key.
func (p *Pool[K, C]) enroll(e *entry[K, C]) {
	e.group.all.pushBack(e)
	if e.shared() {
		e.order = p.joined
	}
	p.learn(e)
}

// learn takes the connection for an example of those to come. One that is retired or has no capacity is none: it says
// that it takes no more, not what the next one will.
func (p *Pool[K, C]) learn(e *entry[K, C]) {
	g := e.group
	switch {
	case !e.shared() || e.private:
		g.share = 1
	case e.capacity > 0 && e.retired == nil:
		g.share = int32(min(e.capacity, math.MaxInt32))
	default:
		return
	}
	p.lessons++
	g.lesson = p.lessons
}

// dismiss forgets a connection that is closed or hijacked.
func (g *group[K, C]) dismiss(e *entry[K, C]) { g.all.remove(e) }

// cover counts a dial that brings a connection for others too, as long as a want waits for it: nobody should count
// on one that its asker has given up, as it may hang.
func (h *host[K, C]) cover(d *dial[K, C], by int) {
	if !d.terms.Unpooled {
		h.covered += by
	}
}

// covers says that the dials under way are expected to bring what the want waits for. share is what the latest
// connection has shown.
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
	// As many dials as it takes for all but the Unpooled, in a form that no great number overflows.
	return h.covered > (h.waiting()-h.alone-1)/expect
}

// part takes a dial from a want that has adopted it, and lets the want ask for its own.
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

// adopt gives the dial, whose want was served otherwise, to the oldest want that has none and may share what the
// dial brings, so that no further dial is begun for it.
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
