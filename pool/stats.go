package pool

import "maps"

// Stats describes a pool at one moment. The pool takes it under its lock, so Opened always equals the sum of Idle,
// Active, Hijacked and all values of Closes. A connection that was handed to a waiting Acquire counts as active, and
// so does a connection that is being probed. The counters start when the pool is created, and never go down.
type Stats[K comparable] struct {
	Idle    int // idle connections
	Active  int // active connections
	Dialing int // dials under way
	Waiting int // Acquires that wait for a connection

	Opened       uint64            // connections that dials have opened
	Hijacked     uint64            // connections that Hijack has taken out of the pool
	Hits         uint64            // Acquires that leased an idle connection, or a place on a shared one, at once
	Dials        uint64            // dials that were begun
	DialFailures uint64            // dials that failed
	Replacements uint64            // dials that were begun to replace a connection before it reaches a limit
	Misses       map[Miss]uint64   // Acquires that found no connection to lease at once, by reason
	Closes       map[Reason]uint64 // connections that the pool closed, by reason

	Keys map[K]KeyStats
}

// KeyStats holds the Stats of one key. Its counters start when the pool begins to know the key, and are lost when the
// pool forgets the key: see Config.OnForget.
type KeyStats struct {
	Idle, Active, Dialing, Waiting    int
	Hits, Misses, Dials, DialFailures uint64
}

// tally holds the counters of the whole pool.
type tally struct {
	opened, dials, dialFailures uint64
	replacements                uint64
	hits                        uint64 // of keys that the pool has forgotten
	misses                      map[Miss]uint64
	closes                      map[Reason]uint64
}

func newTally() tally {
	return tally{misses: make(map[Miss]uint64), closes: make(map[Reason]uint64)}
}

// Knows reports whether the key has a connection, a dial or a want. If it returns true, OnForget is still to be
// called for the key.
func (p *Pool[K, C]) Knows(key K) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.groups[key] != nil
}

// Stats returns a snapshot of the pool. The caller owns it. Stats takes time and memory in proportion to the number
// of keys that the pool knows.
func (p *Pool[K, C]) Stats() Stats[K] {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Stats[K]{
		Idle: p.idle.len(), Active: p.active, Dialing: p.dials.len, Waiting: p.waiting,
		Opened: p.tally.opened, Hijacked: p.hijacked, Hits: p.tally.hits,
		Dials: p.tally.dials, DialFailures: p.tally.dialFailures, Replacements: p.tally.replacements,
		Misses: maps.Clone(p.tally.misses), Closes: maps.Clone(p.tally.closes),
		Keys: make(map[K]KeyStats, len(p.groups)),
	}
	for key, g := range p.groups {
		hits := g.hits.Load()
		s.Hits += hits
		s.Keys[key] = KeyStats{
			Idle: g.idle.len(), Active: g.active, Dialing: g.own.dialing, Waiting: g.own.waiting(),
			Hits: hits, Misses: g.own.misses, Dials: g.own.dials, DialFailures: g.own.dialFailures,
		}
	}
	return s
}
