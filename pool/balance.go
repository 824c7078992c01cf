package pool

import (
	"context"
	"math/rand/v2"
)

// fewGroups is how many groups a Balance compares. Of more it takes those that come next, or two at random: the lighter of
// two is nearly as good as the lightest of all, and costs the same however many there are.
const fewGroups = 8

func (t Terms) limit() int { return t.maxConns() }

// fewestServed is the least of what the listed groups have served.
func (h *host[K, C]) fewestServed() (fewest uint64) {
	for i, g := range h.listedGroups() {
		if served := g.seat(h).served; i == 0 || served < fewest {
			fewest = served
		}
	}
	return fewest
}

// serves counts a lease that a want of the host gets.
func (h *host[K, C]) serves(g *group[K, C]) {
	if h.set == nil || h.set.balance == BalanceNone {
		return
	}
	if s := g.seat(h); s != nil {
		s.served++
	}
}

// leases is the number of leases under way on connections of the key.
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

// ready is a connection of the key that is idle, and may serve the request, or that has room for one lease more.
func (g *group[K, C]) ready(r *request[K, C]) *entry[K, C] {
	if e := g.idle.first; e != nil && !r.avoid(e) {
		return e
	}
	return g.leastLoaded()
}

// before says that the one group is to serve before the other.
func (h *host[K, C]) before(one, other *group[K, C]) bool {
	if h.set.balance == BalanceLeastLeases {
		if a, b := one.leases(), other.leases(); a != b {
			return a < b
		}
	}
	return one.seat(h).served < other.seat(h).served
}

// balanced is the connection whose turn it is: idle, or with room for one lease more. lacking is the group whose turn it
// would have been if it had one.
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

// foremost compares all groups.
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

// inTurn takes the groups one after the other. One that has no connection loses its turn.
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

// ofTwo takes the lighter of two groups that it draws, or the other one if that has no connection, or any.
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

// first is the group that a dial is to lead to: the one with the fewest connections, those to come included.
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

// dialFor dials for a key that lacks a connection, for nobody who waits, if there is room for the connection when it
// idles. There is one such dial for a key at a time.
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
