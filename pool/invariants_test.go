package pool

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// checkInvariants looks for a broken rule of doc.go in the pool's own books. It may be called at any moment at
// which the lock is free: these rules hold between any two operations, also while others are under way.
func checkInvariants[K comparable, C Conn](p *Pool[K, C]) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	broken := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	if todo := &p.todo; len(todo.closes)+len(todo.dials)+len(todo.forgotten)+len(todo.hosts) > 0 {
		broken("rule 4: what was decided has not been done: %+v", p.todo)
	}
	checkIdle(p, broken)
	sum := struct{ idle, active, dialing, waiting int }{}
	for key, g := range p.groups {
		if g.key != key || g.own.pool != p {
			broken("rule 1: the group of %v says it is that of %v", key, g.key)
		}
		if g.useless() {
			broken("rule 8: %v is known and has nothing", key)
		}
		checkStack(p, g, broken)
		checkShared(g, broken)
		sum.idle += g.idle.len()
		sum.active += g.active
	}
	for _, h := range hostsOf(p) {
		checkMembers(p, h, broken)
		checkWants(p, h, broken)
		checkCover(h, broken)
		sum.dialing += h.dialing
		sum.waiting += h.waiting()
	}
	if sum.idle != p.idle.len() || sum.active != p.active || sum.dialing != p.dials.len || sum.waiting != p.waiting {
		broken("rule 9: the groups add up to %+v, the pool says idle %d, active %d, dials %d, waiting %d",
			sum, p.idle.len(), p.active, p.dials.len, p.waiting)
	}
	checkTotals(p, broken)
	return errors.Join(errs...)
}

// hostsOf are the hosts that the pool knows, those of single keys included.
func hostsOf[K comparable, C Conn](p *Pool[K, C]) (hosts []*host[K, C]) {
	for _, g := range p.groups {
		hosts = append(hosts, &g.own)
		for _, s := range g.joined() {
			if !slices.Contains(hosts, s.host) {
				hosts = append(hosts, s.host)
			}
		}
	}
	return hosts
}

// name returns the name of a host for messages.
func (h *host[K, C]) name() (keys []K) {
	for _, g := range h.allGroups() {
		keys = append(keys, g.key)
	}
	return keys
}

// checkMembers looks at the groups of a Host, and at what idles at them together.
func checkMembers[K comparable, C Conn](p *Pool[K, C], h *host[K, C], broken func(string, ...any)) {
	if limit := p.config.MaxIdlePerKey; limit > 0 && h.idle() > limit {
		broken("rule 6: %d connections of %v are idle, MaxIdlePerKey is %d", h.idle(), h.name(), limit)
	}
	if h.set == nil {
		return
	}
	checkRanking(h, broken)
	alive := h.dialing+h.waiting() > 0 || h.kept()
	for i, g := range h.set.groups {
		if s := g.seat(h); p.groups[g.key] != g || s == nil || s.group != g || s.listed != (i < h.set.listed) {
			broken("rule 1: a host and the group of %v do not agree", g.key)
		}
		if i >= h.set.listed && g.empty() && h.dialing == 0 {
			broken("rule 8: %v is listed no more and has nothing", g.key)
		}
		alive = alive || !g.empty()
	}
	if !alive || !h.set.known {
		broken("rule 8: a host of %v is known and has nothing", h.name())
	}
}

