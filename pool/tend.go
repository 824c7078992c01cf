package pool

import (
	"maps"
	"slices"
)

// tend is called after any change that could have made room for a dial, or left nothing of a group. It starts the dials
// that the group and the hosts that have it may begin now, and forgets what has nothing left.
func (p *Pool[K, C]) tend(g *group[K, C]) {
	switch {
	case g.seats != nil:
		if !p.tended(g) {
			p.tendAll(g)
		}
	case g.own.unasked.len > 0:
		p.startDials(g)
	}
	p.tendRest(g)
}

// tended reports whether no want that asks for the group, alone or among others, waits for a dial, and no host has
// anything to dismiss.
func (p *Pool[K, C]) tended(g *group[K, C]) bool {
	if g.own.unasked.len > 0 {
		return false
	}
	for _, s := range *g.seats {
		if h := s.host; h.unasked.len > 0 || h.gone() || h.untidy() {
			return false
		}
	}
	return true
}

// tendRest does the rest of tend after all dials have been started.
func (p *Pool[K, C]) tendRest(g *group[K, C]) {
	if len(p.floors) > 0 {
		p.tendFloors(g)
	}
	p.forgetUseless(g)
	if p.reaper.timed == 0 && p.reaper.wake != forever {
		p.disarm()
	}
	if p.closed {
		p.signal()
	}
}

// tendHost does what tend does, after a change that concerns all groups of the host: other hosts that share one of the
// groups count the host's dials.
func (p *Pool[K, C]) tendHost(h *host[K, C]) {
	if h.set == nil {
		p.tend(h.solo[0])
		return
	}
	groups := slices.Clone(h.set.groups)
	p.tendAll(groups...)
	for _, g := range groups {
		p.tendRest(g)
	}
}

// tendAll does what tend does for the hosts that have one of the groups. A host that dismisses a group no longer counts
// the dials to it, and the group no longer counts the dials of the host. Either may have room for a dial again.
func (p *Pool[K, C]) tendAll(groups ...*group[K, C]) {
	var parted []*host[K, C]
	for len(groups) > 0 {
		closed := p.startDials(groups...)
		for _, h := range parted {
			if f := p.floors[h]; f != nil {
				p.tendFloor(f)
			}
		}
		parted = nil
		var again []*group[K, C]
		for _, g := range append(closed, groups...) {
			for i := len(g.joined()) - 1; i >= 0; i-- { // from the end, because tidy shortens the list
				h := g.joined()[i].host
				dismissed, alive := h.tidy()
				if again = append(again, dismissed...); len(dismissed) > 0 && alive {
					again = append(again, h.set.groups...)
					parted = append(parted, h)
				}
				for _, g := range dismissed {
					parted = append(parted, &g.own)
				}
			}
			p.forgetUseless(g)
		}
		groups = again
	}
}

func (p *Pool[K, C]) forgetUseless(g *group[K, C]) {
	if g.useless() && p.groups[g.key] == g {
		p.forget(g)
		p.todo.forgotten = append(p.todo.forgotten, g.key)
	}
}

// forget drops a group that has nothing left. A map keeps the memory of its largest size, so forget makes a new map
// when little of that size is in use.
func (p *Pool[K, C]) forget(g *group[K, C]) {
	p.tally.hits += g.hits.Load()
	delete(p.groups, g.key)
	if p.crowd < 1024 || len(p.groups) > p.crowd/4 {
		return
	}
	p.crowd = len(p.groups)
	groups := make(map[K]*group[K, C], p.crowd)
	maps.Copy(groups, p.groups)
	p.groups = groups
}
