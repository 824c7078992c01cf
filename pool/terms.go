package pool

import (
	"math"
	"time"
)

// ExpectUnknown is the value of Terms.Expect for a key whose connections may or may not be shared.
const ExpectUnknown = -1

// unknownDials limits how many dials the pool begins for the wants of a key while it is unknown whether connections of
// the key are shared. One dial would do if dials never failed and were never slow. If a dial was unnecessary, the pool
// closes its connection or, if the connection is not shared, keeps it idle for a short time (ReasonUnused).
const unknownDials = 3

// forever is a deadline that is never reached.
const forever time.Duration = math.MaxInt64

// Terms holds what one Acquire asks for. The lease keeps its Terms, and so does a connection that is dialed for it.
// Zero and negative numbers set no limit.
//
// Callers that share a key usually use the same Terms. If they do not, the strictest limit applies. A connection is
// bound by the lowest MaxReuse and MaxLifetime of all Terms for which it was dialed or leased. If a connection
// exceeds a limit of the next caller, the pool closes it and does not lease it to that caller.
type Terms struct {
	// IdleTimeout is how long the connection may stay idle after this lease. A connection that was dialed for an Acquire
	// that did not need it stays idle for at most 4 seconds if no caller leases it: see ReasonUnused.
	IdleTimeout time.Duration

	// MaxIdleTime is how long a connection may have been idle when this Acquire leases it. Connections that have been
	// idle longer stay in the pool for others. A caller sets it if a connection that the peer is about to close would
	// harm this caller more than others.
	MaxIdleTime time.Duration

	// Unpooled, if true, opts out of pooling. The lease does not take an idle connection and does not leave one: its
	// connection is closed when the lease ends (ReasonUnpooled), and is never in the pool, not even for a moment.
	Unpooled bool

	// Fresh, if true, accepts only a connection that is dialed after this call and was never leased before. A retry
	// sets it after a stale connection. Of shared connections, it accepts those whose dial ends after this call.
	Fresh bool

	// MaxReuse is how many times a connection may be reused: a connection carries at most MaxReuse+1 leases.
	MaxReuse int

	// MaxLifetime is the age after which a connection takes no new lease. A connection in use is never cut because of
	// its age. At the dial, the pool multiplies MaxLifetime by a random factor between 0.9 and 1.1 for each
	// connection, so that connections dialed together do not end together.
	MaxLifetime time.Duration

	// MaxConns limits the number of connections of the key. Connections that are being dialed, in use or idle all
	// count. If there is no room, the Acquire waits. Each Acquire considers only its own MaxConns.
	MaxConns int

	// Expect is how many leases a new connection is expected to serve at once: see Sharer. If it is zero or one, each
	// want dials for itself. If it is greater than one, the pool begins one dial for that many wants. If it is
	// ExpectUnknown, the pool begins a few dials, and the other wants wait for the connection that the first of these
	// dials brings. What the latest connection of the key has shown takes precedence over Expect. An Unpooled want
	// always dials for itself.
	Expect int

	// Missed is the Miss of the Lease that a failed TryAcquire returned for the same request, if the Acquire follows
	// one. If the Acquire finds no idle connection either, it reports and counts one of the two values: the one that
	// comes first in the order stale, expired, busy, cold. MissFresh and MissUnpooled take precedence over these. If
	// Missed is empty, or a Miss other than these four, it has no effect.
	Missed Miss
}

// anyTerms set no limit.
var anyTerms Terms

// ownDial reports whether only a newly dialed connection will do.
func (t *Terms) ownDial() bool { return t.Fresh || t.Unpooled }

// maxUses returns MaxReuse as a number of leases.
func (t *Terms) maxUses() uint64 {
	if t.MaxReuse <= 0 {
		return math.MaxUint64
	}
	return uint64(t.MaxReuse) + 1
}

func (t *Terms) maxConns() int {
	if t.MaxConns <= 0 {
		return math.MaxInt
	}
	return t.MaxConns
}