// checkRanking looks at what a Host has counted, and at its order of the groups with idle connections.
func checkRanking[K comparable, C Conn](h *host[K, C], broken func(string, ...any)) {
	idle, active, ranks := 0, 0, 0
	for i, g := range h.set.groups {
		idle += g.idle.len()
		active += g.active
		rank := g.seat(h).rank
		if wanted := i < h.set.listed && g.idle.len() > 0; wanted != (rank > 0) {
			broken("rule 10: the rank of %v is %d, with %d idle connections", g.key, rank, g.idle.len())
		}
		if roomy := g.seat(h).roomy; (roomy > 0) != (g.spare.len() > 0) || roomy > 0 && h.set.roomy[roomy-1] != g.seat(h) {
			broken("rule 10: %v has %d shared connections with room, and is number %d", g.key, g.spare.len(), roomy)
		}
		if rank == 0 {
			continue
		}
		ranks++
		if r := h.set.ranking[rank-1]; r.seat != g.seat(h) || r.first != g.idle.first || r.since < g.idle.first.idleSince || r.unused != (g.unused != nil) {
			broken("rule 10: the ranking of %v is not up to date", g.key)
		}
	}
	for i := range h.set.ranking {
		if h.set.later(i, (i-1)/2, h.pool) && i > 0 {
			broken("rule 10: the ranking of %v is out of order at %d", h.name(), i)
		}
	}
	if idle != h.set.idle || active != h.set.active || ranks != len(h.set.ranking) {
		broken("rule 10: %v has %d idle and %d active, and counts %d and %d; %d of %d are ranked",
			h.name(), idle, active, h.set.idle, h.set.active, len(h.set.ranking), ranks)
	}
}

// checkIdle looks at the list of all idle connections and at the reaper.
func checkIdle[K comparable, C Conn](p *Pool[K, C], broken func(string, ...any)) {
	if limit := p.config.MaxIdle; limit < 0 && p.idle.len() > 0 || limit > 0 && p.idle.len() > limit {
		broken("rule 6: %d connections are idle, MaxIdle is %d", p.idle.len(), limit)
	}
	n, timed, earliest := 0, 0, forever
	for e := p.idle.first; e != nil; e = e.in[inPool].next {
		n++
		switch {
		case e.state != idle:
			broken("rule 1: a connection in the idle list is %v", e.state)
		case p.groups[e.group.key] != e.group || !e.group.idle.has(e):
			broken("rule 1: an idle connection of %v is not in its group", e.group.key)
		case e.load() > 0:
			broken("rule 3: an idle connection of %v is leased", e.group.key)
		case e.isRetired() || e.unpooled || e.used() && e.uses() >= e.bounds.maxUses:
			broken("rule 2: idle although retired=%q unpooled=%v uses=%d of %d", e.whyRetired(), e.unpooled, e.uses(), e.bounds.maxUses)
		}
		if at := e.deadline(e.expires()); at != forever {
			timed++
			earliest = min(earliest, at)
		}
	}
	if n != p.idle.len() {
		broken("rule 6: the idle list has %d connections and says %d", n, p.idle.len())
	}
	if timed != p.reaper.timed {
		broken("rule 10: %d idle connections have a deadline, the reaper knows of %d", timed, p.reaper.timed)
	}
	if timed > 0 && p.reaper.wake > max(earliest, p.reaper.quiet) {
		broken("rule 10: the reaper comes at %v, too late for %v", p.reaper.wake, earliest)
	}
	if len(p.groups) == 0 && p.reaper.wake != forever {
		broken("rule 10: the reaper is armed in an empty pool")
	}
}

// checkStack looks at the idle connections of one key.
func checkStack[K comparable, C Conn](p *Pool[K, C], g *group[K, C], broken func(string, ...any)) {
	if limit := p.config.MaxIdlePerKey; limit < 0 && g.idle.len() > 0 || limit > 0 && g.idle.len() > limit {
		broken("rule 6: %d connections of %v are idle, MaxIdlePerKey is %d", g.idle.len(), g.key, limit)
	}
	// The stack must be what is left of the whole list when the other keys are taken out, with the unused ones first.
	var unused, others []*entry[K, C]
	for e := p.idle.first; e != nil; e = e.in[inPool].next {
		switch {
		case e.group != g:
		case e.goesFirst():
			unused = append(unused, e)
		default:
			others = append(others, e)
		}
	}
	slices.Reverse(unused)
	if g.unused != nil && (len(unused) == 0 || g.unused != unused[len(unused)-1]) || g.unused == nil && len(unused) > 0 {
		broken("rule 6: %v has %d unused connections and does not know the last of them", g.key, len(unused))
	}
	e := g.idle.first
	for _, listed := range append(unused, others...) {
		if e != listed {
			broken("rule 6: the stack of %v has another order than the idle list", g.key)
			return
		}
		e = e.in[inGroup].next
	}
	if e != nil {
		broken("rule 1: %v has an idle connection that the idle list does not have", g.key)
	}
	if g.idle.len() > 0 && contentWants(g, p.now()-g.idle.first.idleSince) > 0 {
		broken("rule 5: %d wants of %v wait while %d connections are idle", plainWants(g), g.key, g.idle.len())
	}
}

