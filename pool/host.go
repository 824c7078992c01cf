package pool

import "slices"

// host is what a request asks for a connection: one key, or several keys that the request may use interchangeably. It
// holds the requests that wait, and counts the dials for them. Pool.mu guards it.
type host[K comparable, C Conn] struct {
	pool *Pool[K, C]     // set once
	solo [1]*group[K, C] // the group whose own host this is, or nil; set once
	set  *members[K, C]  // the keys of a Host, or nil; set once

	dialing      int // dials under way
	*wants[K, C]     // Pool.nobody while nobody waits

	misses, dials, dialFailures uint64
}

// members holds the groups of a Host, while the pool knows the Host.
type members[K comparable, C Conn] struct {
	keys []K // as given to NewHost or SetKeys
	// groups holds the groups of keys, in that order, and then the groups that are no longer listed but still have
	// connections.
	groups  []*group[K, C]
	listed  int    // how many of groups belong to keys
	known   bool   // groups is set, and each of them knows the host
	visited uint64 // see host.reserved
	dialed  uint64 // see Pool.startDials

	active, idle int            // how many connections the groups have
	ranking      []ranked[K, C] // the listed groups that have an idle connection
	roomy        []*seat[K, C]  // the groups that have a shared connection with room

	balance  Balance // set once, like dialer
	dialer   HostDialer[K, C]
	maxConns int
	undialed []K           // keys for which the Balance begins no dial
	table    []*seat[K, C] // the seats of the listed groups, in that order
	turn     int           // the index in table of the seat whose turn it is
	round    uint64        // how many turns each seat has had, or as many as mostOwed makes of that

	replacement HostDialer[K, C] // set once, or nil: see SetReplacement

	forget func() // called without the lock when the pool has forgotten the host; may be nil
}

// listedGroups returns the groups whose connections requests of the host may use.
func (h *host[K, C]) listedGroups() []*group[K, C] {
	if h.set == nil {
		return h.solo[:]
	}
	return h.set.groups[:h.set.listed]
}

// allGroups returns the groups whose connections count toward the limits of the host.
func (h *host[K, C]) allGroups() []*group[K, C] {
	if h.set == nil {
		return h.solo[:]
	}
	return h.set.groups
}

// busy returns the number of connections in use or to come. Dials of other hosts count if they may lead to a key of
// this host.
func (h *host[K, C]) busy() int {
	if h.set == nil {
		return h.reserved() + h.solo[0].active
	}
	return h.reserved() + h.set.active
}

// reserved returns the number of dials under way whose connections may count for the host.
func (h *host[K, C]) reserved() int {
	if h.set == nil && h.solo[0].seats == nil {
		return h.dialing
	}
	p := h.pool
	p.visits++
	n := 0
	for _, g := range h.allGroups() {
		n += g.own.dialing
		for _, s := range g.joined() {
			if other := s.host; other.set.visited != p.visits {
				other.set.visited = p.visits
				n += other.dialing
			}
		}
	}
	return n
}

func (h *host[K, C]) idle() int {
	if h.set == nil {
		return h.solo[0].idle.len()
	}
	return h.set.idle
}

// longestIdle returns the idle connection that was released longest ago, or nil. Connections of keys that are no longer
// listed come before all others.
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

// later reports whether one was released after other. Both are idle.
func (p *Pool[K, C]) later(one, other *entry[K, C]) bool {
	if one.idleSince != other.idleSince {
		return one.idleSince > other.idleSince
	}
	return p.ahead(one, other)
}

// ahead reports whether one comes before other in the list of all idle connections.
func (p *Pool[K, C]) ahead(one, other *entry[K, C]) bool {
	e := p.idle.first
	for e != one && e != other {
		e = e.in[inPool].next
	}
	return e == one
}

// latestIdle returns the first idle connection: the oldest that is unused or, if there is none, the one that was released
// last. It returns nil if there is none.
func (h *host[K, C]) latestIdle() *entry[K, C] {
	if h.set == nil {
		return h.solo[0].idle.first
	}
	if len(h.set.ranking) == 0 {
		return nil
	}
	return h.set.ranking[0].first
}

// leastLoaded returns the shared connection with room that has the fewest leases, or nil.
func (h *host[K, C]) leastLoaded() (least *entry[K, C]) {
	if h.set == nil {
		return h.solo[0].leastLoaded()
	}
	at := 0 // the place of its group: of connections that are equal, that of the first group wins
	for _, s := range h.set.roomy {
		if !s.listed {
			continue
		}
		e := s.group.leastLoaded()
		if least == nil || e.load() < least.load() || e.load() == least.load() && s.at < at {
			least, at = e, s.at
		}
	}
	return least
}

