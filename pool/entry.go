package pool

import (
	"fmt"
	"sync/atomic"
	"time"
)

// state is where a connection is in its life; doc.go has the diagram.
type state uint8

const (
	opening  state = iota // dialed, and not yet counted by the pool
	active                // leased, or in the hands of the pool between two states
	idle                  // in the idle lists
	hijacked              // the caller's for good
	closed                // closed, or just about to be
)

func (s state) String() string {
	return [...]string{"opening", "active", "idle", "hijacked", "closed"}[s]
}

// mayBecome is the state diagram. Nothing leads out of hijacked and closed.
func (s state) mayBecome(next state) bool {
	switch s {
	case opening:
		return next == active
	case active:
		return next == idle || next == hijacked || next == closed
	case idle:
		return next == active || next == closed
	default:
		return false
	}
}

// entry is one connection and what the pool knows of it. There is one entry for a connection and one connection
// for an entry, from dial to close.
type entry[K comparable, C Conn] struct {
	// Set once, before anybody else sees the entry.
	conn   C
	group  *group[K, C]
	born   time.Duration // when its dial ended
	order  uint64        // Pool.joined when its dial began, or ended if it is shared: a Fresh want that joined later must not have it
	jitter time.Duration // factor for MaxLifetime, in thousandths
	asker  *want[K, C]   // that asked for its dial and waits for it; set while the dial lands, guarded by Pool.mu

	// ended is how many leases have ended: uses, or one less while a lease is under way. Whoever counts a lease
	// there has ended it, and as leases are numbered nobody can do so twice.
	ended atomic.Uint64

	// These belong to whoever has the connection: its lease, or the pool (under Pool.mu) while there is none.
	// Handing it over orders the accesses, so a lease touches them without the lock. Those of a shared connection
	// are always guarded by Pool.mu.
	uses      uint64        // leases so far
	maxUses   uint64        // leases at most
	expires   time.Duration // takes no new lease from then on
	idleFor   time.Duration // IdleTimeout of the latest lease
	peerIdle  time.Duration // what the peer said of idle time, see Lease.Limit
	unpooled  bool          // the latest lease's Terms.Unpooled; the dial's before the first one
	idleSince time.Duration
	idleUntil time.Duration

	// Guarded by Pool.mu.
	state    state
	retired  Reason              // one-way: once set, the connection takes no new lease
	leases   map[uint64]struct{} // of a shared connection: the numbers of those under way; nil: not shared
	capacity int                 // of a shared connection: leases at once
	resized  bool                // capacity has been set by resize, which goes before what Share returns
	inGroup  node[entry[K, C]]   // among the idle, or among the spare if it is shared
	inPool   node[entry[K, C]]
	inAll    node[entry[K, C]]
}

// become changes the state; a step that the diagram does not have is a broken pool.
func (e *entry[K, C]) become(next state) {
	if !e.state.mayBecome(next) {
		panic(fmt.Sprintf("pool: a connection that is %v cannot become %v", e.state, next))
	}
	e.state = next
}

// bind lowers the connection's caps to those of terms and takes over what holds for the next release.
func (e *entry[K, C]) bind(terms *Terms) {
	e.maxUses = min(e.maxUses, terms.maxUses())
	e.expires = min(e.expires, e.expiry(terms))
	e.idleFor, e.unpooled = terms.IdleTimeout, terms.Unpooled
}

// expiry is the moment at which the connection reaches the MaxLifetime of terms, in its own jitter.
func (e *entry[K, C]) expiry(terms *Terms) time.Duration {
	const whole = 1000
	limit := terms.MaxLifetime
	if limit <= 0 || limit > forever/2 {
		return forever
	}
	return deadline(e.born, max(1, limit/whole*e.jitter+limit%whole*e.jitter/whole))
}

// spent says why the connection can take no lease under terms at this moment: the reason of the first limit
// that it has reached, its own or that of terms.
func (e *entry[K, C]) spent(terms *Terms, now time.Duration) Reason {
	switch {
	case e.uses > 0 && e.uses >= min(e.maxUses, terms.maxUses()):
		return ReasonMaxReuse
	case now >= min(e.expires, e.expiry(terms)):
		return ReasonMaxLifetime
	case e.state == idle && now >= min(e.idleUntil, deadline(e.idleSince, terms.IdleTimeout)):
		return ReasonIdleTimeout
	}
	return ""
}

// rest notes that the connection is idle from now on, and until when.
func (e *entry[K, C]) rest(now time.Duration) {
	e.idleSince = now
	e.idleUntil = min(deadline(now, e.idleFor), deadline(now, e.peerIdle))
}

// deadline is the moment at which the reaper closes the idle connection.
func (e *entry[K, C]) deadline() time.Duration { return min(e.idleUntil, e.expires) }
