package pool

import "time"

// ConnStats describes one connection at one moment.
type ConnStats struct {
	Idle     time.Duration // how long it has been idle; zero while it is in use
	Age      time.Duration // time since its dial ended
	Uses     uint64        // number of leases so far, including those under way
	Leases   int           // number of leases under way: 0 or 1; may be more on a shared connection
	Capacity int           // number of leases that it can serve at once: 1 unless it is shared
	Retired  Reason        // why it takes no new lease, although it still serves one; "" if it takes new leases
}

// Conns returns a description of each connection of the key, with the oldest connection first.
func (p *Pool[K, C]) Conns(key K) []ConnStats {
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	g := p.groups[key]
	if g == nil {
		return nil
	}
	conns := make([]ConnStats, 0, g.all.len())
	for e := g.all.first; e != nil; e = e.in[inAll].next {
		conns = append(conns, e.stats(now))
	}
	return conns
}

func (e *entry[K, C]) stats(now time.Duration) ConnStats {
	s := ConnStats{Age: max(0, now-e.born), Uses: e.ended.Load(), Capacity: 1, Retired: e.whyRetired()}
	switch {
	case e.state == idle:
		s.Idle = max(0, now-e.idleSince)
	case e.shared:
		s.Leases = e.load()
	default:
		s.Leases = 1
	}
	if e.shared {
		s.Capacity = e.capacity
	}
	s.Uses += uint64(s.Leases)
	return s
}

// Drain retires every connection that the key has now. It closes idle connections at once, and the others when their
// leases end. It does not affect dials under way. Drain returns how many connections it has retired. An empty reason
// is counted as ReasonUnspecified.
func (p *Pool[K, C]) Drain(key K, reason Reason) int {
	reason = reason.orUnspecified()
	p.mu.Lock()
	defer p.unlock()
	g := p.groups[key]
	if g == nil {
		return 0
	}
	return p.drain(g, reason)
}

func (p *Pool[K, C]) drain(g *group[K, C], reason Reason) int {
	drained := 0
	for e := g.all.first; e != nil; {
		next := e.in[inAll].next
		if !e.isRetired() {
			drained++
			p.retireLocked(e, reason)
		}
		e = next
	}
	p.tend(g)
	return drained
}
