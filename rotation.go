package peerpool

import (
	"net/netip"
	"slices"
)

// rotation follows the order in which a resolver lists the addresses of a host. Many lists them in another order each time,
// so that clients spread. A Transport asks less often than it dials, so it turns the list by itself: the addresses whose
// places have been seen to change take turns in these places, IPv4 and IPv6 each among themselves. A resolver whose order
// stays has a preference, and is followed.
type rotation struct {
	last    []netip.AddrPort
	turning map[netip.AddrPort]bool // whose places have changed
	turn    int                     // dials since then

	dialed bool // there has been a dial
	asked  bool // the resolver has been asked twice
}

// learn takes notice of an answer.
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

// asks says whether a dial is to ask the resolver again: any but the first, until there has been a second answer.
func (r *rotation) asks() bool {
	ask := r.dialed && !r.asked && len(r.last) > 1
	r.dialed = true
	return ask
}

// next returns the order of the next dial.
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
