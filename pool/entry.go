package pool

import (
	"fmt"
	"math"
	"sync/atomic"
	"time"
)

// state is a stage in the life of a connection. doc.go has the diagram.
type state uint8

const (
	opening  state = iota // dialed, but not yet counted by the pool
	active                // leased, or held by the pool between two states
	idle                  // in the lists of idle connections
	hijacked              // owned by its caller for good
	closed                // closed, or about to be closed
)

func (s state) String() string {
	return [...]string{"opening", "active", "idle", "hijacked", "closed"}[s]
}

// mayBecome is the state diagram. For each state, it holds the states that may follow, as bits. No state follows
// hijacked or closed.
var mayBecome = [...]uint8{
	opening:  1 << active,
	active:   1<<idle | 1<<hijacked | 1<<closed,
	idle:     1<<active | 1<<closed,
	hijacked: 0,
	closed:   0,
}

// entry is one connection, with what the pool knows about it. From dial to close, each connection has one entry, and
// each entry has one connection. The entry of an idle connection should be small, so what only few connections need is
// in rarity, and what most connections have in common is in bounds.
type entry[K comparable, C Conn] struct {
	// Guarded by Pool.mu.
	in    [chainKinds]links[K, C]
	state state

	origin  origin
	private bool // set once, see Private
	// replaceable says that the connection is a Replacer whose replacement has not begun.
	replaceable bool

	// unpooled is Terms.Unpooled of the latest lease or, before the first lease, of the dial. The holder of the
	// connection guards it: see below.
	unpooled bool

	// Set once, before any other goroutine sees the entry.
	shared bool   // the connection is a Sharer
	jitter uint16 // factor for MaxLifetime, in thousandths
	conn   C
	group  *group[K, C]
	born   time.Duration // when its dial ended
	// order is the value of Pool.joined when the connection's dial began or, if the connection is shared, when its dial
	// ended. A Fresh want that joined later must not have the connection.
	order uint64

	// ended is the number of leases that have ended. Leases are numbered. A lease ends when ended rises to its number,
	// so no lease can end twice.
	ended atomic.Uint64

	*rarity // guarded by Pool.mu; nil if the connection is neither shared nor retired

	// The holder of the connection guards these fields: its lease or, if it has none, the pool, under Pool.mu. Handing
	// the connection over orders the accesses, so a lease uses the fields without the lock. If the connection is
	// shared, Pool.mu always guards them.
	bounds    *bounds       // never nil
	idleSince time.Duration // when it became idle, if it is idle
}

// rarity holds what only a shared or a retired connection has. Pool.mu guards it.
type rarity struct {
	retired Reason // one-way: once set, the connection takes no new lease
	sharing
}

// become changes the state. It panics if the diagram does not allow the change, because the pool is then broken.
func (e *entry[K, C]) become(next state) {
	if mayBecome[e.state]&(1<<next) == 0 {
		panicState(e.state, next)
	}
	e.state = next
}

func panicState(from, to state) {
	panic(fmt.Sprintf("pool: a connection that is %v cannot become %v", from, to))
}

// bind lowers the connection's limits on uses and age to those of terms, and takes over what applies to the next
// release.
func (e *entry[K, C]) bind(terms *Terms) {
	if !e.bounds.hold(terms) {
		e.setBounds(e.bounds.under(terms))
	}
	e.unpooled = terms.Unpooled || e.private
}

// expires returns the moment at which the connection stops taking new leases.
func (e *entry[K, C]) expires() time.Duration { return e.expiry(e.bounds.lifetime) }

// expiry returns the moment at which the connection reaches a MaxLifetime, multiplied by the connection's jitter.
func (e *entry[K, C]) expiry(limit time.Duration) time.Duration {
	const whole = 1000
	if limit <= 0 || limit > forever/2 {
		return forever
	}
	jitter := time.Duration(e.jitter)
	return deadline(e.born, max(1, limit/whole*jitter+limit%whole*jitter/whole))
}

// outlives reports whether the connection has reached a MaxLifetime. In the first half of its life, it does not compute the
// exact moment, because the jitter is never that large.
func (e *entry[K, C]) outlives(limit, now time.Duration) bool {
	return now-e.born >= limit/2 && now >= e.expiry(limit)
}

// spent returns why the connection can take no lease under terms at this moment, or "" if it can. The reason is that of
// the first limit reached, whether the limit is the connection's own or that of terms.
func (e *entry[K, C]) spent(terms *Terms, now time.Duration) Reason {
	uses, b := e.uses(), e.bounds
	switch {
	case uses > 0 && (uses >= b.maxUses || terms.MaxReuse > 0 && uses >= terms.maxUses()):
		return ReasonMaxReuse
	case (b.lifetime > 0 || terms.MaxLifetime > 0) && e.outlives(shorter(b.lifetime, terms.MaxLifetime), now):
		return ReasonMaxLifetime
	case e.state == idle:
		if limit := shorter(b.idleFor(), terms.IdleTimeout); limit > 0 && now-e.idleSince >= limit {
			return e.idleReason(limit)
		}
	}
	return ""
}

// deadline returns the moment at which the reaper closes the idle connection, which expires at the given moment.
func (e *entry[K, C]) deadline(expires time.Duration) time.Duration {
	return min(deadline(e.idleSince, e.bounds.idleFor()), expires)
}

// uses returns the number of leases so far. A lease under way counts only if the connection is shared.
func (e *entry[K, C]) uses() uint64 {
	uses := e.ended.Load()
	if e.shared {
		uses += uint64(len(e.leases))
	}
	return uses
}

func (e *entry[K, C]) used() bool { return e.uses() > 0 }

// retire notes why the connection takes no new lease. Only the first reason counts.
func (e *entry[K, C]) retire(reason Reason) {
	if e.whyRetired() != "" {
		return
	}
	if e.rarity == nil {
		e.rarity = new(rarity)
	}
	e.rarity.retired = reason
}

// whyRetired returns why the connection takes no new lease, or "" if it is not retired.
func (e *entry[K, C]) whyRetired() Reason {
	if e.rarity == nil {
		return ""
	}
	return e.rarity.retired
}

func (e *entry[K, C]) isRetired() bool { return e.whyRetired() != "" }

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

// capped reports whether the connection has a limit on its uses or its age.
func (e *entry[K, C]) capped() bool {
	return e.bounds.maxUses != math.MaxUint64 || e.bounds.lifetime > 0
}

// shorter returns the lower of two limits. A value of zero or less sets no limit.
func shorter(a, b time.Duration) time.Duration {
	if a <= 0 || b > 0 && b < a {
		return b
	}
	return a
}

// deadline returns the moment d after start. It returns forever if d sets no limit, or if the moment is beyond what a
// Duration holds.
func deadline(start, d time.Duration) time.Duration {
	if d <= 0 || d > forever-start {
		return forever
	}
	return start + d
}
