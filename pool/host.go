package pool

import "slices"

// host is what a request asks for a connection: one key, or several keys any of which will do. It holds the requests that
// wait, and the dials for them. Pool.mu guards it.
type host[K comparable, C Conn] struct {
	pool *Pool[K, C]     // set once
	solo [1]*group[K, C] // the group whose own host it is, or nil; set once
	set  *members[K, C]  // the keys of a Host, or nil; set once

	dialing      int // dials under way
	*wants[K, C]     // Pool.nobody while there are none

	misses, dials, dialFailures uint64
}

// members are the groups of a Host, while the pool knows it.
type members[K comparable, C Conn] struct {
	keys    []K            // as SetKeys gave them
	groups  []*group[K, C] // of the keys, in that order, and of those that are listed no more but have connections
	listed  int            // how many of groups are those of keys
	known   bool           // the groups are there, and know the host
	visited uint64         // see reserved

	undialed []K // for which the Balance begins no dial

	balance Balance // set once, as dialer and maxConns are
	dialer  HostDialer[K, C]

	replacement HostDialer[K, C] // set once, or nil: see SetReplacement
	maxConns    int
	turns       map[*group[K, C]]*turn // of the listed groups; nil without a Balance

	forget func() // called without the lock when the pool has forgotten the host; may be nil
}

// listedGroups are those whose connections a request may use.
func (h *host[K, C]) listedGroups() []*group[K, C] {
	if h.set == nil {
		return h.solo[:]
	}
	return h.set.groups[:h.set.listed]
}

// allGroups are those whose connections count for its limits.
func (h *host[K, C]) allGroups() []*group[K, C] {
	if h.set == nil {
		return h.solo[:]
	}
	return h.set.groups
}

func (h *host[K, C]) lists(g *group[K, C]) bool {
	return h.set == nil || slices.Contains(h.set.groups[:h.set.listed], g)
}

// busy is the number of connections in use or to come: also those that others dial for, if they may come to a key of
// the host.
func (h *host[K, C]) busy() int {
	n := h.reserved()
	for _, g := range h.allGroups() {
		n += g.active
	}
	return n
}

// reserved is the number of dials under way whose connections may count for the host.
func (h *host[K, C]) reserved() int {
	if h.set == nil && h.solo[0].hosts == nil {
		return h.dialing
	}
	p := h.pool
	p.visits++
	n := 0
	for _, g := range h.allGroups() {
		n += g.own.dialing
		for _, other := range g.joined() {
			if other.set.visited != p.visits {
				other.set.visited = p.visits
				n += other.dialing
			}
		}
	}
	return n
}

func (h *host[K, C]) idle() (n int) {
	for _, g := range h.allGroups() {
		n += g.idle.len
	}
	return n
}

// longestIdle is the connection that was released longest ago, one to a key that is listed no more before all others.
func (h *host[K, C]) longestIdle() *entry[K, C] {
	if h.set == nil {
		return h.solo[0].idle.last
	}
	groups := h.set.groups
	if last := h.pool.longestIdle(groups[h.set.listed:]); last != nil {
		return last
	}
	return h.pool.longestIdle(groups[:h.set.listed])
}

func (p *Pool[K, C]) longestIdle(groups []*group[K, C]) (last *entry[K, C]) {
	for _, g := range groups {
		if e := g.idle.last; e != nil && (last == nil || p.later(last, e)) {
			last = e
		}
	}
	return last
}

// later says that one idle connection was released after another one.
func (p *Pool[K, C]) later(one, other *entry[K, C]) bool {
	if one.idleSince != other.idleSince {
		return one.idleSince > other.idleSince
	}
	e := p.idle.first
	for e != one && e != other {
		e = e.in[inPool].next
	}
	return e == one
}

// latestIdle is the connection that was released last.
func (h *host[K, C]) latestIdle() *entry[K, C] {
	if h.set == nil {
		return h.solo[0].idle.first
	}
	var first *entry[K, C]
	for _, g := range h.listedGroups() {
		if e := g.idle.first; e != nil && (first == nil || h.pool.later(e, first)) {
			first = e
		}
	}
	return first
}

