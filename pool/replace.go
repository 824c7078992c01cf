package pool

import (
	"context"
	"math"
	"slices"
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
	// maxNearing or maxUsesAhead is left if that is less. It begins earlier if dials take long: see lead.
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

// succession holds the connections of a group that are being replaced. Pool.mu guards it.
type succession[K comparable, C Conn] struct {
	dials int             // replacements under way
	last  []leaving[K, C] // connections that have a successor
}

// leaving is a connection that has a successor. Until it is closed, or that time has come, its replacement counts as under
// way.
type leaving[K comparable, C Conn] struct {
	*entry[K, C]
	until time.Duration
}

// opened notes how long a dial of the group took. A quick dial does not make the pool forget a slow one at once.
func (g *group[K, C]) opened(took time.Duration) { g.opens = max(took, g.opens/8*7) }

// atATime returns how many connections of the group are replaced at a time if each lasts for that long. There are more than
// usual only if the pool could not replace all of them in that time otherwise.
func (g *group[K, C]) atATime(life time.Duration) int {
	n := g.all.len()
	return 1 + max(n/connsEach, min(int(time.Duration(n)*g.opens/max(1, life)), n/2))
}

// lead returns how long before their ends the connections of the group are to be replaced if each lasts for that long, so
// that there is time for all of them although the pool replaces few at a time.
func (g *group[K, C]) lead(life time.Duration) time.Duration {
	turns := (g.all.len()-1)/g.atATime(life) + 1
	return min(g.opens/2*3*time.Duration(turns), life/4*3)
}

// replacing returns how many connections of the group are being replaced.
func (g *group[K, C]) replacing(now time.Duration) int {
	s := g.succession
	if s == nil {
		return 0
	}
	s.last = slices.DeleteFunc(s.last, func(e leaving[K, C]) bool { return e.state == closed || now >= e.until })
	return s.dials + len(s.last)
}

// SetReplacement makes the pool replace the connections of the host with connections that dialer opens: see Replacer.
// Call it before the host is used. Without it, the pool replaces no connection of a host.
func (h *Host[K, C]) SetReplacement(dialer HostDialer[K, C]) { h.set.replacement = dialer }

// nearing returns the moment from which the connection is to be replaced because of its age.
func (e *entry[K, C]) nearing() time.Duration { return e.nearingTo(e.expires()) }

func (e *entry[K, C]) nearingTo(expires time.Duration) time.Duration {
	if expires == forever {
		return forever
	}
	life := expires - e.born
	return expires - max(min(life/nearingParts, maxNearing), e.group.lead(life))
}

// ending returns the reason for which the connection is about to be closed, or "" if it is not near a limit.
func (e *entry[K, C]) ending(now time.Duration) Reason {
	if most := e.bounds.maxUses; most != math.MaxUint64 && most >= nearingParts && e.left() <= e.usesAhead(most, now) {
		return ReasonMaxReuse
	}
	if now >= e.nearing() {
		return ReasonMaxLifetime
	}
	return ""
}

// life returns how long the connection will have lasted when it reaches its limit.
func (e *entry[K, C]) life(now time.Duration) time.Duration {
	life := e.expires() - e.born
	if most := e.bounds.maxUses; most <= math.MaxInt32 {
		life = min(life, time.Duration(most)*e.each(now))
	}
	return life
}

// usesAhead returns how many leases before its last one the connection is to be replaced.
func (e *entry[K, C]) usesAhead(most uint64, now time.Duration) uint64 {
	each := e.each(now)
	ahead := uint64(e.group.lead(time.Duration(min(most, math.MaxInt32))*each)/each) + 1
	return max(usualAhead(most), min(ahead, most/4*3))
}

// usualAhead returns what usesAhead returns if there is no hurry.
func usualAhead(most uint64) uint64 { return min(most/nearingParts, maxUsesAhead) }

// each returns how much time has passed for each lease of the connection. The leases that are left may follow one another
// as those before them did.
func (e *entry[K, C]) each(now time.Duration) time.Duration {
	return max(1, (now-e.born)/time.Duration(max(1, e.uses())))
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
	if d == nil || p.dialsFull(d.host) || g.replacing(now) >= g.atATime(e.life(now)) {
		return ""
	}
	if p.hasRoom(e) {
		e.replaceable, d.replaces, d.reason = false, e, reason
		d.early = e.left() > usualAhead(e.bounds.maxUses) && time.Duration(e.left())*e.each(now) > 2*g.opens
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
	if g.succession == nil {
		g.succession = new(succession[K, C])
	}
	g.succession.dials++
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
func (e *entry[K, C]) terms() Terms {
	b := e.bounds
	terms := Terms{IdleTimeout: b.idleFor(), MaxConns: b.maxConns, MaxLifetime: b.lifetime}
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

// replaced is called when a replacement has ended, before its connection is admitted. It retires the old connection, unless
// it may serve few more requests and is to be used up first.
func (p *Pool[K, C]) replaced(d *dial[K, C], err error, now time.Duration) {
	g := d.inPlaceOf
	g.succession.dials--
	e := d.replaces
	if e == nil || err != nil || e.state == closed {
		return
	}
	g.succession.last = append(g.succession.last, leaving[K, C]{e, now + 2*g.opens})
	if d.reason == ReasonMaxLifetime || e.shared || d.early {
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
