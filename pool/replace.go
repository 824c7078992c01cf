package pool

import (
	"context"
	"math"
	"time"
)

// Replacer is implemented by a Conn that the pool may replace before it reaches a limit. See rule 13 in the package
// documentation.
type Replacer[C Conn] interface {
	// Replacement returns the Dialer that opens another connection of the same key, or nil if there is none. The pool
	// calls Replacement with its lock held, so it must return at once and must not use the pool.
	Replacement() Dialer[C]
}

const (
	// The pool replaces a connection when one part in nearingParts of its life or of its uses is left, or when
	// maxNearing or maxUsesAhead is left if that is less. A use takes at least a round trip, and a dial rarely takes
	// more than four.
	nearingParts = 8
	maxNearing   = 10 * time.Second
	maxUsesAhead = 4

	// inUseFor is how long after its last lease an idle connection still counts as in use, unless half its life is
	// less.
	inUseFor = 30 * time.Second

	// connsEach says how many connections of a key the pool replaces at a time: one, and one more for each connsEach
	// connections.
	connsEach = 32
)

// SetReplacement makes the pool replace the connections of the host with connections that dialer opens: see Replacer.
// Call it before the host is used. Without it, the pool replaces no connection of a host.
func (h *Host[K, C]) SetReplacement(dialer HostDialer[K, C]) { h.set.replacement = dialer }

// nearing returns the moment from which the connection is to be replaced because of its age.
func (e *entry[K, C]) nearing() time.Duration { return e.nearingTo(e.expires()) }

func (e *entry[K, C]) nearingTo(expires time.Duration) time.Duration {
	if expires == forever {
		return forever
	}
	return expires - min((expires-e.born)/nearingParts, maxNearing)
}

// ending returns the reason for which the connection is about to be closed, or "" if it is not near a limit.
func (e *entry[K, C]) ending(now time.Duration) Reason {
	if most := e.bounds.maxUses; most != math.MaxUint64 && most >= nearingParts &&
		e.left() <= min(most/nearingParts, maxUsesAhead) {
		return ReasonMaxReuse
	}
	if now >= e.nearing() {
		return ReasonMaxLifetime
	}
	return ""
}

// capped reports whether the connection has a limit on its uses or its age.
func (e *entry[K, C]) capped() bool {
	return e.bounds.maxUses != math.MaxUint64 || e.bounds.lifetime > 0
}

// left returns how many more leases the connection may have.
func (e *entry[K, C]) left() uint64 { return e.bounds.maxUses - min(e.uses(), e.bounds.maxUses) }

// wake returns when the reaper has to look at the idle connection.
func (e *entry[K, C]) wake(now time.Duration) time.Duration {
	expires := e.expires()
	at := e.deadline(expires)
	if near := e.nearingTo(expires); e.replaceable && near > now {
		return min(at, near)
	}
	return at
}

// replace begins to replace a connection if it is near its end. If there is no room for both connections, replace notes
// the dial, and returns the reason for which the old connection is to be closed now. Otherwise it returns "".
func (p *Pool[K, C]) replace(e *entry[K, C], now time.Duration) Reason {
	reason := e.ending(now)
	if reason == "" || !e.used() || e.unpooled || e.isRetired() || p.closed || p.keepNone || p.closeIdle {
		return ""
	}
	g := e.group
	d := p.replacement(e)
	if d == nil || p.dialsFull(d.host) || p.replacing[g] > g.all.len()/connsEach {
		return ""
	}
	if p.hasRoom(e) {
		e.replaceable, d.replaces, d.reason = false, e, reason
		p.beginReplacement(d, g)
		return ""
	}
	if e.load() > 0 || reason == ReasonMaxReuse && e.left() > 0 || p.waiting > 0 && g.wanted() {
		return "" // leases and wants may use it until it reaches its limit
	}
	e.replaceable = false
	p.todo.replacing = d
	return reason
}

