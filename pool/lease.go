package pool

import (
	"math"
	"time"
)

// Lease is the right to use one connection. It begins with an Acquire and ends with a call of Release, Discard or
// Hijack. Each lease must be ended exactly once. Ending a lease twice panics, even if its connection has been leased
// again since. A Lease is a small value and may be copied; all copies are the same lease. After the lease has ended,
// its holder must not use the connection, unless it ended the lease with Hijack.
//
// The methods that report about the lease are safe for concurrent use, and return the same answers after the lease
// has ended. The zero Lease leases nothing: these methods return zero values for it, and ending it panics. The Lease
// that a failed TryAcquire returns behaves like the zero Lease, except that its Miss method says why the call failed.
type Lease[K comparable, C Conn] struct {
	entry  *entry[K, C]
	number uint64        // its place among the leases of its connection, from 1
	span   time.Duration // idle time of a hit, waiting time of a miss
	found  finding       // a Lease of four words stays in registers
}

// claim is the right to begin a lease. It is made under Pool.mu.
type claim[K comparable, C Conn] struct {
	entry  *entry[K, C]
	number uint64 // of the lease on a shared connection; 0 if the connection is not shared
}

// begin starts the lease. The span is the idle time of a hit and the waiting time of a miss.
func (c claim[K, C]) begin(terms *Terms, found finding, span time.Duration) Lease[K, C] {
	e := c.entry
	if c.number == 0 {
		e.bind(terms)
		c.number = e.ended.Load() + 1
	}
	return Lease[K, C]{entry: e, number: c.number, span: max(0, span), found: found}
}

// Valid reports whether the lease came from an Acquire. It returns false for the zero Lease. It does not report
// whether the lease has ended.
func (l Lease[K, C]) Valid() bool { return l.entry != nil }

// Conn returns the connection.
func (l Lease[K, C]) Conn() C {
	if l.entry == nil {
		var none C
		return none
	}
	return l.entry.conn
}

// Key returns the key for which the connection was acquired.
func (l Lease[K, C]) Key() K {
	if l.entry == nil {
		var none K
		return none
	}
	return l.entry.group.key
}

// Reused reports whether the connection was leased before, or was idle in the pool before this lease. A connection
// that was idle can be stale even if no caller has used it.
func (l Lease[K, C]) Reused() bool {
	return l.number > 1 || l.entry != nil && l.found.kind() == hit
}

// Uses returns how many leases the connection had before this one.
func (l Lease[K, C]) Uses() int {
	return int(min(max(l.number, 1)-1, math.MaxInt))
}

