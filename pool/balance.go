package pool

import (
	"context"
	"math"
)

// turn is what a Balance knows of a key.
type turn struct {
	served uint64 // leases
	toward int    // dials under way that are to lead to it
}

func (t Terms) limit() int { return t.maxConns() }

// turn returns that of a listed group. A new one has served as many as the one that has served the fewest.
func (h *host[K, C]) turn(g *group[K, C]) *turn {
	set := h.set
	if t := set.turns[g]; t != nil {
		return t
	}
	fewest := uint64(math.MaxUint64)
	for other, t := range set.turns {
		if h.lists(other) {
			fewest = min(fewest, t.served)
		} else if t.toward == 0 {
			delete(set.turns, other)
		}
	}
	if set.turns == nil {
		set.turns = make(map[*group[K, C]]*turn)
	}
	t := new(turn)
	if fewest != math.MaxUint64 {
		t.served = fewest
	}
	set.turns[g] = t
	return t
}

// serves counts a lease that a want of the host gets.
func (h *host[K, C]) serves(g *group[K, C]) {
	if h.set != nil && h.set.balance != BalanceNone && h.lists(g) {
		h.turn(g).served++
	}
}

// leases is the number of leases under way on connections of the key.
func (g *group[K, C]) leases() (n int) {
	n = g.active
	for e := g.spare.first; e != nil; e = e.in[inGroup].next {
		n += e.load() - 1
	}
	return n
}

// before says that the one group is to serve before the other.
func (h *host[K, C]) before(one, other *group[K, C]) bool {
	if h.set.balance == BalanceLeastLeases {
		if a, b := one.leases(), other.leases(); a != b {
			return a < b
		}
	}
	return h.turn(one).served < h.turn(other).served
}

// balanced is the connection whose turn it is: idle, or with room for one lease more. lacking is the group whose turn it
// would have been if it had one.
func (h *host[K, C]) balanced(r *request[K, C]) (next *entry[K, C], lacking *group[K, C]) {
	for _, g := range h.listedGroups() {
		if !h.undialed(g) && (lacking == nil || h.before(g, lacking)) {
			lacking = g
		}
		e := g.idle.first
		if e != nil && r.avoid(e) {
			e = nil
		}
		if e == nil {
			e = g.leastLoaded()
		}
		if e != nil && (next == nil || h.before(g, next.group)) {
			next = e
		}
	}
	if next != nil && next.group == lacking {
		lacking = nil
	}
	return next, lacking
}

// first is the group that a dial is to lead to: the one with the fewest connections, those to come included.
func (h *host[K, C]) first() (first *group[K, C]) {
	if h.set == nil || h.set.balance == BalanceNone {
		return nil
	}
	conns := func(g *group[K, C]) int { return g.all.len + h.turn(g).toward }
	for _, g := range h.listedGroups() {
		if !h.undialed(g) && (first == nil || conns(g) < conns(first)) {
			first = g
		}
	}
	return first
}

// dialFor dials for a key that lacks a connection, for nobody who waits. There is one such dial for a key at a time.
func (p *Pool[K, C]) dialFor(h *host[K, C], g *group[K, C], terms *Terms) {
	if h.turn(g).toward > 0 || p.dialsFull(h) || h.busy()+h.idle() >= h.set.maxConns || p.closed || p.keepNone {
		return
	}
	mine := *terms
	d := &dial[K, C]{host: h, caller: caller[K, C]{hostDialer: h.set.dialer}, terms: &mine, order: p.joined}
	p.begin(d, context.Background(), g)
}
