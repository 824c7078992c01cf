package pool

import (
	"context"
	"math/rand/v2"
)

// fewGroups is the largest number of groups for which a Balance compares all of them. If there are more, it takes the
// next group in turn, or the lighter of two that it draws at random. The lighter of two is nearly as good as the
// lightest of all, and costs the same however many groups there are.
const fewGroups = 8

func (t Terms) limit() int { return t.maxConns() }

// fewestServed returns the smallest number of leases that any of the listed groups has served.
func (h *host[K, C]) fewestServed() (fewest uint64) {
	for i, g := range h.listedGroups() {
		if served := g.seat(h).served; i == 0 || served < fewest {
			fewest = served
		}
	}
	return fewest
}

// serves counts a lease that a want of the host gets, if the host has a Balance.
func (h *host[K, C]) serves(g *group[K, C]) {
	if h.set == nil || h.set.balance == BalanceNone {
		return
	}
	if s := g.seat(h); s != nil {
		s.served++
	}
}

// leases returns the number of leases under way on connections of the key.
func (g *group[K, C]) leases() (n int) {
	if g.share <= 1 {
		return g.active
	}
	for e := g.all.first; e != nil; e = e.in[inAll].next {
		switch {
		case e.shared():
			n += e.load()
		case e.state == active:
			n++
		}
	}
	return n
}

// ready returns an idle connection of the key that the request accepts, or a shared connection with room, or nil.
func (g *group[K, C]) ready(r *request[K, C]) *entry[K, C] {
	if e := g.idle.first; e != nil && !r.avoid(e) {
		return e
	}
	return g.leastLoaded()
}

// before reports whether the Balance prefers one to other.
func (h *host[K, C]) before(one, other *group[K, C]) bool {
	if h.set.balance == BalanceLeastLeases {
		if a, b := one.leases(), other.leases(); a != b {
			return a < b
		}
	}
	return one.seat(h).served < other.seat(h).served
}

// balanced returns the connection that serves the request: an idle one, or a shared one with room for another lease.
// lacking is the group whose turn it is, if that group has no connection for the request and the host may dial for it.
// Otherwise lacking is nil.
func (h *host[K, C]) balanced(r *request[K, C]) (next *entry[K, C], lacking *group[K, C]) {
	switch groups := h.listedGroups(); {
	case len(groups) <= fewGroups:
		next, lacking = h.foremost(groups, r)
	case h.set.balance == BalanceRoundRobin:
		next, lacking = h.inTurn(groups, r)
	default:
		next, lacking = h.ofTwo(groups, r)
	}
	if next != nil && next.group == lacking || lacking != nil && lacking.seat(h).undialed {
		lacking = nil
	}
	return next, lacking
}

// foremost does what balanced does, by comparing all groups.
func (h *host[K, C]) foremost(groups []*group[K, C], r *request[K, C]) (next *entry[K, C], lacking *group[K, C]) {
	for _, g := range groups {
		if !g.seat(h).undialed && (lacking == nil || h.before(g, lacking)) {
			lacking = g
		}
		if e := g.ready(r); e != nil && (next == nil || h.before(g, next.group)) {
			next = e
		}
	}
	return next, lacking
}

// inTurn does what balanced does, by taking the groups one after the other. A group that has no connection loses its
// turn.
func (h *host[K, C]) inTurn(groups []*group[K, C], r *request[K, C]) (next *entry[K, C], lacking *group[K, C]) {
	set := h.set
	for range groups {
		g := groups[set.turn%len(groups)]
		set.turn = (set.turn + 1) % len(groups)
		if e := g.ready(r); e != nil {
			return e, lacking
		}
		if lacking == nil && !g.seat(h).undialed {
			lacking = g
		}
	}
	return nil, lacking
}

// ofTwo draws two groups and takes a connection of the lighter one. If that group has none, ofTwo takes a connection of
// the other one, and if that has none either, a connection of any group.
func (h *host[K, C]) ofTwo(groups []*group[K, C], r *request[K, C]) (next *entry[K, C], lacking *group[K, C]) {
	i, j := rand.IntN(len(groups)), rand.IntN(len(groups)-1)
	if j >= i {
		j++
	}
	light, heavy := groups[i], groups[j]
	if h.before(heavy, light) {
		light, heavy = heavy, light
	}
	for _, g := range []*group[K, C]{light, heavy} {
		if e := g.ready(r); e != nil {
			return e, light
		}
	}
	if e := h.latestIdle(); e != nil && !r.avoid(e) {
		return e, light
	}
	return h.leastLoaded(), light
}

// first returns the group that a dial should lead to: the one with the fewest connections, including those that dials
// will bring. It returns nil if the host has no Balance.
func (h *host[K, C]) first() (first *group[K, C]) {
	if h.set == nil || h.set.balance == BalanceNone {
		return nil
	}
	fewest := 0
	for _, g := range h.listedGroups() {
		s := g.seat(h)
		if conns := g.all.len + s.toward; !s.undialed && (first == nil || conns < fewest) {
			first, fewest = g, conns
		}
	}
	return first
}

// dialFor dials for a key that lacks a connection, if the connection would have room when it becomes idle. No want
// waits for this dial. dialFor does nothing if a dial to the key is already under way.
func (p *Pool[K, C]) dialFor(h *host[K, C], g *group[K, C], terms *Terms) {
	switch {
	case g.seat(h).toward > 0, p.dialsFull(h), p.closed, p.keepNone:
		return
	case p.config.MaxIdlePerKey != 0 && h.idle() >= p.config.MaxIdlePerKey, p.config.MaxIdle != 0 && p.idle.len >= p.config.MaxIdle:
		return
	case h.busy()+h.idle() >= h.set.maxConns:
		return
	}
	mine := *terms
	d := &dial[K, C]{host: h, caller: caller[K, C]{hostDialer: h.set.dialer}, terms: &mine, order: p.joined}
	p.begin(d, context.Background(), g)
}
