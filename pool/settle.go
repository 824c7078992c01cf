package pool

import (
	"maps"
	"slices"
	"time"
)

// after is what has been decided under the lock and is done without it, as soon as that is free.
type after[K comparable, C Conn] struct {
	closes    []doomed[K, C]
	replacing *dial[K, C] // to begin when the connection that it is in place of is closed
	dials     []*dial[K, C]
	forgotten []K
	hosts     []func() // of the hosts that are forgotten
}

type doomed[K comparable, C Conn] struct {
	entry  *entry[K, C]
	reason Reason
	rested time.Duration // see Closing.Idle
}

// rested says how long a connection had been idle before the checkout that has just found it spent.
func (a *after[K, C]) rested(e *entry[K, C], d time.Duration) {
	if n := len(a.closes); n > 0 && a.closes[n-1].entry == e {
		a.closes[n-1].rested = d
	}
}

// unlock releases the lock and does what was decided meanwhile, which is usually nothing.
func (p *Pool[K, C]) unlock() {
	if len(p.todo.closes)+len(p.todo.dials)+len(p.todo.forgotten)+len(p.todo.hosts) == 0 {
		p.mu.Unlock()
		return
	}
	todo := p.decided()
	p.mu.Unlock()
	p.act(&todo)
}

// decided is what the caller has to do when it has let go of the lock.
func (p *Pool[K, C]) decided() after[K, C] {
	todo := p.todo
	p.todo = after[K, C]{}
	return todo
}

// act begins with the closes, so that a dial finds the room that they make. The lock is not held.
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

// closeAll closes connections, and lets Shutdown know when that is done.
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

// putBack gives the pool a connection that its lease has used, or a place on a shared one. owed says that it was not
// probed. putBack returns false where the claim was given back before.
func (p *Pool[K, C]) putBack(c claim[K, C], reason Reason, owed bool) (Reason, bool) {
	now := p.now()
	p.mu.Lock()
	if c.entry.sharing != nil && !c.drop() {
		p.mu.Unlock()
		return "", false
	}
	if owed && reason == "" && p.waiting > 0 {
		reason = p.probeOwed(c.entry)
	}
	reason = p.settle(c.entry, nil, reason, now)
	if reason != "" || p.waiting > 0 || len(p.floors) > 0 {
		p.tend(c.entry.group)
	} // else the connection is kept, and nobody waits for room
	p.unlock()
	return reason, true
}

// giveBack is putBack for a claim that no lease has come of.
func (p *Pool[K, C]) giveBack(c claim[K, C]) {
	now := p.now()
	p.mu.Lock()
	c.void()
	p.settle(c.entry, nil, "", now)
	p.tend(c.entry.group)
	p.unlock()
}

// settle decides what becomes of an active connection that nobody uses, or of the room on one that is shared: the
// next want's, idle, or closed. It is the only way back to idle. The asker, or nil, is the want that asked for the dial
// that brings it; the reason given is that of its probe. settle returns "" or why the connection takes no further lease.
func (p *Pool[K, C]) settle(
	e *entry[K, C], asker *want[K, C], reason Reason, now time.Duration,
) Reason {
	if e.retired != nil {
		reason = *e.retired
	}
	if reason == "" {
		reason = p.refusal(e, asker, now)
	}
	if e.replaceable && e.capped() && asker == nil && (reason == "" || reason == ReasonMaxReuse) {
		reason = reason.or(p.replace(e, now))
	}
	switch {
	case reason != "":
	case asker == nil && p.waiting == 0 && e.sharing == nil:
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

// pass hands the connection to its asker, else to its heir, or to as many heirs as a shared one has room for, or to
// idle, or says why it can do neither.
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
		if !e.shared() {
			return ""
		}
	}
	if e.load() == 0 {
		return p.park(e, now)
	}
	e.updateSpare()
	return ""
}

// closeOrRetire has the connection serve nobody any more: it closes the connection, or, if others share it, retires it
// until the last of them has gone.
func (p *Pool[K, C]) closeOrRetire(e *entry[K, C], reason Reason) {
	if e.shared() {
		reason = e.whyRetired().or(reason)
	}
	if e.load() > 0 {
		e.retire(reason)
		e.removeSpare()
		return
	}
	p.close(e, reason)
}

// owesRoom says that the connection has to go, because one less would let a want dial that has waited longer than the
// heir: one that may not have this connection, or it would be the heir. Without it, a stream of others that reuse the
// connections of a key at its MaxConns would keep that want waiting for ever. One that others still share is drained
// only if those that are on their way out are not enough: else a single want would empty the whole key.
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

// owesRoomTo looks at the wants of one host.
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

// refusal says why the connection can serve nobody any more.
func (p *Pool[K, C]) refusal(e *entry[K, C], asker *want[K, C], now time.Duration) Reason {
	switch {
	case p.closed:
		return ReasonShutdown
	case e.unpooled && asker == nil: // only who asked for it may have it
		return ReasonUnpooled
	case e.sharing != nil && e.capacity <= 0 && e.load() == 0: // before, it may still be raised again
		return ReasonNoCapacity
	}
	return e.spent(&anyTerms, now)
}