// IdleTime returns how long the connection was idle before this lease.
func (l Lease[K, C]) IdleTime() time.Duration {
	if l.found.kind() != hit {
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

// Miss returns why there was no idle connection to lease, or "" if there was one. For the Lease of a failed
// TryAcquire, Miss returns what TryAcquire found, or "" if no connection was idle.
func (l Lease[K, C]) Miss() Miss { return l.found.miss() }

// FoundUnexpectedData reports whether the pool has closed an idle connection before it began the lease, because the
// connection's Probe returned ReasonUnexpectedData. It also does so for the Lease of a failed TryAcquire.
func (l Lease[K, C]) FoundUnexpectedData() bool { return l.found&planted != 0 }

// Waited returns how long the Acquire waited for a dial or for the release of another lease. It returns zero for a
// hit.
func (l Lease[K, C]) Waited() time.Duration {
	if l.found.kind() == hit {
		return 0
	}
	return l.span
}

// Limit tells the pool which limits the peer has for the connection, for example those that the peer has announced in a
// Keep-Alive header (RFC 2068, section 19.7.1.1). The peer keeps the connection open while it is idle for no longer than
// idle, and serves reuse more leases on it after this one. If idle is zero or less, or reuse is negative, there is no
// such limit. Later calls can only lower the limits. Limit does nothing if the lease has ended.
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
	b := *e.bounds
	before := b
	b.peerIdle = shorter(b.peerIdle, atAll(idle))
	if reuse >= 0 {
		b.maxUses = min(b.maxUses, l.number+uint64(reuse))
	}
	if b != before {
		e.setBounds(b)
	}
}

// Release ends the lease and gives the connection back to the pool. It first calls the connection's Probe method, or
// its Rest method if it is a Rester. Release returns "" if the pool kept the connection or handed it to a want.
// Otherwise Release returns the reason why the connection was closed, or why it will be closed when the last of the
// leases that share it ends.
func (l Lease[K, C]) Release() Reason {
	e := l.endOnce("Release")
	var reason Reason
	var owed bool
	if e.shared || !e.unpooled { // an unpooled connection is closed whatever its probe returns
		if rester, ok := any(e.conn).(Rester); ok && !e.shared {
			reason, owed = rester.Rest(), true
		} else {
			reason = e.conn.Probe()
		}
	}
	reason, ok := e.group.own.pool.putBack(claim[K, C]{entry: e, number: l.number}, reason, owed)
	if !ok {
		endedTwice("Release")
	}
	return reason
}

// Discard ends the lease and closes the connection. If the connection is shared, Discard retires it instead: it takes
// no new lease, and the pool closes it when the leases under way have ended. An empty reason is counted as
// ReasonUnspecified.
func (l Lease[K, C]) Discard(reason Reason) {
	e := l.endOnce("Discard")
	p := e.group.own.pool
	p.mu.Lock()
	if !(claim[K, C]{entry: e, number: l.number}).drop() {
		p.mu.Unlock()
		endedTwice("Discard")
	}
	p.closeOrRetire(e, reason.orUnspecified())
	p.tend(e.group)
	p.unlock()
}

// Hijack ends the lease and takes the connection out of the pool for good. The caller then owns the connection and
// must close it. The connection no longer counts toward any limit. Hijack panics if the connection is shared.
func (l Lease[K, C]) Hijack() {
	if l.entry != nil && l.entry.shared {
		panic("pool: Hijack was called on a lease of a shared connection")
	}
	e := l.endOnce("Hijack")
	p := e.group.own.pool
	p.mu.Lock()
	e.become(hijacked)
	e.group.dismiss(e)
	p.active--
	e.group.use(-1)
	p.hijacked++
	p.tend(e.group)
	p.unlock()
}

// Rester is implemented by a Conn whose Probe is expensive. The pool then calls Probe only once between two leases,
// before the second of them. At release, it calls Rest instead.
type Rester interface {
	// Rest returns "" if the connection can become idle, or the reason why it cannot. The pool calls Rest at release
	// in place of Probe, under the same conditions. Rest may leave part of the checks to Probe: the pool calls Probe
	// before the connection is leased again, even if the connection goes to a waiting Acquire and is never idle.
	Rest() Reason
}

// probeOwed calls the Probe that Rest has left out, if a want is about to get the connection. The caller holds the
// lock, and probeOwed releases it during the Probe.
func (p *Pool[K, C]) probeOwed(e *entry[K, C]) Reason {
	if e.isRetired() || e.group.heir(e) == nil {
		return ""
	}
	p.mu.Unlock()
	defer p.mu.Lock()
	return e.conn.Probe()
}

// endOnce claims the end of the lease, so that the connection belongs to the pool again. It panics if the lease has
// already ended. It does not check leases of a shared connection, because they end in any order. Its callers check them
// with claim.drop.
func (l Lease[K, C]) endOnce(verb string) *entry[K, C] {
	if l.entry == nil {
		panic("pool: " + verb + " was called on the zero Lease, which leases no connection")
	}
	if !l.entry.shared && !l.entry.ended.CompareAndSwap(l.number-1, l.number) {
		endedTwice(verb)
	}
	return l.entry
}

func endedTwice(verb string) {
	panic("pool: " + verb + " was called on a lease that had already been released, discarded or hijacked")
}

// underWay reports whether the lease has not ended. The caller holds Pool.mu.
func (l Lease[K, C]) underWay() bool {
	if l.entry.shared {
		_, ok := l.entry.leases[l.number]
		return ok
	}
	return l.entry.ended.Load() == l.number-1
}
