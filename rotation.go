package peerpool

import (
	"net/netip"
	"slices"
)

// rotation follows the order in which a resolver lists the addresses of a host. Many resolvers change the order each time,
// so that clients spread over the addresses. A Transport asks less often than it dials, so it turns the list by itself: the
// addresses whose places have been seen to change take turns in these places, IPv4 and IPv6 separately. If a resolver does
// not change the order, it has a preference, and the Transport follows it.
type rotation struct {
	last    []netip.AddrPort
	turning map[netip.AddrPort]bool // the addresses whose places have changed
	turn    int                     // number of dials so far

	dialed bool // there has been a dial
	asked  bool // the resolver has been asked twice
}

// learn compares an answer of the resolver with the one before it.
func (r *rotation) learn(addrs []netip.AddrPort) {
	same := len(addrs) == len(r.last)
	for i := 0; same && i < len(addrs); i++ {
		same = slices.Contains(r.last, addrs[i])
	}
	if !same {
		r.turning = nil
	}
	for i := 0; same && i < len(addrs); i++ {
		if addrs[i] == r.last[i] {
			continue
		}
		if r.turning == nil {
			r.turning = make(map[netip.AddrPort]bool)
		}
		r.turning[addrs[i]], r.turning[r.last[i]] = true, true
	}
	r.asked = r.asked || r.last != nil
	r.last = addrs
}

// asks reports whether a dial is to ask the resolver again. Every dial except the first is, until there has been a second
// answer.
func (r *rotation) asks() bool {
	ask := r.dialed && !r.asked && len(r.last) > 1
	r.dialed = true
	return ask
}

// next returns the members in the order in which the next dial tries them.
func (r *rotation) next(members []*route) []*route {
	next := slices.Clone(members)
	for _, family := range []bool{true, false} {
		var places []int
		for i, m := range members {
			if m.addr.Addr().Is4() == family && r.turning[m.addr] {
				places = append(places, i)
			}
		}
		for i, place := range places {
			next[place] = members[places[(i+r.turn)%len(places)]]
		}
	}
	r.turn++
	return next
}
