package pool

import "maps"

// Stats is a pool at one moment, taken under its lock: Opened is always the sum of Idle, Active, Hijacked and
// all Closes. A connection that was handed to a waiting Acquire counts as active, and so does one that is being
// probed. Counters start with the pool, and never go down.
type Stats[K comparable] struct {
	Idle    int // connections
	Active  int // connections
	Dialing int // dials under way
	Waiting int // Acquires that wait for a connection

	Opened       uint64 // connections that dials have brought
	Hijacked     uint64
	Hits         uint64 // leases at once, of an idle connection or of a place on a shared one
	Dials        uint64 // begun
	DialFailures uint64
	Misses       map[Miss]uint64   // Acquires that found no connection to lease at once, by why not
	Closes       map[Reason]uint64 // connections closed by the pool, by why

	Keys map[K]KeyStats
}

// KeyStats are the Stats of one key. Its counters start when the key becomes known, and are dropped with the
// key: see Config.OnForget.
type KeyStats struct {
	Idle, Active, Dialing, Waiting    int
	Hits, Misses, Dials, DialFailures uint64
}

// tally holds the counters of the whole pool.
type tally struct {
	opened, dials, dialFailures uint64
	hits                        uint64 // of the keys that are forgotten
	misses                      map[Miss]uint64
	closes                      map[Reason]uint64
}

func newTally() tally {
	return tally{misses: make(map[Miss]uint64), closes: make(map[Reason]uint64)}
}

// Knows says whether the key has a connection, a dial or a want: whether an OnForget is still to come for it.
func (p *Pool[K, C]) Knows(key K) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.groups[key] != nil
}

// Stats returns a snapshot, which is the caller's. It takes time and memory for every key that is known.
func (p *Pool[K, C]) Stats() Stats[K] {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Stats[K]{
		Idle: p.idle.len, Active: p.active, Dialing: p.dials.len, Waiting: p.waiting,
		Opened: p.tally.opened, Hijacked: p.hijacked, Hits: p.tally.hits,
		Dials: p.tally.dials, DialFailures: p.tally.dialFailures,
		Misses: maps.Clone(p.tally.misses), Closes: maps.Clone(p.tally.closes),
		Keys: make(map[K]KeyStats, len(p.groups)),
	}
	for key, g := range p.groups {
		hits := g.hits.Load()
		s.Hits += hits
		s.Keys[key] = KeyStats{
			Idle: g.idle.len, Active: g.active, Dialing: g.own.dialing, Waiting: g.own.waiting(),
			Hits: hits, Misses: g.own.misses, Dials: g.own.dials, DialFailures: g.own.dialFailures,
		}
	}
	return s
}
