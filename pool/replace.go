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
	// A connection is replaced when it has nearingParts-1 parts of its life or of its uses behind it, or maxNearing or
	// maxUsesAhead before the end if that is later. A use takes a round trip at least, and a dial seldom more than four.
	nearingParts = 8
	maxNearing   = 10 * time.Second
	maxUsesAhead = 4

	// inUseFor is how long after its last lease an idle connection still counts as in use, if half its life is not less.
	inUseFor = 30 * time.Second

	// connsEach is for how many connections of a key one may be replaced at a time, besides the first.
	connsEach = 32
)

// SetReplacement has the pool replace the connections of the host with those that dialer opens: see Replacer. It must be
// called before the host is used. Without it, the pool replaces no connection of a host.
func (h *Host[K, C]) SetReplacement(dialer HostDialer[K, C]) { h.set.replacement = dialer }

// nearing is the moment from which on the connection is to be replaced for its age.
func (e *entry[K, C]) nearing() time.Duration {
	if e.expires == forever {
		return forever
	}
	return e.expires - min((e.expires-e.born)/nearingParts, maxNearing)
}

// ending says which limit the connection is near, or "".
func (e *entry[K, C]) ending(now time.Duration) Reason {
	if e.maxUses != math.MaxUint64 && e.maxUses >= nearingParts && e.left() <= min(e.maxUses/nearingParts, maxUsesAhead) {
		return ReasonMaxReuse
	}
	if now >= e.nearing() {
		return ReasonMaxLifetime
	}
	return ""
}

// capped says whether the connection comes to an end by itself.
func (e *entry[K, C]) capped() bool { return e.maxUses != math.MaxUint64 || e.expires != forever }

// left is how many leases more the connection may have.
func (e *entry[K, C]) left() uint64 { return e.maxUses - min(e.uses(), e.maxUses) }

// wake is when the reaper is to look at the idle connection.
func (e *entry[K, C]) wake(now time.Duration) time.Duration {
	at := e.deadline()
	if e.replaceable && e.expires != forever {
		if near := e.nearing(); near > now {
			return min(at, near)
		}
	}
	return at
}

// replace begins to replace a connection that is near its end, if it is. It returns the reason for which the connection is to
// be closed now, as there is no room for both, or "".
func (p *Pool[K, C]) replace(e *entry[K, C], now time.Duration) Reason {
	reason := e.ending(now)
	if reason == "" || !e.used() || e.unpooled || e.retired != nil || p.closed || p.keepNone || p.closeIdle {
		return ""
	}
	g := e.group
	d := p.replacement(e)
	if d == nil || p.dialsFull(d.host) || p.replacing[g] > g.all.len/connsEach {
		return ""
	}
	if p.hasRoom(e) {
		e.replaceable, d.replaces, d.reason = false, e, reason
		p.beginReplacement(d, g)
		return ""
	}
	if e.load() > 0 || reason == ReasonMaxReuse && e.left() > 0 || p.waiting > 0 && g.wanted() {
		return "" // it serves them as long as it may
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
	p.begin(d, context.Background(), nil)
}

// replacement returns the dial that is to bring the successor of a connection, or nil if there is none.
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

// terms are those that the connection is bound by, for its successor.
func (e *entry[K, C]) terms() *Terms {
	terms := &Terms{IdleTimeout: e.idleFor, MaxConns: int(e.maxConns)}
	if e.maxUses != math.MaxUint64 {
		terms.MaxReuse = int(min(e.maxUses-1, math.MaxInt))
	}
	if e.expires != forever {
		terms.MaxLifetime = (e.expires - e.born) / time.Duration(e.jitter) * 1000
	}
	return terms
}

// hasRoom says that the limits allow one connection more.
func (p *Pool[K, C]) hasRoom(e *entry[K, C]) bool {
	if e.maxConns == 0 {
		return true
	}
	limit := int(e.maxConns)
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

// replaced is called when a replacement has ended, before its connection is admitted: the old one makes room.
func (p *Pool[K, C]) replaced(d *dial[K, C], err error) {
	g := d.inPlaceOf
	if p.replacing[g]--; p.replacing[g] == 0 {
		delete(p.replacing, g)
	}
	if e := d.replaces; e != nil && err == nil && (d.reason == ReasonMaxLifetime || e.shared()) {
		p.retireLocked(e, d.reason)
	}
}

// keepFirst has requests use an idle connection up before its successor, which has just become idle.
func (p *Pool[K, C]) keepFirst(e *entry[K, C]) {
	if e == nil || e.state != idle {
		return
	}
	e.group.idle.remove(e)
	e.group.idle.pushFront(e)
	p.idle.remove(e)
	p.idle.pushFront(e)
}

// replaceIdle sees to the idle connections that are near their end. Those that are not in use are left alone.
func (p *Pool[K, C]) replaceIdle(now time.Duration) {
	var closed []*group[K, C]
	for e := p.idle.last; e != nil; {
		next := e.in[inPool].prev
		if e.replaceable && now >= e.nearing() && now-e.idleSince <= min((e.expires-e.born)/2, inUseFor) {
			if reason := p.replace(e, now); reason != "" {
				p.close(e, reason)
				p.beginInPlace(e.group)
				closed = append(closed, e.group)
			}
		}
		e = next
	}
	for _, g := range closed { // not before: this may close idle ones itself
		p.tend(g)
	}
}

// beginInPlace begins the dial in place of a connection that has just been closed.
func (p *Pool[K, C]) beginInPlace(g *group[K, C]) {
	d := p.todo.replacing
	p.todo.replacing = nil
	p.beginReplacement(d, g)
}
