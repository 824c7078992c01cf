package pool

import (
	"time"
)

// after holds what methods have decided under the lock, and what they do after they have released it.
type after[K comparable, C Conn] struct {
	closes    []doomed[K, C]
	replacing *dial[K, C] // begins when the connection whose place it takes is closed
	dials     []*dial[K, C]
	forgotten []K
	hosts     []func() // Host.forget of hosts that are forgotten
}

type doomed[K comparable, C Conn] struct {
	entry  *entry[K, C]
	reason Reason
	rested time.Duration // see Closing.Idle
}

// rested notes how long a connection had been idle before a checkout found that it was spent.
func (a *after[K, C]) rested(e *entry[K, C], d time.Duration) {
	if n := len(a.closes); n > 0 && a.closes[n-1].entry == e {
		a.closes[n-1].rested = d
	}
}

// unlock releases the lock and does what was decided under it, which is usually nothing.
func (p *Pool[K, C]) unlock() {
	if len(p.todo.closes)+len(p.todo.dials)+len(p.todo.forgotten)+len(p.todo.hosts) == 0 {
		p.mu.Unlock()
		return
	}
	todo := p.decided()
	p.mu.Unlock()
	p.act(&todo)
}

// decided returns what was decided under the lock. The caller does it after it has released the lock.
func (p *Pool[K, C]) decided() after[K, C] {
	todo := p.todo
	p.todo = after[K, C]{}
	return todo
}

// act does what was decided. It begins with the closes, so that a dial finds the room that they make. The caller does
// not hold the lock.
func (p *Pool[K, C]) act(todo *after[K, C]) {
	if len(todo.closes) > 0 {
		p.closeAll(todo.closes)
	}
	for _, d := range todo.dials {
		go d.run()
	}
	if hook := p.config.OnForget; hook != nil {
		for _, key := range todo.forgotten {
			hook(key)
		}
	}
	for _, forgotten := range todo.hosts {
		forgotten()
	}
}

// closeAll closes connections, and lets Shutdown know when it has closed them.
func (p *Pool[K, C]) closeAll(closes []doomed[K, C]) {
	defer func() {
		p.mu.Lock()
		p.closing -= len(closes)
		p.signal()
		p.mu.Unlock()
	}()
	for _, d := range closes {
		_ = d.entry.conn.Close()
		if hook := p.config.OnClose; hook != nil {
			hook(d.entry.group.key, d.entry.conn, Closing{Reason: d.reason, Idle: d.rested, Uses: d.entry.uses()})
		}
	}
}

// putBack gives a connection, or a place on a shared one, back to the pool after a lease. If owed is true, Probe was
// not called. putBack returns false if the claim was given back before.
func (p *Pool[K, C]) putBack(c claim[K, C], reason Reason, owed bool) (Reason, bool) {
	now := p.now()
	p.mu.Lock()
	if c.entry.shared && !c.drop() {
		p.mu.Unlock()
		return "", false
	}
	if owed && reason == "" && p.waiting > 0 {
		reason = p.probeOwed(c.entry)
	}
	reason = p.settle(c.entry, nil, reason, now)
	if reason != "" || p.waiting > 0 || len(p.floors) > 0 {
		p.tend(c.entry.group)
	} // otherwise the connection is kept, and nobody waits for room
	p.unlock()
	return reason, true
}

// giveBack does what putBack does, for a claim that did not become a lease.
func (p *Pool[K, C]) giveBack(c claim[K, C]) {
	now := p.now()
	p.mu.Lock()
	c.void()
	p.settle(c.entry, nil, "", now)
	p.tend(c.entry.group)
	p.unlock()
}

