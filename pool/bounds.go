package pool

import (
	"math"
	"sync/atomic"
	"time"
)

// bounds holds the limits of a connection. Most connections have the same limits as others. They share one bounds, so
// that each of them holds only a pointer. For this reason, a bounds is never changed.
type bounds struct {
	maxUses  uint64        // the most leases that the connection may have
	lifetime time.Duration // the lowest MaxLifetime so far; 0 if there was none
	idle     time.Duration // Terms.IdleTimeout of the latest lease, or 0
	peerIdle time.Duration // the idle time that the peer has announced, or 0: see Lease.Limit
	maxConns int           // Terms.MaxConns of the latest lease
}

// unbounded are the bounds of a connection that has had no lease.
var unbounded = &bounds{maxUses: math.MaxUint64}

// hold reports whether a lease under terms does not change the bounds.
func (b *bounds) hold(terms *Terms) bool {
	return b.idle == terms.IdleTimeout && b.maxConns == terms.MaxConns &&
		(terms.MaxReuse <= 0 || b.maxUses <= terms.maxUses()) &&
		(terms.MaxLifetime <= 0 || b.lifetime > 0 && b.lifetime <= terms.MaxLifetime)
}

// under returns the bounds of a connection with the bounds b that is now leased under terms. Limits on uses and age
// can only become lower.
func (b *bounds) under(terms *Terms) bounds {
	next := bounds{
		maxUses: b.maxUses, lifetime: b.lifetime, idle: atAll(terms.IdleTimeout), peerIdle: b.peerIdle, maxConns: terms.MaxConns,
	}
	if terms.MaxReuse > 0 {
		next.maxUses = min(next.maxUses, terms.maxUses())
	}
	next.lifetime = shorter(next.lifetime, atAll(terms.MaxLifetime))
	return next
}

// atAll returns a time limit, or 0 if the limit is so long that it is none. A moment that a limit ends is therefore never
// beyond what a Duration holds.
func atAll(limit time.Duration) time.Duration {
	if limit > forever/4 {
		return 0
	}
	return max(0, limit)
}

// idleFor returns how long the connection may be idle, or 0 if there is no limit.
func (b *bounds) idleFor() time.Duration {
	return shorter(b.idle, b.peerIdle)
}

// timed reports whether the connection has a deadline while it is idle.
func (b *bounds) timed() bool { return b.lifetime > 0 || b.idle > 0 || b.peerIdle > 0 }

// setBounds sets the bounds of a connection. The caller holds the connection.
func (e *entry[K, C]) setBounds(b bounds) {
	e.bounds = b.share(&e.group.own.pool.latest)
}

// share returns bounds that are equal to b: the latest ones if they are, or else new ones, which become the latest.
func (b bounds) share(latest *atomic.Pointer[bounds]) *bounds {
	if shared := latest.Load(); shared != nil && *shared == b {
		return shared
	}
	fresh := b // so that b itself is not on the heap
	latest.Store(&fresh)
	return &fresh
}
