package peerpool

import (
	"slices"

	"github.com/peerpool/peerpool/internal/exchange"
	"github.com/peerpool/peerpool/internal/http2"
	"github.com/peerpool/peerpool/pool"
)

// MissReason says why a request did not find an idle connection. The value "" means that it found one. [MissReasons]
// lists the others.
type MissReason = pool.Miss

// MissReasons returns every [MissReason] that a Transport gives. The caller owns the slice.
func MissReasons() []MissReason { return slices.Clone(missReasons) }

var missReasons = []MissReason{
	pool.MissCold, pool.MissBusy, pool.MissExpired, pool.MissStale, pool.MissFresh, pool.MissUnpooled,
}

// CloseReason says why a connection was closed. There are few values, so a metric can use them as labels.
// [CloseReasons] lists them.
type CloseReason = pool.Reason

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

// RequestOutcome says how a request ended. There are few values, so a metric can use them as labels.
// [RequestOutcomes] lists them.
type RequestOutcome string

// These are the outcomes of requests.
const (
	OutcomeResponse  RequestOutcome = "response"  // there is a response, and its body was read to its end or closed by the caller
	OutcomeTruncated RequestOutcome = "truncated" // there is a response, but its body ended early, was malformed, or timed out
	OutcomeCanceled  RequestOutcome = "canceled"  // the caller canceled the request, before there was a response or while its body was read
	OutcomeError     RequestOutcome = "error"     // RoundTrip returned an error, which ErrorType classifies
)

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

// RetryReason says why a request was sent again. There are few values, so a metric can use them as labels.
// [RetryReasons] lists them, and [Stats] counts retries by RetryReason.
type RetryReason string

// RetryReasons returns every [RetryReason] that a Transport gives. The caller owns the slice.
func RetryReasons() []RetryReason { return slices.Clone(retryReasons) }

var retryReasons = []RetryReason{
	RetryReason(retryStale), RetryReason(retryUnsent), RetryReason(retryMisdirected), RetryReason(retryRefused),
	RetryReason(retryLost), RetryReason(retryHTTP1), RetryReason(retryAddress),
}

// TimeLimit names a time limit that has ended a request. There are few values, so a metric can use them as labels.
// [TimeLimits] lists them. A limit has the same name whether the Transport or the peer has set it.
type TimeLimit string

// These are the time limits of requests.
const (
	TimeLimitRequest        TimeLimit = "request"         // the deadline of the request's context, which http.Client's Timeout sets too
	TimeLimitDial           TimeLimit = "dial"            // DialTimeout
	TimeLimitConnect        TimeLimit = "connect"         // ConnectTimeout, the Dialer's Timeout, or that of the operating system
	TimeLimitTLSHandshake   TimeLimit = "tls_handshake"   // TLSHandshakeTimeout
	TimeLimitResponseHeader TimeLimit = "response_header" // ResponseHeaderTimeout
	TimeLimitBodyRead       TimeLimit = "body_read"       // BodyReadTimeout
	TimeLimitBodyWrite      TimeLimit = "body_write"      // BodyWriteTimeout
)

var allTimeLimits = [...]TimeLimit{
	TimeLimitRequest, TimeLimitDial, TimeLimitConnect, TimeLimitTLSHandshake, TimeLimitResponseHeader, TimeLimitBodyRead,
	TimeLimitBodyWrite,
}

// TimeLimits returns every [TimeLimit] that ends requests. The caller owns the slice.
func TimeLimits() []TimeLimit { return slices.Clone(allTimeLimits[:]) }

// AddressState says how the Transport uses an address of a host: see [Outliers].
type AddressState string

// These are the states of addresses.
const (
	AddressListed  AddressState = "listed"  // it gets requests
	AddressAvoided AddressState = "avoided" // connects to it fail: it is dialed last, and its open connections serve
	AddressEjected AddressState = "ejected" // its requests fail: it gets no new request
	AddressTrial   AddressState = "trial"   // it was left out, and one dial or one request tries it now
	AddressLeaving AddressState = "leaving" // the resolver no longer lists it: it gets no new request
)

// AddressStates returns every [AddressState]. The caller owns the slice.
func AddressStates() []AddressState {
	return []AddressState{AddressListed, AddressAvoided, AddressEjected, AddressTrial, AddressLeaving}
}

// EjectReason says why an address of a host is left out. There are few values, so a metric can use them as labels.
type EjectReason string

// These are the reasons to leave an address out.
const (
	EjectConnect EjectReason = "connect" // connects, or TLS handshakes, have failed
	EjectSilent  EjectReason = "silent"  // a connect got no answer before a connect to a later address succeeded
	EjectRequest EjectReason = "request" // requests got no response, or one that was cut short
	EjectTimeout EjectReason = "timeout" // requests got no response in time
	EjectStatus  EjectReason = "status"  // responses had a status from 500 to 599
)

// EjectReasons returns every [EjectReason]. The caller owns the slice.
func EjectReasons() []EjectReason {
	return []EjectReason{EjectConnect, EjectSilent, EjectRequest, EjectTimeout, EjectStatus}
}
