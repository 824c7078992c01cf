package pool

import (
	"math"
	"time"
)

// Lease is the right to use one connection, from an Acquire until Release, Discard or Hijack ends it. Every
// lease is ended exactly once; ending one twice panics, even when its connection has been leased again since.
// It is a small value and may be copied: the copies are the same lease. Once it has ended, the holder must not
// touch the connection any more, Hijack excepted.
//
// The methods that report are safe for concurrent use and keep their answers after the end. The zero Lease
// leases nothing: they return zero values for it, and ending it panics. So does the one that a failed TryAcquire
// returns, only that its Miss says why.
type Lease[K comparable, C Conn] struct {
	entry  *entry[K, C]
	number uint64        // of this lease among those of its connection, from 1
	span   time.Duration // idle before a hit, waited for a miss
	found  finding       // with four words a Lease stays in registers
}

// Valid reports whether the lease came from an Acquire; it is false for the zero Lease. It does not say whether
// the lease has ended.
func (l Lease[K, C]) Valid() bool { return l.entry != nil }

// Conn returns the connection.
func (l Lease[K, C]) Conn() C {
	if l.entry == nil {
		var none C
		return none
	}
	return l.entry.conn
}

// Key returns the key that the connection was acquired by.
func (l Lease[K, C]) Key() K {
	if l.entry == nil {
		var none K
		return none
	}
	return l.entry.group.key
}

// Reused reports whether the connection was leased before, or was idle in the pool before this lease. A connection
// that idled can be stale even if nobody has used it.
func (l Lease[K, C]) Reused() bool {
	return l.number > 1 || l.entry != nil && l.found == hit
}

// Uses returns how many leases the connection had before this one.
func (l Lease[K, C]) Uses() int {
	return int(min(max(l.number, 1)-1, math.MaxInt))
}

// IdleTime returns how long the connection was idle before this lease.
func (l Lease[K, C]) IdleTime() time.Duration {
	if l.found != hit {
		return 0
	}
	return l.span
}

// Age returns how long ago the connection was dialed.
func (l Lease[K, C]) Age() time.Duration {
	if l.entry == nil {
		return 0
	}
	return max(0, l.entry.group.own.pool.now()-l.entry.born)
}

// Miss returns why no idle connection was there to take, or "" if one was. For the Lease of a failed TryAcquire it
// is what that one found; "" if no connection was idle.
func (l Lease[K, C]) Miss() Miss { return l.found.miss() }

// Waited returns how long the Acquire waited for a dial or for somebody else's release; zero for a hit.
func (l Lease[K, C]) Waited() time.Duration {
	if l.found == hit {
		return 0
	}
	return l.span
}

// Limit tells the pool what the peer said of its own limits, as in the Keep-Alive field of RFC 2068, section
// 19.7.1.1: how long it keeps the connection while it is idle, and how many more leases it will serve on it
// after this one. An idle of zero or less and a reuse below zero say nothing. Limits only ever get lower. Limit
// does nothing on a lease that has ended.
func (l Lease[K, C]) Limit(idle time.Duration, reuse int) {
	e := l.entry
	if e == nil {
		return
	}
	p := e.group.own.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if !l.underWay() {
		return
	}
	e.peerIdle = shorter(e.peerIdle, idle)
	e.idleFor = shorter(e.idleFor, e.peerIdle)
	if reuse >= 0 {
		e.maxUses = min(e.maxUses, l.number+uint64(reuse))
	}
}

// Release ends the lease and gives the connection back. It probes the connection first, or has a Rester rest. It
// returns "" when the connection was kept or handed to a want, else why it was closed, or will be when the last of
// those who share it has ended its lease.
func (l Lease[K, C]) Release() Reason {
	e := l.end("Release")
	var reason Reason
	var owed bool
	if e.shared() || !e.unpooled { // an unpooled one is closed whatever a probe says
		reason, owed = e.restOrProbe()
	}
	reason, ok := e.group.own.pool.putBack(claim[K, C]{entry: e, number: l.number}, reason, owed)
	if !ok {
		endedTwice("Release")
	}
	return reason
}

// Discard ends the lease and closes the connection. One that is shared is retired: it takes no new lease, and is
// closed when those under way have ended. An empty reason is counted as ReasonUnspecified.
func (l Lease[K, C]) Discard(reason Reason) {
	e := l.end("Discard")
	p := e.group.own.pool
	p.mu.Lock()
	if !(claim[K, C]{entry: e, number: l.number}).drop() {
		p.mu.Unlock()
		endedTwice("Discard")
	}
	p.end(e, reason.orUnspecified())
	p.tend(e.group)
	p.unlock()
}

// Hijack ends the lease and takes the connection out of the pool for good: it is the caller's, who closes it.
// It no longer counts for any limit. A shared connection cannot be taken: Hijack panics.
func (l Lease[K, C]) Hijack() {
	if l.entry != nil && l.entry.shared() {
		panic("pool: Hijack was called on a lease of a shared connection")
	}
	e := l.end("Hijack")
	p := e.group.own.pool
	p.mu.Lock()
	e.become(hijacked)
	e.group.dismiss(e)
	p.active--
	e.group.active--
	p.hijacked++
	p.tend(e.group)
	p.unlock()
}

// end claims the end of the lease: from here on the connection belongs to the pool again, and to nobody else. The
// end of a lease of a shared connection is claimed by dropping it, as those end in any order.
func (l Lease[K, C]) end(verb string) *entry[K, C] {
	if l.entry == nil {
		panic("pool: " + verb + " was called on the zero Lease, which leases no connection")
	}
	if !l.entry.shared() && !l.entry.ended.CompareAndSwap(l.number-1, l.number) {
		endedTwice(verb)
	}
	return l.entry
}

func endedTwice(verb string) {
	panic("pool: " + verb + " was called on a lease that had already been released, discarded or hijacked")
}

// underWay says whether the lease has not ended. It is called with Pool.mu held.
func (l Lease[K, C]) underWay() bool {
	if l.entry.shared() {
		_, ok := l.entry.leases[l.number]
		return ok
	}
	return l.entry.ended.Load() == l.number-1
}