// settle decides what becomes of an active connection that nobody uses, or of the room on a shared one: it goes to the
// next want, becomes idle, or is closed. settle is the only way back to idle. asker is the want that asked for the dial
// that has opened the connection, or nil. reason is the result of the connection's probe. settle returns "", or why the
// connection takes no further lease.
func (p *Pool[K, C]) settle(
	e *entry[K, C], asker *want[K, C], reason Reason, now time.Duration,
) Reason {
	if retired := e.whyRetired(); retired != "" {
		reason = retired
	}
	if reason == "" {
		reason = p.refusal(e, asker, now)
	}
	if e.replaceable && e.capped() && asker == nil && (reason == "" || reason == ReasonMaxReuse) {
		reason = reason.or(p.replace(e, now))
	}
	switch {
	case reason != "":
	case asker == nil && p.waiting == 0 && !e.shared:
		reason = p.park(e, now)
	default:
		reason = p.pass(e, asker, now)
	}
	if reason != "" {
		p.closeOrRetire(e, reason)
	}
	if p.todo.replacing != nil {
		p.beginInPlace(e.group)
	}
	return reason
}

// pass hands the connection to asker or, if asker is nil, to its heir. It hands a shared connection to as many heirs as
// it has room for. If there is no heir, the connection becomes idle. If none of this is possible, pass returns the
// reason.
func (p *Pool[K, C]) pass(e *entry[K, C], asker *want[K, C], now time.Duration) Reason {
	for (asker != nil || p.waiting > 0 && e.group.wanted()) && e.room() {
		heir := asker
		if asker == nil {
			heir = e.group.heir(e)
			if p.owesRoom(e, heir) {
				return ReasonMakeRoom
			}
		}
		if heir == nil {
			break
		}
		if reason := e.spent(&heir.terms, now); reason != "" {
			return reason
		}
		asker = nil
		heir.host.serves(e.group)
		p.deliver(heir, delivery[K, C]{claim: e.take(&heir.terms)})
		if !e.shared {
			return ""
		}
	}
	if e.load() == 0 {
		return p.park(e, now)
	}
	e.updateSpare()
	return ""
}

// closeOrRetire closes the connection or, if leases share it, retires it until the last of them has ended.
func (p *Pool[K, C]) closeOrRetire(e *entry[K, C], reason Reason) {
	if e.shared {
		reason = e.whyRetired().or(reason)
	}
	if e.load() > 0 {
		e.retire(reason)
		e.removeSpare()
		return
	}
	p.close(e, reason)
}

// owesRoom reports whether the connection has to be closed so that a want can dial that has waited longer than heir.
// That want may not have this connection, or it would be the heir. Without owesRoom, a stream of requests that reuse
// the connections of a key at its MaxConns would keep that want waiting forever. A shared connection that is still in
// use is drained only if those that are already retired do not make enough room. Otherwise a single want would drain
// all connections of the key.
func (p *Pool[K, C]) owesRoom(e *entry[K, C], heir *want[K, C]) bool {
	if p.owesRoomTo(&e.group.own, e, heir) {
		return true
	}
	for _, s := range e.group.joined() {
		if p.owesRoomTo(s.host, e, heir) {
			return true
		}
	}
	return false
}

// owesRoomTo does what owesRoom does, for the wants of one host.
func (p *Pool[K, C]) owesRoomTo(h *host[K, C], e *entry[K, C], heir *want[K, C]) bool {
	if h.unasked.len == 0 || p.dialsFull(h) {
		return false
	}
	owed, busy, share := 0, h.busy(), h.shown()
	for w := h.unasked.first(); w != nil && (heir == nil || w.order < heir.order); w = w.inUnasked.next.owner {
		if busy != w.terms.maxConns() || h.covers(w, share) {
			continue
		}
		if owed++; e.load() == 0 || owed > h.leaving() {
			return true
		}
	}
	return false
}

// refusal returns why the connection can serve no further lease, or "" if it can.
func (p *Pool[K, C]) refusal(e *entry[K, C], asker *want[K, C], now time.Duration) Reason {
	switch {
	case p.closed:
		return ReasonShutdown
	case e.unpooled && asker == nil: // only the want that asked for it may have it
		return ReasonUnpooled
	case e.shared && e.capacity <= 0 && e.load() == 0: // while it has leases, its capacity may rise again
		return ReasonNoCapacity
	}
	return e.spent(&anyTerms, now)
}