func (p *Pool[K, C]) beginReplacement(d *dial[K, C], g *group[K, C]) {
	if p.replacing == nil {
		p.replacing = make(map[*group[K, C]]int)
	}
	p.replacing[g]++
	d.inPlaceOf = g
	p.tally.replacements++
	var to *group[K, C]
	if d.host.set != nil && d.host.set.balance != BalanceNone {
		to = g // so that each key keeps its connections
	}
	p.begin(d, context.Background(), to)
}

// replacement returns the dial that is to open the successor of a connection, or nil if there is none.
func (p *Pool[K, C]) replacement(e *entry[K, C]) *dial[K, C] {
	g := e.group
	d := &dial[K, C]{host: &g.own, order: p.joined, terms: e.terms()}
	if g.seats == nil {
		d.caller.dialer = any(e.conn).(Replacer[C]).Replacement()
		if d.caller.dialer == nil {
			return nil
		}
		return d
	}
	for _, s := range g.joined() {
		if s.listed && s.host.set.replacement != nil {
			d.host, d.caller.hostDialer = s.host, s.host.set.replacement
			return d
		}
	}
	return nil
}

// terms returns the limits that bind the connection, for its successor.
func (e *entry[K, C]) terms() *Terms {
	b := e.bounds
	terms := &Terms{IdleTimeout: b.idleFor(), MaxConns: b.maxConns, MaxLifetime: b.lifetime}
	if b.maxUses != math.MaxUint64 {
		terms.MaxReuse = int(min(b.maxUses-1, math.MaxInt))
	}
	return terms
}

// hasRoom reports whether the limits allow one more connection.
func (p *Pool[K, C]) hasRoom(e *entry[K, C]) bool {
	limit := e.bounds.maxConns
	if limit <= 0 {
		return true
	}
	if own := &e.group.own; own.busy()+own.idle() >= limit {
		return false
	}
	for _, s := range e.group.joined() {
		if s.host.busy()+s.host.idle() >= limit {
			return false
		}
	}
	return true
}

// replaced is called when a replacement has ended, before its connection is admitted. It retires the old connection,
// unless the old connection is to be used up first.
func (p *Pool[K, C]) replaced(d *dial[K, C], err error) {
	g := d.inPlaceOf
	if p.replacing[g]--; p.replacing[g] == 0 {
		delete(p.replacing, g)
	}
	if e := d.replaces; e != nil && err == nil && (d.reason == ReasonMaxLifetime || e.shared) {
		p.retireLocked(e, d.reason)
	}
}

// keepFirst makes requests use up an idle connection before its successor, which has just become idle, perhaps for another
// key of the host.
func (p *Pool[K, C]) keepFirst(e *entry[K, C], now time.Duration) {
	if e == nil || e.state != idle {
		return
	}
	e.group.unstack(e)
	e.group.stack(e)
	p.idle.remove(e)
	p.idle.pushFront(e)
	for _, s := range e.group.joined() {
		s.placeFirst(now)
	}
}

// replaceIdle replaces the idle connections that are in use and near the end of their life.
func (p *Pool[K, C]) replaceIdle(now time.Duration) {
	var closed []*group[K, C]
	for e := p.idle.last; e != nil; {
		next := e.in[inPool].prev
		if e.replaceable && now >= e.nearing() && now-e.idleSince <= min((e.expires()-e.born)/2, inUseFor) {
			if reason := p.replace(e, now); reason != "" {
				p.close(e, reason)
				p.beginInPlace(e.group)
				closed = append(closed, e.group)
			}
		}
		e = next
	}
	for _, g := range closed { // after the loop, because tend may close idle connections itself
		p.tend(g)
	}
}

// beginInPlace begins the dial that takes the place of a connection that has just been closed.
func (p *Pool[K, C]) beginInPlace(g *group[K, C]) {
	d := p.todo.replacing
	p.todo.replacing = nil
	p.beginReplacement(d, g)
}
