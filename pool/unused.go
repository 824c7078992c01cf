package pool

import "time"

// unusedFor is how long a connection that was dialed for a want stays idle if no request uses it at all. Many servers wait
// for the first request on a connection with a thread that serves nobody else meanwhile, and some wait without a limit. A
// few such connections can stop a server. Servers that have a limit close the connection after 5 seconds or more.
const unusedFor = 4 * time.Second

// origin says why a connection was dialed. It decides what becomes of the connection as long as no request has used it.
type origin uint8

const (
	forWant   origin = iota // for a want, which another connection may have served by now, or which may have left
	kept                    // for no want, or a floor counts it: it may be idle for as long as used connections may
	successor               // like kept, but requests use up another connection before it
)

// goesFirst reports whether an idle connection lies on top of the stack of its group, because no request has used it.
func (e *entry[K, C]) goesFirst() bool { return !e.used() && e.origin != successor }

// stack puts an idle connection into the stack of its group. Unused connections lie on top, the oldest first, so that the
// server's wait for their first request ends as soon as there is one. A server with few threads waits for that of the
// oldest, and has not begun to wait for that of the latest.
func (g *group[K, C]) stack(e *entry[K, C]) {
	g.idle.insertAfter(g.unused, e)
	if e.goesFirst() {
		g.unused = e
		e.limitUnused()
	}
}

// unstack takes an idle connection out of the stack of its group.
func (g *group[K, C]) unstack(e *entry[K, C]) {
	if e == g.unused {
		g.unused = e.in[inGroup].prev
	}
	g.idle.remove(e)
}

// limitUnused bounds how long an idle connection stays unused.
func (e *entry[K, C]) limitUnused() {
	if e.origin == forWant && !e.used() {
		b := *e.bounds
		b.idle = shorter(b.idle, unusedFor)
		e.setBounds(b)
	}
}

// idleReason returns why a connection is closed that has been idle for longer than limit.
func (e *entry[K, C]) idleReason(limit time.Duration) Reason {
	if e.origin == forWant && !e.used() && limit == unusedFor {
		return ReasonUnused
	}
	return ReasonIdleTimeout
}

// firstUsed returns the first connection of the stack that does not lie there because it is unused, or nil.
func (g *group[K, C]) firstUsed() *entry[K, C] {
	if g.unused == nil {
		return g.idle.first
	}
	return g.unused.in[inGroup].next
}

// accepted returns the first idle connection of the listed keys that has not been idle for longer than the request accepts,
// or nil. first is the first of all. If it is unused, others may have become idle later.
func (r *request[K, C]) accepted(first *entry[K, C], groups []*group[K, C]) *entry[K, C] {
	if first == nil || !r.avoid(first) {
		return first
	}
	if first.group.unused == nil {
		return nil
	}
	var unused, used *entry[K, C]
	for _, g := range groups {
		e := g.idle.first
		for g.unused != nil && e != g.firstUsed() && r.refuses(e) {
			e = e.in[inGroup].next
		}
		switch p := g.own.pool; {
		case e == nil:
		case e != g.firstUsed():
			if unused == nil || p.later(unused, e) {
				unused = e
			}
		case used == nil || p.later(e, used):
			used = e
		}
	}
	if unused == nil && used != nil && r.avoid(used) {
		return nil
	}
	if unused != nil {
		return unused
	}
	return used
}

// keepUnused makes unused connections that count for the floor stay idle for as long as those that it has dialed.
func (p *Pool[K, C]) keepUnused(f *floor[K, C], now time.Duration) {
	free, target := 0, f.target()
	for _, g := range f.host.listedGroups() {
		for e := g.idle.first; e != g.firstUsed() && free < target; e = e.in[inGroup].next {
			free += e.vacant()
			if e.origin == forWant && e.spent(&f.terms, now) == "" {
				e.origin = kept
				p.rebindIdle(e, &f.terms, now)
			}
		}
	}
}