// park makes the connection idle and keeps to the limits, or says why it cannot.
func (p *Pool[K, C]) park(e *entry[K, C], now time.Duration) Reason {
	g := e.group
	perKey, total := p.config.MaxIdlePerKey, p.config.MaxIdle
	switch {
	case p.keepNone:
		return ReasonShutdown
	case p.closeIdle:
		return ReasonCloseIdle
	case e.sharing != nil && e.surplus() && !p.floorNeeds(e):
		return ReasonSurplus
	case perKey < 0:
		return ReasonKeyIdleLimit
	case total < 0:
		return ReasonIdleLimit
	}
	for perKey > 0 && g.mostIdle() >= perKey {
		if !p.evictAvoided(g, now) {
			return ReasonKeyIdleLimit // one is as good as the other: the one that needs no further work goes
		}
	}
	for total > 0 && p.idle.len >= total { // more than one, if the limit has been lowered
		p.evict(p.idle.last, ReasonIdleLimit)
	}
	if e.sharing != nil {
		e.removeSpare()
	}
	e.become(idle)
	p.active--
	g.use(-1)
	e.idleSince = now
	g.idle.pushFront(e)
	p.idle.pushFront(e)
	g.rest(+1)
	if at := e.wake(now); at != forever {
		p.reaper.timed++
		p.arm(at, now)
	} else if p.reaper.timed == 0 && p.reaper.wake != forever {
		p.disarm()
	}
	return ""
}

// unpark takes an idle connection out of the lists.
func (p *Pool[K, C]) unpark(e *entry[K, C]) {
	e.group.idle.remove(e)
	p.idle.remove(e)
	e.group.rest(-1)
	if e.deadline() != forever {
		p.reaper.timed--
	}
}

// evictAvoided closes the connection of the group that has been idle longest, if it has been for longer than an Acquire
// has accepted lately.
func (p *Pool[K, C]) evictAvoided(g *group[K, C], now time.Duration) bool {
	e := g.idle.last
	if g.avoided == 0 || e == nil || now-e.idleSince < g.avoided {
		return false
	}
	p.evict(e, ReasonKeyIdleLimit)
	return true
}

// evict closes an idle connection of any group.
func (p *Pool[K, C]) evict(e *entry[K, C], reason Reason) {
	p.close(e, reason)
	p.tend(e.group)
}

// close takes a connection, idle or active, out of the pool and notes that it is to be closed. The caller tends
// its group afterwards.
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

// tend leaves a group, and the hosts that have it, in order after any change that could have made room for a dial, or
// left nothing.
func (p *Pool[K, C]) tend(g *group[K, C]) {
	switch {
	case g.seats != nil:
		if !p.tended(g) {
			p.tendAll(g)
		}
	case g.own.unasked.len > 0:
		p.startDials(g)
	}
	p.tendRest(g)
}

// tended says that nobody who asks for the group, alone or among others, waits for a dial, and that nothing is left over.
func (p *Pool[K, C]) tended(g *group[K, C]) bool {
	if g.own.unasked.len > 0 {
		return false
	}
	for _, s := range *g.seats {
		if h := s.host; h.unasked.len > 0 || h.gone() || h.untidy() {
			return false
		}
	}
	return true
}

// tendRest does what is left of tend when all dials have been started.
func (p *Pool[K, C]) tendRest(g *group[K, C]) {
	if len(p.floors) > 0 {
		p.tendFloors(g)
	}
	p.forgetUseless(g)
	if p.reaper.timed == 0 && p.reaper.wake != forever {
		p.disarm()
	}
	if p.closed {
		p.signal()
	}
}

// tendHost does so after a change that concerns all groups of the host: those who share one of them count its dials.
func (p *Pool[K, C]) tendHost(h *host[K, C]) {
	if h.set == nil {
		p.tend(h.solo[0])
		return
	}
	groups := slices.Clone(h.set.groups)
	p.tendAll(groups...)
	for _, g := range groups {
		p.tendRest(g)
	}
}

// tendAll does so for the hosts that have one of the groups. One that lets go of a group counts less than before, and may
// have room for a dial again.
func (p *Pool[K, C]) tendAll(groups ...*group[K, C]) {
	for len(groups) > 0 {
		closed := p.startDials(groups...)
		var again []*group[K, C]
		for _, g := range append(closed, groups...) {
			for i := len(g.joined()) - 1; i >= 0; i-- { // from behind, as this shortens the list
				h := g.joined()[i].host
				useless, alive := h.tidy()
				for _, g := range useless {
					p.forgetUseless(g)
				}
				if alive {
					again = append(again, h.set.groups...)
				}
			}
		}
		groups = again
	}
}

func (p *Pool[K, C]) forgetUseless(g *group[K, C]) {
	if g.useless() && p.groups[g.key] == g {
		p.forget(g)
		p.todo.forgotten = append(p.todo.forgotten, g.key)
	}
}

// forget drops a group that has nothing left. A map keeps the memory of its most crowded moment, so it is made
// anew when little of that is in use.
func (p *Pool[K, C]) forget(g *group[K, C]) {
	p.tally.hits += g.hits.Load()
	delete(p.groups, g.key)
	if p.crowd < 1024 || len(p.groups) > p.crowd/4 {
		return
	}
	p.crowd = len(p.groups)
	groups := make(map[K]*group[K, C], p.crowd)
	maps.Copy(groups, p.groups)
	p.groups = groups
}

// retire is what a Retirer is given: no new lease for this connection.
func (p *Pool[K, C]) retire(e *entry[K, C], reason Reason) {
	p.mu.Lock()
	if p.retireLocked(e, reason.orUnspecified()) {
		p.tend(e.group)
	}
	p.unlock()
}

// retireLocked returns true if that has closed the connection. The caller tends its group afterwards.
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