// plainWants is the number of wants that any connection of the key would serve.
func plainWants[K comparable, C Conn](g *group[K, C]) int {
	n := g.own.plain.len
	for _, s := range g.joined() {
		if s.listed {
			n += s.host.plain.len
		}
	}
	return n
}

// contentWants counts the plain wants that accept a connection which has been idle for that long.
func contentWants[K comparable, C Conn](g *group[K, C], idle time.Duration) (n int) {
	count := func(wants list[want[K, C]]) {
		for w := wants.first(); w != nil; w = w.inQueue.next.owner {
			if w.terms.MaxIdleTime <= 0 || idle < w.terms.MaxIdleTime {
				n++
			}
		}
	}
	count(g.own.plain)
	for _, s := range g.joined() {
		if s.listed {
			count(s.host.plain)
		}
	}
	return n
}

// checkWants looks at the queues of one host.
func checkWants[K comparable, C Conn](p *Pool[K, C], h *host[K, C], broken func(string, ...any)) {
	if (h.wants == p.nobody) != (h.waiting() == 0) || p.nobody.waiting()+p.nobody.unasked.len > 0 {
		broken("rule 8: %d wants of %v wait among those of all keys, or room is kept for nobody", h.waiting(), h.name())
	}
	unasked := 0
	for _, queue := range []*list[want[K, C]]{&h.plain, &h.wants.own} {
		n, last := 0, uint64(0)
		for w := queue.first(); w != nil; w = w.inQueue.next.owner {
			n++
			if w.order <= last {
				broken("rule 6: the wants of %v are not in their order", h.name())
			}
			last = w.order
			if w.over || len(w.ready) > 0 || w.host != h || w.terms.ownDial() != (queue == &h.wants.own) {
				broken("rule 5: a want of %v is in the wrong queue", h.name())
			}
			if (w.dial == nil) != w.inUnasked.linked() || w.dial != nil && w.dial.want != w {
				broken("rule 5: a want of %v and its dial do not agree", h.name())
			}
			if w.dial == nil {
				unasked++
			}
		}
		if n != queue.len {
			broken("rule 6: a queue of %v has %d wants and says %d", h.name(), n, queue.len)
		}
	}
	if limit := p.config.MaxDialsPerKey; limit > 0 && h.dialing > limit {
		broken("rule 6: %d dials for %v, MaxDialsPerKey is %d", h.dialing, h.name(), limit)
	}
	if unasked != h.unasked.len {
		broken("rule 5: %d wants of %v have no dial, the list says %d", unasked, h.name(), h.unasked.len)
	}
	checkUnasked(p, h, broken)
}

// checkUnasked looks for wants that nobody would ever serve.
func checkUnasked[K comparable, C Conn](p *Pool[K, C], h *host[K, C], broken func(string, ...any)) {
	last := uint64(0)
	for w := h.unasked.first(); w != nil; w = w.inUnasked.next.owner {
		if w.order <= last || w.over {
			broken("rule 5: the wants of %v without a dial are not in their order", h.name())
		}
		last = w.order
		if w.terms.maxConns() > h.roof {
			broken("rule 5: a want of %v could get higher than %d", h.name(), h.roof)
		}
		if held := p.config.DialBurst > 0 && h.pace.armed && !h.pace.lifted; held {
			continue // until the timer fires
		}
		if !h.covers(w, h.shown()) && !p.dialsFull(h) && h.busy() < w.terms.maxConns() {
			broken("rule 5: a want of %v waits for nothing: %d busy, %d dialing, %d idle, MaxConns %d",
				h.name(), h.busy(), h.dialing, h.idle(), w.terms.MaxConns)
		}
	}
	if asked := h.waiting() - h.unasked.len; h.dialing < asked {
		broken("rule 5: %d dials for %v are fewer than the %d asked for", h.dialing, h.name(), asked)
	}
}

