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
// each entry has one connection. The entry of an idle connection should be small, so the fields that only shared
// connections need are in sharing.
type entry[K comparable, C Conn] struct {
	// Guarded by Pool.mu.
	in      [chainKinds]links[K, C]
	retired *Reason // one-way: once set, the connection takes no new lease
	state   state

	private bool // set once, see Private
	// replaceable says that the connection is a Replacer whose replacement has not begun.
	replaceable bool

	// unpooled is Terms.Unpooled of the latest lease or, before the first lease, of the dial. The holder of the
	// connection guards it: see below.
	unpooled bool

	// Set once, before any other goroutine sees the entry, except for maxConns.
	jitter   uint16 // factor for MaxLifetime, in thousandths
	maxConns uint16 // Terms.MaxConns of the latest lease, or 0; guarded by the holder of the connection, see below
	conn     C
	group    *group[K, C]
	*sharing               // nil if the connection is not shared
	born     time.Duration // when its dial ended
	// order is the value of Pool.joined when the connection's dial began or, if the connection is shared, when its dial
	// ended. A Fresh want that joined later must not have the connection.
	order uint64

	// ended is the number of leases that have ended. Leases are numbered. A lease ends when ended rises to its number,
	// so no lease can end twice.
	ended atomic.Uint64

	// The holder of the connection guards these fields: its lease or, if it has none, the pool, under Pool.mu. Handing
	// the connection over orders the accesses, so a lease uses the fields without the lock. If the connection is
	// shared, Pool.mu always guards them.
	maxUses   uint64        // the most leases that it may have
	expires   time.Duration // when it stops taking new leases
	idleFor   time.Duration // the shorter of the latest lease's IdleTimeout and peerIdle
	peerIdle  time.Duration // the idle time that the peer has announced: see Lease.Limit
	idleSince time.Duration // when it became idle, if it is idle
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
	if terms.MaxReuse > 0 {
		e.maxUses = min(e.maxUses, terms.maxUses())
	}
	if terms.MaxLifetime > 0 {
		e.expires = min(e.expires, e.expiry(terms))
	}
	e.idleFor, e.unpooled = terms.IdleTimeout, terms.Unpooled || e.private
	e.maxConns = uint16(min(max(0, terms.MaxConns), math.MaxUint16))
	if e.peerIdle > 0 {
		e.idleFor = shorter(e.idleFor, e.peerIdle)
	}
}

// expiry returns the moment at which the connection reaches the MaxLifetime of terms, multiplied by the connection's
// jitter.
func (e *entry[K, C]) expiry(terms *Terms) time.Duration {
	const whole = 1000
	limit := terms.MaxLifetime
	if limit <= 0 || limit > forever/2 {
		return forever
	}
	jitter := time.Duration(e.jitter)
	return deadline(e.born, max(1, limit/whole*jitter+limit%whole*jitter/whole))
}

// spent returns why the connection can take no lease under terms at this moment, or "" if it can. The reason is that of
// the first limit reached, whether the limit is the connection's own or that of terms.
func (e *entry[K, C]) spent(terms *Terms, now time.Duration) Reason {
	uses := e.uses()
	switch {
	case uses > 0 && (uses >= e.maxUses || terms.MaxReuse > 0 && uses >= terms.maxUses()):
		return ReasonMaxReuse
	case now >= e.expires || terms.MaxLifetime > 0 && now >= e.expiry(terms):
		return ReasonMaxLifetime
	case e.state == idle && (e.idleFor > 0 || terms.IdleTimeout > 0) &&
		now-e.idleSince >= shorter(e.idleFor, terms.IdleTimeout):
		return ReasonIdleTimeout
	}
	return ""
}

// deadline returns the moment at which the reaper closes the idle connection.
func (e *entry[K, C]) deadline() time.Duration {
	if e.idleFor <= 0 {
		return e.expires
	}
	return min(deadline(e.idleSince, e.idleFor), e.expires)
}

// uses returns the number of leases so far. A lease under way counts only if the connection is shared.
func (e *entry[K, C]) uses() uint64 {
	uses := e.ended.Load()
	if e.sharing != nil {
		uses += uint64(len(e.leases))
	}
	return uses
}

func (e *entry[K, C]) used() bool { return e.uses() > 0 }

// retire notes why the connection takes no new lease. Only the first reason counts.
func (e *entry[K, C]) retire(reason Reason) {
	if e.retired == nil {
		first := reason
		e.retired = &first
	}
}

// whyRetired returns why the connection takes no new lease, or "" if it is not retired.
func (e *entry[K, C]) whyRetired() Reason {
	if e.retired == nil {
		return ""
	}
	return *e.retired
}
