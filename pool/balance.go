package pool

import (
	"cmp"
	"context"
	"math"
	"slices"
)

// fewSeats is the largest number of seats for which BalanceLeastLeases compares all of them. If there are more, it
// compares two. The lighter of two is nearly as good as the lightest of all, and costs the same however many there are.
const fewSeats = 8

// mostOwed is how many leases a seat may be ahead of its turns, or behind them. A seat gets ahead, for example, if its
// shared connection was the first one and served all wants of a burst. It gets behind while it has no connection. The
// Balance makes up for that, so that each seat serves the same number, but not for a long time without an answer.
const mostOwed = 128

func (t Terms) limit() int { return t.maxConns() }

// serves counts a lease that a want of the host gets, if the host has a Balance.
func (h *host[K, C]) serves(g *group[K, C]) {
	if h.set == nil || h.set.balance == BalanceNone {
		return
	}
	if s := g.seat(h); s != nil {
		s.served++
	}
}

// unserves takes back what was counted for a connection whose probe has failed.
func (h *host[K, C]) unserves(g *group[K, C]) {
	if h.set.balance == BalanceNone {
		return
	}
	if s := g.seat(h); s != nil && s.served > 0 {
		s.served--
	}
}

// fair returns the number of leases that the seat has served. It first brings the number close to the number of its
// turns: see mostOwed.
func (s *seat[K, C]) fair() uint64 {
	round := s.host.set.round
	if round > mostOwed {
		s.served = max(s.served, round-mostOwed)
	}
	s.served = min(s.served, round+mostOwed)
	return s.served
}

// leases returns the number of leases under way on connections of the key.
func (g *group[K, C]) leases() (n int) {
	if g.share <= 1 {
		return g.active
	}
	for e := g.all.first; e != nil; e = e.in[inAll].next {
		switch {
		case e.shared:
			n += e.load()
		case e.state == active:
			n++
		}
	}
	return n
}

// ready returns an idle connection of the key that the request accepts, or a shared connection with room, or nil.
func (g *group[K, C]) ready(r *request[K, C]) *entry[K, C] {
	if e := r.accepted(g.idle.first, g.own.solo[:]); e != nil {
		return e
	}
	return g.leastLoaded()
}

// makeEqual makes the seat one that has served as many leases as the others, so that it does not make up for a time when
// it was not listed, or not dialed.
func (s *seat[K, C]) makeEqual() {
	fewest, found := uint64(math.MaxUint64), false
	for _, other := range s.host.set.table {
		if other != s && !other.undialed && !other.group.empty() {
			fewest, found = min(fewest, other.fair()), true
		}
	}
	if found {
		s.served = max(s.served, fewest)
	}
}

// weight is what BalanceLeastLeases compares.
type weight struct {
	leases int
	served uint64
}

func (s *seat[K, C]) weight() weight { return weight{s.group.leases(), s.fair()} }

func (w weight) less(other weight) bool {
	if w.leases != other.leases {
		return w.leases < other.leases
	}
	return w.served < other.served
}

// balanced returns the connection that serves the request: an idle one, or a shared one with room for another lease.
// lacking is the seat that should have served it, if that seat has no connection for the request and the host may dial
// for it. Otherwise lacking is nil.
func (h *host[K, C]) balanced(r *request[K, C]) (next *entry[K, C], lacking *seat[K, C]) {
	switch set := h.set; {
	case set.balance == BalanceRoundRobin:
		lacking = set.inTurn()
		next = lacking.group.ready(r)
	case len(set.table) <= fewSeats:
		next, lacking = set.lightest(r)
	default:
		next, lacking = h.ofTwo(r)
	}
	if next == nil {
		next = h.substitute(r)
	}
	if lacking != nil && (lacking.undialed || next != nil && next.group == lacking.group) {
		lacking = nil
	}
	return next, lacking
}

// inTurn returns the seat whose turn it is. It passes over the seats that have served more leases than they have had
// turns.
func (set *members[K, C]) inTurn() *seat[K, C] {
	for passed := 0; ; passed++ {
		if passed == len(set.table) { // all seats are ahead
			set.round = slices.MinFunc(set.table, func(a, b *seat[K, C]) int { return cmp.Compare(a.served, b.served) }).served
		}
		if s := set.table[set.turn]; s.fair() <= set.round {
			return s
		}
		set.advance()
	}
}

// advance ends a turn.
func (set *members[K, C]) advance() {
	if set.turn++; set.turn >= len(set.table) {
		set.turn = 0
		set.round++
	}
}

// took counts a lease of the group that balanced has chosen. With BalanceRoundRobin, the seat whose turn it is keeps its
// turn until it has served as many leases as it has had turns, and loses it if it could not serve.
func (h *host[K, C]) took(g *group[K, C]) {
	set, s := h.set, g.seat(h)
	s.served++
	if set.balance != BalanceRoundRobin || set.table[set.turn] != s {
		set.advance()
	}
}

