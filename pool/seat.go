package pool

import (
	"slices"
	"time"
)

// seat is the place of a group in a Host. Pool.mu guards it.
type seat[K comparable, C Conn] struct {
	host     *host[K, C]
	group    *group[K, C]
	listed   bool // requests of the host may use the group's connections
	undialed bool // the Balance begins no dial for the group
	at       int  // its index in members.groups, if it is listed
	rank     int  // its place in members.ranking, counted from 1; 0 if it is not there
	roomy    int  // its place in members.roomy, counted from 1; 0 if it is not there

	served uint64 // leases that the host has given to the group
	toward int    // dials under way that are to lead to the group
}

// ranked is a listed group that has an idle connection. The ranking of a host is a heap. Its first element is the group
// with an unused connection or, if there is none, with the connection that was released last.
type ranked[K comparable, C Conn] struct {
	seat  *seat[K, C]
	first *entry[K, C] // the group's first idle connection

	unused bool          // no request has used that connection
	since  time.Duration // when it became idle, or when keepFirst put it first
}

// seat returns the group's place in a host, or nil.
func (g *group[K, C]) seat(h *host[K, C]) *seat[K, C] {
	for _, s := range g.joined() {
		if s.host == h {
			return s
		}
	}
	return nil
}

// joined returns the places of the group in the hosts that have it.
func (g *group[K, C]) joined() []*seat[K, C] {
	if g.seats == nil {
		return nil
	}
	return *g.seats
}

// spared is called when the number of shared connections with room has changed.
func (g *group[K, C]) spared() {
	if g.seats == nil {
		return
	}
	for _, s := range *g.seats {
		s.makeRoomy()
	}
}

// place updates the place of the group in the ranking of the host, after the group's first idle connection has changed.
func (s *seat[K, C]) place() {
	set, first := s.host.set, s.group.idle.first
	if first == nil || !s.listed {
		s.unplace()
		return
	}
	if s.rank == 0 {
		set.ranking = append(set.ranking, ranked[K, C]{seat: s})
		s.rank = len(set.ranking)
	}
	at := &set.ranking[s.rank-1]
	if at.first == first {
		return
	}
	at.first, at.unused, at.since = first, s.group.unused != nil, first.idleSince
	set.down(set.up(s.rank-1, s.host.pool), s.host.pool)
}

// placeFirst puts the group first in the ranking of the host, because its first idle connection is to be used next although
// others have become idle after it.
func (s *seat[K, C]) placeFirst(now time.Duration) {
	s.place()
	if s.rank > 0 {
		s.host.set.ranking[s.rank-1].since = now
		s.host.set.up(s.rank-1, s.host.pool)
	}
}

// unplace takes the group out of the ranking.
func (s *seat[K, C]) unplace() {
	if s.rank == 0 {
		return
	}
	set, i := s.host.set, s.rank-1
	last := len(set.ranking) - 1
	set.swap(i, last)
	set.ranking[last] = ranked[K, C]{}
	set.ranking = set.ranking[:last]
	s.rank = 0
	if i < last {
		set.down(set.up(i, s.host.pool), s.host.pool)
	}
}

func (set *members[K, C]) swap(i, j int) {
	r := set.ranking
	r[i], r[j] = r[j], r[i]
	r[i].seat.rank, r[j].seat.rank = i+1, j+1
}

// later reports whether element i of the ranking goes before element j.
func (set *members[K, C]) later(i, j int, p *Pool[K, C]) bool {
	a, b := &set.ranking[i], &set.ranking[j]
	switch {
	case a.unused != b.unused:
		return a.unused
	case a.unused:
		a, b = b, a // of unused ones, the oldest goes first
	}
	if a.since != b.since {
		return a.since > b.since
	}
	return p.ahead(a.first, b.first)
}

func (set *members[K, C]) up(i int, p *Pool[K, C]) int {
	for i > 0 && set.later(i, (i-1)/2, p) {
		set.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
	return i
}

func (set *members[K, C]) down(i int, p *Pool[K, C]) {
	for {
		next := 2*i + 1
		if next >= len(set.ranking) {
			return
		}
		if next+1 < len(set.ranking) && set.later(next+1, next, p) {
			next++
		}
		if !set.later(next, i, p) {
			return
		}
		set.swap(i, next)
		i = next
	}
}

// makeRoomy adds the group to members.roomy if it has a shared connection with room, and removes it otherwise.
func (s *seat[K, C]) makeRoomy() {
	set, has := s.host.set, s.group.spare.len() > 0
	switch {
	case has && s.roomy == 0:
		set.roomy = append(set.roomy, s)
		s.roomy = len(set.roomy)
	case !has && s.roomy > 0:
		last := len(set.roomy) - 1
		moved := set.roomy[last]
		set.roomy[s.roomy-1], moved.roomy = moved, s.roomy
		set.roomy[last] = nil
		set.roomy, s.roomy = set.roomy[:last], 0
	}
}

// admit makes the connections of the group count for the host, and returns the group's seat.
func (h *host[K, C]) admit(g *group[K, C]) *seat[K, C] {
	if s := g.seat(h); s != nil {
		return s
	}
	s := &seat[K, C]{host: h, group: g, undialed: slices.Contains(h.set.undialed, g.key)}
	h.set.groups = append(h.set.groups, g)
	h.set.active += g.active
	h.set.idle += g.idle.len()
	if g.seats == nil {
		g.seats = new([]*seat[K, C])
	}
	*g.seats = append(*g.seats, s)
	s.makeRoomy()
	return s
}

// dismiss is the opposite of admit. The caller takes the group out of members.groups.
func (h *host[K, C]) dismiss(g *group[K, C]) {
	s := g.seat(h)
	s.unplace()
	h.set.active -= g.active
	h.set.idle -= g.idle.len()
	*g.seats = slices.DeleteFunc(*g.seats, func(other *seat[K, C]) bool { return other == s })
	if len(*g.seats) == 0 {
		g.seats = nil
	}
}

// list makes requests of the host use the connections of the given keys, and of no others. Other groups that the host
// has stay admitted.
func (h *host[K, C]) list(keys []K) {
	set := h.set
	before, listed := slices.Clone(set.groups), set.groups[:set.listed:set.listed]
	groups := make([]*group[K, C], 0, len(keys))
	for _, key := range keys {
		g := h.pool.ensure(key)
		if s := h.admit(g); !slices.Contains(listed, g) {
			s.makeEqual()
		}
		groups = append(groups, g)
	}
	set.listed = len(groups)
	for _, g := range before {
		if !slices.Contains(groups, g) {
			groups = append(groups, g)
		}
	}
	set.groups = groups
	set.table, set.turn = make([]*seat[K, C], set.listed), set.turn%max(1, set.listed)
	for i, g := range groups {
		s := g.seat(h)
		if i < set.listed {
			set.table[i] = s
		}
		s.at, s.listed = i, i < set.listed
		s.place()
	}
}
