package pool

import (
	"fmt"
	"math"
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

// mayBecome is the state diagram: the states that follow each one, as bits. Nothing leads out of hijacked and closed.
var mayBecome = [...]uint8{
	opening:  1 << active,
	active:   1<<idle | 1<<hijacked | 1<<closed,
	idle:     1<<active | 1<<closed,
	hijacked: 0,
	closed:   0,
}

// entry is one connection and what the pool knows of it. There is one entry for a connection and one connection
// for an entry, from dial to close. What is idle should be small: what only shared connections have is in sharing.
type entry[K comparable, C Conn] struct {
	// Guarded by Pool.mu.
	in      [chainKinds]links[K, C]
	retired *Reason // one-way: once set, the connection takes no new lease
	state   state

	private bool // set once, see Private
	// replaceable says that the connection is a Replacer, and its replacement has not begun.
	replaceable bool

	unpooled bool // belongs to whoever has the connection, see below: the latest lease's Terms.Unpooled; the dial's before the first one

	// Set once, before anybody else sees the entry.
	jitter   uint16 // factor for MaxLifetime, in thousandths
	maxConns uint16 // belongs to whoever has the connection, see below: the latest lease's Terms.MaxConns; 0: none
	conn     C
	group    *group[K, C]
	*sharing               // nil: not shared
	born     time.Duration // when its dial ended
	order    uint64        // Pool.joined when its dial began, or ended if it is shared: a Fresh want that joined later must not have it

	// ended is how many leases have ended: as leases are numbered, whoever counts one there has ended it, and nobody
	// can do so twice.
	ended atomic.Uint64

	// These belong to whoever has the connection: its lease, or the pool (under Pool.mu) while there is none.
	// Handing it over orders the accesses, so a lease touches them without the lock. Those of a shared connection
	// are always guarded by Pool.mu.
	maxUses   uint64        // leases at most
	expires   time.Duration // takes no new lease from then on
	idleFor   time.Duration // the shorter of the latest lease's IdleTimeout and of peerIdle
	peerIdle  time.Duration // what the peer said of idle time, see Lease.Limit
	idleSince time.Duration // of one that is idle
}

// become changes the state; a step that the diagram does not have is a broken pool.
func (e *entry[K, C]) become(next state) {
	if mayBecome[e.state]&(1<<next) == 0 {
		panicState(e.state, next)
	}
	e.state = next
}

func panicState(from, to state) {
	panic(fmt.Sprintf("pool: a connection that is %v cannot become %v", from, to))
}

// bind lowers the connection's caps to those of terms and takes over what holds for the next release.
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

// expiry is the moment at which the connection reaches the MaxLifetime of terms, in its own jitter.
func (e *entry[K, C]) expiry(terms *Terms) time.Duration {
	const whole = 1000
	limit := terms.MaxLifetime
	if limit <= 0 || limit > forever/2 {
		return forever
	}
	jitter := time.Duration(e.jitter)
	return deadline(e.born, max(1, limit/whole*jitter+limit%whole*jitter/whole))
}

// spent says why the connection can take no lease under terms at this moment: the reason of the first limit
// that it has reached, its own or that of terms.
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

// deadline is the moment at which the reaper closes the idle connection.
func (e *entry[K, C]) deadline() time.Duration {
	if e.idleFor <= 0 {
		return e.expires
	}
	return min(deadline(e.idleSince, e.idleFor), e.expires)
}

// uses is the number of leases so far. The one under way counts if the connection is shared.
func (e *entry[K, C]) uses() uint64 {
	uses := e.ended.Load()
	if e.sharing != nil {
		uses += uint64(len(e.leases))
	}
	return uses
}

func (e *entry[K, C]) used() bool { return e.uses() > 0 }

// retire notes why the connection takes no new lease. The first reason counts.
func (e *entry[K, C]) retire(reason Reason) {
	if e.retired == nil {
		first := reason
		e.retired = &first
	}
}

// whyRetired is "" if it is not.
func (e *entry[K, C]) whyRetired() Reason {
	if e.retired == nil {
		return ""
	}
	return *e.retired
}