// leaving returns the number of shared connections in use that are retired. They make room when their last leases end.
func (h *host[K, C]) leaving() (n int) {
	for _, g := range h.allGroups() {
		n += g.leaving()
	}
	return n
}

// shown returns the capacity that the latest connection of the host has shown, or 0 if none has been seen.
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

// wanted reports whether a want waits for a connection of the key.
func (g *group[K, C]) wanted() bool {
	return g.own.waiting() > 0 ||
		slices.ContainsFunc(g.joined(), func(s *seat[K, C]) bool { return s.listed && s.host.waiting() > 0 })
}

// mostIdle returns the highest number of idle connections that counts for a limit of each key of the host: that of the key
// itself, or that of a host that has the key. A dial of the host can lead to the key for which that number is lowest.
func (h *host[K, C]) mostIdle() (most int) {
	for i, g := range h.listedGroups() {
		if n := g.mostIdle(); i == 0 || n < most {
			most = n
		}
	}
	return most
}

// mostIdle returns the highest number of idle connections that counts for a limit of the key: that of the key itself,
// or that of a host that has the key.
func (g *group[K, C]) mostIdle() int {
	most := g.idle.len()
	if g.seats != nil {
		for _, s := range *g.seats {
			most = max(most, s.host.set.idle)
		}
	}
	return most
}

// use counts n connections that have become active. If n is negative, it counts connections that are no longer active.
func (g *group[K, C]) use(n int) {
	g.active += n
	if g.seats != nil { // usually it is nil; useJoined is separate so that this method is inlined
		g.useJoined(n)
	}
}

func (g *group[K, C]) useJoined(n int) {
	for _, s := range *g.seats {
		s.host.set.active += n
	}
}

// rest counts n connections that have become idle. If n is negative, it counts connections that are no longer idle. The
// caller has already put them into the lists of idle connections, or taken them out.
func (g *group[K, C]) rest(n int) {
	if g.seats != nil {
		g.restJoined(n)
	}
}

func (g *group[K, C]) restJoined(n int) {
	for _, s := range *g.seats {
		s.host.set.idle += n
		s.place()
	}
}

// inUse reports whether a connection of a listed key is in use.
func (h *host[K, C]) inUse() bool {
	return slices.ContainsFunc(h.listedGroups(), func(g *group[K, C]) bool { return g.active > 0 })
}

// join makes the groups of a Host, so that their connections count for it. It reports whether it has closed idle
// connections that exceed a limit of the Host. The caller must then tend the host.
func (h *host[K, C]) join() (trimmed bool) {
	h.set.known = true
	h.list(h.set.keys)
	trimmed = len(h.trim(ReasonKeyIdleLimit)) > 0
	if h.set.balance != BalanceNone && h.set.listed > 0 {
		h.set.turn = h.pool.pick(h.set.listed) // a host that is forgotten after each request would otherwise use one key alone
	}
	return trimmed
}

// trim closes the idle connections that exceed Config.MaxIdlePerKey, and returns their groups.
func (h *host[K, C]) trim(reason Reason) (closed []*group[K, C]) {
	p := h.pool
	limit := p.config.MaxIdlePerKey
	if limit == 0 {
		return nil
	}
	for h.idle() > max(0, limit) {
		e := h.longestIdle()
		closed = append(closed, e.group)
		p.close(e, reason)
	}
	return closed
}

// gone reports whether nothing is left of the host.
func (h *host[K, C]) gone() bool {
	return h.dialing+h.waiting()+h.set.active+h.set.idle == 0 && !h.kept()
}

// untidy reports whether a group that is no longer listed has no connection. While the host dials, untidy returns
// false, because a dial may lead to such a group.
func (h *host[K, C]) untidy() bool {
	set := h.set
	return h.dialing == 0 && slices.ContainsFunc(set.groups[set.listed:], func(g *group[K, C]) bool { return g.empty() })
}

// tidy dismisses the groups that are no longer listed and have no connection, or all groups if nothing is left of the
// host. It returns the groups that it has dismissed, and whether the host still exists.
func (h *host[K, C]) tidy() (dismissed []*group[K, C], alive bool) {
	set := h.set
	gone := h.gone()
	if !gone && !h.untidy() {
		return nil, true
	}
	kept := set.groups[:0]
	for i, g := range slices.Clone(set.groups) {
		if !gone && (i < set.listed || !g.empty() || h.dialing > 0) { // a dial may have led to this group
			kept = append(kept, g)
			continue
		}
		h.dismiss(g)
		dismissed = append(dismissed, g)
	}
	clear(set.groups[len(kept):])
	set.groups = kept
	if gone {
		set.known, set.listed, set.table = false, 0, nil
		if set.forget != nil {
			h.pool.todo.hosts = append(h.pool.todo.hosts, set.forget)
		}
	}
	return dismissed, !gone
}