// lightest compares all seats, beginning with the one whose turn it is. It returns a connection of the lightest seat that
// has one for the request, and the lightest seat that the host dials for.
func (set *members[K, C]) lightest(r *request[K, C]) (next *entry[K, C], light *seat[K, C]) {
	var serves, lightest weight
	for i := range set.table {
		s := set.table[(set.turn+i)%len(set.table)]
		w := s.weight()
		if !s.undialed && (light == nil || w.less(lightest)) {
			light, lightest = s, w
		}
		if next != nil && !w.less(serves) {
			continue
		}
		if e := s.group.ready(r); e != nil {
			next, serves = e, w
		}
	}
	return next, light
}

// ofTwo compares the seat whose turn it is with one that it draws at random. It returns a connection of the lighter one
// or, if that has none for the request, of the other one.
func (h *host[K, C]) ofTwo(r *request[K, C]) (next *entry[K, C], light *seat[K, C]) {
	set, n := h.set, len(h.set.table)
	light, heavy := set.table[set.turn], set.table[(set.turn+1+h.pool.pick(n-1))%n]
	if heavy.weight().less(light.weight()) {
		light, heavy = heavy, light
	}
	if next = light.group.ready(r); next == nil {
		next = heavy.group.ready(r)
	}
	return next, light
}

// substitute returns a connection for a request for which the seat whose turn it is has none. Of two seats with a
// connection, drawn at random, it takes the lighter one.
func (h *host[K, C]) substitute(r *request[K, C]) *entry[K, C] {
	set := h.set
	if n := len(set.ranking); n > 0 {
		a, b := &set.ranking[h.pool.pick(n)], &set.ranking[h.pool.pick(n)]
		if b.seat.weight().less(a.seat.weight()) {
			a, b = b, a
		}
		for _, of := range []*ranked[K, C]{a, b, &set.ranking[0]} {
			if e := r.accepted(of.first, of.seat.group.own.solo[:]); e != nil {
				return e
			}
		}
	}
	if n := len(set.roomy); n > 0 {
		a, b := set.roomy[h.pool.pick(n)], set.roomy[h.pool.pick(n)]
		if b.weight().less(a.weight()) {
			a = b
		}
		if a.listed {
			return a.group.leastLoaded()
		}
	}
	return h.leastLoaded()
}

// first returns the group that a dial should lead to: the one with the fewest connections, including those that dials
// will bring, or of equal ones the one whose turn comes first. It returns nil if the host has no Balance.
func (h *host[K, C]) first() (first *group[K, C]) {
	if h.set == nil || h.set.balance == BalanceNone {
		return nil
	}
	fewest := 0
	for i := range h.set.table {
		s := h.set.table[(h.set.turn+i)%len(h.set.table)]
		if conns := s.group.all.len() + s.toward; !s.undialed && (first == nil || conns < fewest) {
			first, fewest = s.group, conns
		}
	}
	return first
}

// dialFor dials for a seat that lacks a connection, if the connection would have room when it becomes idle. No want
// waits for this dial. If the limits leave no room for it, an idle connection of a key that has at least two more is
// closed, so that a new key gets its share although the others have all connections. Next is the connection that serves
// the request. dialFor does nothing if a dial to the key of the seat is already under way.
func (p *Pool[K, C]) dialFor(s *seat[K, C], terms *Terms, next *entry[K, C]) {
	h := s.host
	switch {
	case s.toward > 0, p.dialsFull(h), p.closed, p.keepNone:
		return
	case p.config.MaxIdle != 0 && p.idle.len() >= p.config.MaxIdle:
		return
	case !p.roomFor(h, 0) && !p.makeEven(s, next):
		return
	}
	d := &dial[K, C]{host: h, caller: caller[K, C]{hostDialer: h.set.dialer}, terms: *terms, order: p.joined}
	p.begin(d, context.Background(), s.group)
}

// roomFor reports whether the limits allow one more connection of the host, and one more that idles, when less of its idle
// connections have been closed.
func (p *Pool[K, C]) roomFor(h *host[K, C], less int) bool {
	idle := h.idle() - less
	return (p.config.MaxIdlePerKey == 0 || idle < p.config.MaxIdlePerKey) && h.busy()+idle < h.set.maxConns
}

// makeEven closes an idle connection of the key with the most connections, if that makes room for one of the seat and that
// key keeps more than the seat will have. It does not close next. It reports whether there is room now.
func (p *Pool[K, C]) makeEven(s *seat[K, C], next *entry[K, C]) bool {
	var spare *entry[K, C]
	for _, other := range s.host.set.table {
		e := other.group.idle.last
		if e == next && e != nil {
			e = e.in[inGroup].prev
		}
		if e != nil && (spare == nil || other.group.all.len() > spare.group.all.len()) {
			spare = e
		}
	}
	if spare == nil || spare.group.all.len() < s.group.all.len()+2 || !p.roomFor(s.host, 1) {
		return false
	}
	p.close(spare, ReasonMakeRoom)
	return true
}