// leastLoaded is the shared connection with room that has the fewest leases, or nil.
func (h *host[K, C]) leastLoaded() (least *entry[K, C]) {
	for _, g := range h.listedGroups() {
		if e := g.leastLoaded(); e != nil && (least == nil || e.load() < least.load()) {
			least = e
		}
	}
	return least
}

// leaving is the number of shared connections in use that are retired, and so make room when their last lease ends.
func (h *host[K, C]) leaving() (n int) {
	for _, g := range h.allGroups() {
		n += g.leaving()
	}
	return n
}

// shown is the capacity that the latest connection of the host has shown; 0: none has been seen.
func (h *host[K, C]) shown() int {
	if h.set == nil {
		return int(h.solo[0].share)
	}
	share, lesson := 0, uint32(0)
	for _, g := range h.allGroups() {
		if g.share > 0 && (share == 0 || g.lesson-lesson < 1<<31) {
			share, lesson = int(g.share), g.lesson
		}
	}
	return share
}

// wanted says that somebody waits for a connection of the key.
func (g *group[K, C]) wanted() bool {
	return g.own.waiting() > 0 ||
		slices.ContainsFunc(g.joined(), func(h *host[K, C]) bool { return h.waiting() > 0 && h.lists(g) })
}

// mostIdle is the number of idle connections that count for the idle limit of the key, or of a host that has it.
func (g *group[K, C]) mostIdle() int {
	most := g.idle.len
	if g.hosts != nil {
		for _, h := range *g.hosts {
			most = max(most, h.idle())
		}
	}
	return most
}

// inUse says that a connection of the host is in use.
func (h *host[K, C]) inUse() bool {
	return slices.ContainsFunc(h.listedGroups(), func(g *group[K, C]) bool { return g.active > 0 })
}

// join makes the groups of a Host, so that their connections are its own.
func (h *host[K, C]) join() {
	h.set.known = true
	for _, key := range h.set.keys {
		h.admit(h.pool.ensure(key))
	}
	h.set.listed = len(h.set.groups)
}

// admit has the group count for the host.
func (h *host[K, C]) admit(g *group[K, C]) {
	if slices.Contains(h.set.groups, g) {
		return
	}
	h.set.groups = append(h.set.groups, g)
	if g.hosts == nil {
		g.hosts = new([]*host[K, C])
	}
	*g.hosts = append(*g.hosts, h)
}

// dismiss is the opposite.
func (h *host[K, C]) dismiss(g *group[K, C]) {
	*g.hosts = slices.DeleteFunc(*g.hosts, func(other *host[K, C]) bool { return other == h })
	if len(*g.hosts) == 0 {
		g.hosts = nil
	}
}

// tidy dismisses the groups that are listed no more and have no connection, and all if nothing is left of the host. It
// returns those that have become useless, and whether the host is alive and has let go of a group.
func (h *host[K, C]) tidy() (useless []*group[K, C], alive bool) {
	set := h.set
	gone := h.dialing+h.waiting() == 0 && !h.kept() && !slices.ContainsFunc(set.groups, func(g *group[K, C]) bool { return !g.empty() })
	if !gone && len(set.groups) == set.listed {
		return nil, false
	}
	kept := set.groups[:0]
	for i, g := range slices.Clone(set.groups) {
		if !gone && (i < set.listed || !g.empty() || h.dialing > 0) { // a dial may have found its group
			kept = append(kept, g)
			continue
		}
		h.dismiss(g)
		if g.useless() {
			useless = append(useless, g)
		}
	}
	alive = !gone && len(kept) < len(set.groups)
	clear(set.groups[len(kept):])
	set.groups = kept
	if gone {
		set.known, set.listed = false, 0
		if set.forget != nil {
			h.pool.todo.hosts = append(h.pool.todo.hosts, set.forget)
		}
	}
	return useless, alive
}

// undialed says that the host is not to dial for the key.
func (h *host[K, C]) undialed(g *group[K, C]) bool { return slices.Contains(h.set.undialed, g.key) }
