package peerpool

import (
	"slices"

	"github.com/peerpool/peerpool/internal/exchange"
	"github.com/peerpool/peerpool/internal/http2"
	"github.com/peerpool/peerpool/pool"
)

// MissReasons returns every [MissReason] that a Transport gives. The caller owns the slice.
func MissReasons() []MissReason { return slices.Clone(missReasons) }

var missReasons = []MissReason{
	pool.MissCold, pool.MissBusy, pool.MissExpired, pool.MissStale, pool.MissFresh, pool.MissUnpooled,
}

// CloseReasons returns every [CloseReason] that a Transport gives. The caller owns the slice. The Close of an [AttemptDone]
// can also be "hijacked", in which case no connection was closed.
func CloseReasons() []CloseReason { return slices.Clone(closeReasons) }

// reasonDrain is the [CloseReason] of connections that [Transport.Drain] has closed.
const reasonDrain CloseReason = "drain"

// reasonQuarantine is the [CloseReason] of connections to a peer in quarantine that have served their request.
const reasonQuarantine CloseReason = "quarantine"

// reasonUnlisted is the [CloseReason] of connections to an address that the resolver no longer lists.
const reasonUnlisted CloseReason = "unlisted"

// reasonEjected is the [CloseReason] of connections to an address that is left out because its requests fail.
const reasonEjected CloseReason = "ejected"

// closeReasons lists all close reasons. A package that has constants for its own reasons lists them here. Two tests look for
// missing ones: among these constants, and among the reasons that all tests have seen.
var closeReasons = []CloseReason{
	reasonDrain, reasonUnlisted, reasonEjected, reasonQuarantine,
	// the pool
	pool.ReasonIdleTimeout, pool.ReasonUnused, pool.ReasonIdleLimit, pool.ReasonKeyIdleLimit, pool.ReasonMaxReuse, pool.ReasonMaxLifetime,
	pool.ReasonUnpooled, pool.ReasonPeerClosed, pool.ReasonUnexpectedData, pool.ReasonMakeRoom, pool.ReasonCloseIdle,
	pool.ReasonShutdown, pool.ReasonLimitLowered, pool.ReasonNoCapacity, pool.ReasonSurplus,
	pool.ReasonUnspecified,
	// the exchange
	CloseReason(exchange.EndError), CloseReason(exchange.EndCanceled), CloseReason(exchange.EndTimeout),
	CloseReason(exchange.EndClose), CloseReason(exchange.EndUnread), CloseReason(exchange.EndUnsent),
	CloseReason(exchange.EndAmbiguous), CloseReason(exchange.EndAuth), CloseReason(exchange.EndDiscarded),
	CloseReason(exchange.EndTunnel),
	// HTTP/2
	CloseReason(http2.ReasonGoAway), CloseReason(http2.ReasonPingTimeout), CloseReason(http2.ReasonProtocol),
	CloseReason(http2.ReasonStreamIDs),
}

// RequestOutcomes returns every [RequestOutcome]. The caller owns the slice.
func RequestOutcomes() []RequestOutcome {
	return []RequestOutcome{OutcomeResponse, OutcomeTruncated, OutcomeCanceled, OutcomeError}
}

// ErrorTypes returns every [ErrorType] that dials, attempts and requests have, except "". The caller owns the slice.
func ErrorTypes() []ErrorType {
	return []ErrorType{
		errorTimeout, errorResolve, errorConnection, errorProxy, errorTLS, errorResponse, errorEnded, errorOther,
	}
}

// ResolveErrorTypes returns every [ErrorType] that a [ResolveDone] has, except "". The caller owns the slice.
func ResolveErrorTypes() []ErrorType {
	return []ErrorType{errorNotFound, errorTryAgain, errorNoRecover, errorTimeout, errorOther}
}

// ConnectErrorTypes returns every [ErrorType] of sockets that could not be connected: see [DialDone]. The caller owns the
// slice.
func ConnectErrorTypes() []ErrorType {
	types := []ErrorType{errorTimeout, errorConnection}
	for _, known := range connectErrors {
		types = append(types, known.name)
	}
	return types
}

// RetryReasons returns every [RetryReason] that a Transport gives. The caller owns the slice.
func RetryReasons() []RetryReason { return slices.Clone(retryReasons) }

var retryReasons = []RetryReason{
	RetryReason(retryStale), RetryReason(retryUnsent), RetryReason(retryMisdirected), RetryReason(retryRefused),
	RetryReason(retryLost), RetryReason(retryHTTP1), RetryReason(retryAddress),
}