// park makes the connection idle within the limits, or returns why it cannot.
func (p *Pool[K, C]) park(e *entry[K, C], now time.Duration) Reason {
	g := e.group
	perKey, total := p.config.MaxIdlePerKey, p.config.MaxIdle
	switch {
	case p.keepNone:
		return ReasonShutdown
	case p.closeIdle:
		return ReasonCloseIdle
	case e.shared && e.surplus() && !p.floorNeeds(e):
		return ReasonSurplus
	case perKey < 0:
		return ReasonKeyIdleLimit
	case total < 0:
		return ReasonIdleLimit
	}
	for perKey > 0 && g.mostIdle() >= perKey {
		if !p.evictAvoided(g, now) {
			return ReasonKeyIdleLimit // any of them could go; closing this one needs no further work
		}
	}
	for total > 0 && p.idle.len() >= total { // several, if the limit has been lowered
		other := p.evictee(g)
		if other == nil {
			return ReasonIdleLimit
		}
		p.evict(other, ReasonIdleLimit)
	}
	if e.shared {
		e.removeSpare()
	}
	e.become(idle)
	p.active--
	g.use(-1)
	e.idleSince = now
	g.stack(e)
	p.idle.pushFront(e)
	g.rest(+1)
	if e.bounds.timed() {
		p.reaper.timed++
		p.arm(e.wake(now), now)
	} else if p.reaper.timed == 0 && p.reaper.wake != forever {
		p.disarm()
	}
	return ""
}

// unpark takes an idle connection out of the lists of idle connections.
func (p *Pool[K, C]) unpark(e *entry[K, C]) {
	e.group.unstack(e)
	p.idle.remove(e)
	e.group.rest(-1)
	if e.bounds.timed() {
		p.reaper.timed--
	}
}

// evictAvoided closes the connection of the group that has been idle longest, if it has been idle for longer than an
// Acquire has accepted lately.
func (p *Pool[K, C]) evictAvoided(g *group[K, C], now time.Duration) bool {
	e := g.idle.last
	if g.avoided == 0 || e == nil || now-e.idleSince < g.avoided {
		return false
	}
	p.evict(e, ReasonKeyIdleLimit)
	return true
}

// evict closes an idle connection and tends its group.
func (p *Pool[K, C]) evict(e *entry[K, C], reason Reason) {
	p.close(e, reason)
	p.tend(e.group)
}

// close takes an idle or active connection out of the pool, and notes that it is to be closed. The caller must tend its
// group afterwards.
func (p *Pool[K, C]) close(e *entry[K, C], reason Reason) {
	if len(p.floors) > 0 {
		p.floorLost(e, reason, p.now())
	}
	var rested time.Duration
	if e.state == idle {
		rested = max(0, p.now()-e.idleSince)
		p.unpark(e)
	} else {
		e.removeSpare()
		p.active--
		e.group.use(-1)
	}
	e.become(closed)
	e.group.dismiss(e)
	p.tally.closes[reason]++
	p.closing++
	p.todo.closes = append(p.todo.closes, doomed[K, C]{e, reason, rested})
}

// retire is the function that a Retirer gets. The connection takes no new lease.
func (p *Pool[K, C]) retire(e *entry[K, C], reason Reason) {
	p.mu.Lock()
	if p.retireLocked(e, reason.orUnspecified()) {
		p.tend(e.group)
	}
	p.unlock()
}

// retireLocked retires the connection and returns true if that has closed it. The caller must tend its group
// afterwards.
func (p *Pool[K, C]) retireLocked(e *entry[K, C], reason Reason) bool {
	switch e.state {
	case idle:
		p.close(e, reason)
		return true
	case opening, active:
		e.retire(reason)
		e.removeSpare()
	}
	return false
}
