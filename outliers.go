package peerpool

import (
	"cmp"
	"math"
	"math/rand/v2"
	"time"
)

// Outliers says when the Transport leaves out an address of a host that has several addresses. The zero value has all the
// defaults. It has no effect on a host with one address, or if a dial function or a proxy resolves the host.
//
// An address is avoided if connects to it fail: the Transport dials it after all others, and its open connections still
// serve. An address is ejected if its requests fail: it gets no new request, on a new connection or on an idle one. Either
// state lasts for EjectionTime. Then one dial, or one request, tries the address. For an avoided address, a request on one of
// its open connections will do. If that succeeds, or if its response
// goes on for longer than the address was left out, the address is used as before. Otherwise it is left out for twice as long.
// The Transport never leaves out more than half of a host's addresses.
//
// A request fails if its connection ends or breaks the protocol before the response is complete, or if the time limit of the
// request or of the Transport passes before the response begins. These do not count as failures: a connection that has served
// a request turns out to be closed, the caller cancels the request, the server refuses it unprocessed, or the time limit passes
// before a body without GetBody, which may be slow, has been read to its end.
type Outliers struct {
	// Failures is how many connects, or requests, of an address must fail in a row. Zero means 3. If it is negative, no
	// address is left out. A connect that gets no answer before a connect to a later address succeeds is enough by itself.
	Failures int

	// ServerErrors is how many responses of an address in a row must have a status from 500 to 599. Zero means that
	// the Transport does not look at the status.
	ServerErrors int

	// EjectionTime is how long an address is left out the first time. It is varied by up to 25 % in either direction.
	// It doubles each time the address fails again, up to MaxEjectionTime. Zero means 2 seconds, or 2 minutes for
	// MaxEjectionTime.
	EjectionTime, MaxEjectionTime time.Duration
}

const (
	defaultFailures        = 3
	defaultEjectionTime    = 2 * time.Second
	defaultMaxEjectionTime = 2 * time.Minute
)

// enough reports whether that many failures in a row, for this reason, leave an address out.
func (o *Outliers) enough(reason EjectReason, failures int) bool {
	limit := cmp.Or(o.Failures, defaultFailures)
	switch reason {
	case EjectSilent:
		limit = 1
	case EjectStatus:
		limit = o.ServerErrors
	}
	return failures >= limit
}

// span returns how long to leave out an address that has been left out before times in a row already.
func (o *Outliers) span(before int) time.Duration {
	first, longest := o.EjectionTime, o.MaxEjectionTime
	if first <= 0 {
		first = defaultEjectionTime
	}
	if longest <= 0 {
		longest = max(first, defaultMaxEjectionTime)
	}
	long := longest
	if before < 32 && first <= longest>>before {
		long = first << before
	}
	long = min(long, math.MaxInt64/2) // over a century; the sum below cannot overflow then
	return long - long/4 + rand.N(max(1, long/2))
}