// checkShared looks at the connections of one key, at their leases, and at what the dials under way are for.
func checkShared[K comparable, C Conn](g *group[K, C], broken func(string, ...any)) {
	spare := 0
	for e := g.all.first; e != nil; e = e.in[inAll].next {
		if e.group != g || e.state != idle && e.state != active {
			broken("rule 1: %v has a connection that is %v", g.key, e.state)
		}
		if !e.shared {
			continue
		}
		if (e.load() > 0) != (e.state == active) {
			broken("rule 3: %d leases are under way on a connection that is %v", e.load(), e.state)
		}
		for number := range e.leases {
			if number > e.uses() {
				broken("rule 3: lease %d is under way on a connection that has had %d", number, e.uses())
			}
		}
		if e.unpooled && e.load() > 1 {
			broken("rule 3: an unpooled connection of %v has %d leases", g.key, e.load())
		}
		if e.state == active && g.spare.has(e) != e.room() {
			broken("rule 5: a connection of %v has room %v and is listed so %v", g.key, e.room(), g.spare.has(e))
		}
		if e.state == active && e.room() {
			spare++
		}
	}
	if g.all.len() != g.idle.len()+g.active || g.spare.len() != spare {
		broken("rule 9: %v has %d connections, %d of them with room, and says %d idle, %d active, %d with room",
			g.key, g.all.len(), spare, g.idle.len(), g.active, g.spare.len())
	}
	if spare > 0 && plainWants(g) > 0 {
		broken("rule 5: %d wants of %v wait while %d connections have room", plainWants(g), g.key, spare)
	}
}

// checkCover counts the wants and their dials again.
func checkCover[K comparable, C Conn](h *host[K, C], broken func(string, ...any)) {
	covered, alone := 0, 0
	for _, queue := range []*list[want[K, C]]{&h.plain, &h.wants.own} {
		for w := queue.first(); w != nil; w = w.inQueue.next.owner {
			if w.dial != nil && !w.dial.terms.Unpooled {
				covered++
			}
			if w.terms.Unpooled {
				alone++
			}
			if w.dial == nil && !h.mixed && !w.expects(h.unasked.first()) {
				broken("rule 5: the wants of %v without a dial expect different things", h.name())
			}
		}
	}
	if covered != h.covered || alone != h.alone {
		broken("rule 5: %v counts %d dials for others and %d unpooled wants, they are %d and %d",
			h.name(), h.covered, h.alone, covered, alone)
	}
}

// checkTotals looks at what holds for the pool as a whole.
func checkTotals[K comparable, C Conn](p *Pool[K, C], broken func(string, ...any)) {
	var closed uint64
	for reason, n := range p.tally.closes {
		if reason == "" {
			broken("rule 9: %d closes without a reason", n)
		}
		closed += n
	}
	if present := uint64(p.idle.len()) + uint64(p.active) + p.hijacked + closed; present != p.tally.opened {
		broken("rule 9: opened %d, but idle %d + active %d + hijacked %d + closed %d",
			p.tally.opened, p.idle.len(), p.active, p.hijacked, closed)
	}
	if p.active < 0 || p.dials.len < 0 || p.waiting < 0 || p.closing < 0 {
		broken("rule 9: active %d, dials %d, waiting %d, closing %d", p.active, p.dials.len, p.waiting, p.closing)
	}
	if p.closed && p.idle.len()+p.waiting > 0 {
		broken("rule 2: %d idle and %d waiting after Shutdown", p.idle.len(), p.waiting)
	}
	if p.crowd < len(p.groups) {
		broken("rule 8: %d keys, more than the crowd of %d", len(p.groups), p.crowd)
	}
}
