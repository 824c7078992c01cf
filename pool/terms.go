package pool

import (
	"math"
	"time"
)

// ExpectUnknown is the Terms.Expect of a key whose connections may be shared or not.
const ExpectUnknown = -1

// unknownDials bounds the dials that wants of an unknown key begin for themselves. One would do if none ever failed
// or was slow; what turns out to be one too many is closed, or idles if it is exclusive, until it is needed.
const unknownDials = 3

// forever is the deadline of what has none.
const forever time.Duration = math.MaxInt64

// Terms are what one Acquire asks for. The lease keeps them, and so does a connection dialed for it. Zero and
// negative numbers set no limit.
//
// Callers that share a key usually agree on their Terms. Where they do not, the strictest word counts: a
// connection is bound by the lowest MaxReuse and MaxLifetime of all that it was dialed for or leased under, and
// one that is beyond what the next caller allows is closed rather than leased to it.
type Terms struct {
	// IdleTimeout is the longest time that the connection may stay idle after this lease.
	IdleTimeout time.Duration

	// Unpooled opts out of pooling: the lease neither takes an idle connection nor leaves one. Its connection
	// is closed when the lease ends (ReasonUnpooled) and is not in the pool even for a moment.
	Unpooled bool

	// Fresh accepts only a connection that is dialed after this call and was never leased before: what a retry
	// asks for after a stale connection. Of shared connections it accepts those whose dial ends after this call.
	Fresh bool

	// MaxReuse is how many times a connection may be reused: it carries at most MaxReuse+1 leases.
	MaxReuse int

	// MaxLifetime is the age after which a connection takes no new lease; one in use is never cut for it. So
	// that connections dialed together do not end together, the pool draws a factor between 0.9 and 1.1 for
	// each of them, once, at its dial.
	MaxLifetime time.Duration

	// MaxConns bounds the connections of the key: those being dialed, in use and idle together. An Acquire
	// that finds no room waits for it; it looks at its own MaxConns only.
	MaxConns int

	// Expect is how many leases at once a new connection is expected to serve, see Sharer. Zero or one: a single
	// one, so that every want dials for itself. Above one, a dial is begun for so many wants. ExpectUnknown: a few
	// dials are begun, and the other wants wait for what the first of them brings. What the latest connection of
	// the key has shown goes before it. An Unpooled want dials for itself in any case.
	Expect int

	// Missed is for an Acquire that follows a failed TryAcquire for the same request: the Miss of the Lease that
	// this one returned. Where the Acquire finds no idle connection either, it reports and counts the more
	// telling of the two: stale, then expired, then busy, then cold. Fresh and Unpooled come before them. Empty,
	// and any Miss that is none of these four: nothing is known.
	Missed Miss
}

// anyTerms set no limit.
var anyTerms Terms

// ownDial says that only a newly dialed connection will do.
func (t *Terms) ownDial() bool { return t.Fresh || t.Unpooled }

// maxUses is MaxReuse as a number of leases.
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

// shorter is the lower of two limits, of which those of zero and less set none.
func shorter(a, b time.Duration) time.Duration {
	if a <= 0 || b > 0 && b < a {
		return b
	}
	return a
}

// deadline is the moment d after start: never, where d sets no limit or lies beyond what a Duration holds.
func deadline(start, d time.Duration) time.Duration {
	if d <= 0 || d > forever-start {
		return forever
	}
	return start + d
}
