package peerpool

import (
	"context"
	"net/netip"
	"time"

	"github.com/peerpool/peerpool/internal/exchange"
	"github.com/peerpool/peerpool/internal/http2"
	"github.com/peerpool/peerpool/pool"
)

// Observer watches what a Transport does. Its hooks stand in the order of the walk of a request:
//
//	Started                   RoundTrip begins with a request
//	  Resolved                a host was looked up, if no answer was known
//	  Dialed                  a connection was opened, or not
//	  Acquired                an attempt has a connection, or none
//	  Done                    the attempt is over: its response has been read or given up
//	  Retried                 the request is sent again: back to Acquired
//	Ended                     the request is over
//	Closed                    the pool has closed a connection
//	Quarantined               connections of a peer serve one request each, or no longer
//
// Started, Acquired, Retried and Ended come one after the other for one request, and Done before Ended. Dialed
// comes before the first Acquired and before the Closed of its connection. Nothing else is ordered: a dial goes on
// without the request that asked for it, and the Closed of a connection that an attempt has spoiled comes before
// that attempt's Done.
//
// Any hook may be nil, which costs nothing, and a nil Observer costs nothing at all. A hook is called on the
// goroutine that does the thing, which waits for it: it must not block, and it must be safe for concurrent use. It
// is called without a lock and may use the Transport, but must neither wait for one of its requests nor call
// Shutdown. It must not panic.
//
// ctx is that of the request. In Resolved and Dialed it carries only the values of the one that asked first, and
// none in the Resolved of an answer that is refreshed. A hook may add to what it finds there, as to a span, but
// must not keep it beyond the call.
//
// The events are values and may be kept. They show no secret: an [Identity] hides its own, and a Host comes
// without user and password; the errors are those that RoundTrip returns.
//
// [Observers] makes one Observer of several. The same Observer may serve several Transports.
type Observer struct {
	// Started is called for each request that RoundTrip takes on. Requests that are refused before, for being
	// malformed, are not heard of; for all others Ended follows.
	Started func(ctx context.Context, s Started)

	// Resolved is called when a resolver has answered: not for answers that were still known. Only the names
	// that the Transport resolves itself are reported, not those left to a proxy or a dial function.
	Resolved func(ctx context.Context, r Resolved)

	// Dialed is called when a dial has ended, in success or not, or could not begin for want of an address.
	Dialed func(ctx context.Context, d Dialed)

	// Acquired is called for each attempt of a request that has got a connection, or has not; also for each
	// address that is given up for the next.
	Acquired func(ctx context.Context, a Acquired)

	// Done is called when an attempt that had a connection has ended: its response has been read or given up,
	// or there is none.
	Done func(ctx context.Context, d Done)

	// Retried is called when a request is about to be sent again.
	Retried func(ctx context.Context, r Retried)

	// Ended is called when a request has ended: it has failed, or its response's body has been read or closed.
	Ended func(ctx context.Context, e Ended)

	// Closed is called when the pool has closed a connection. One that an upgrade has taken over is not the
	// pool's to close: a Done with Close "upgrade" is the last that is heard of it.
	Closed func(c Closed)

	// Quarantined is called when a peer is put into quarantine, and when it is let out of it.
	Quarantined func(q Quarantined)
}

// MissReason says why a request did not find an idle connection; "" is a hit. [MissReasons] lists them.
type MissReason = pool.Miss

// CloseReason says why a connection was closed. Its values are few and fit for a metric's label: [CloseReasons]
// lists them.
type CloseReason = pool.Reason

// Started describes a request.
type Started struct {
	Host   string // of its URL, with the port that stands there
	Scheme string // "http" or "https"
	Method string // never ""
}

// Resolved describes a look-up.
type Resolved struct {
	Host     string // in ASCII, without a port
	Start    time.Time
	Duration time.Duration
	Addrs    []netip.Addr // of every family, as the resolver gave them; must not be changed
	Err      error
}

// Dialed describes a dial. Its hops follow one another in the order of the fields; those that there were none of
// take no time.
type Dialed struct {
	Identity Identity // as far as it was known
	Host     string   // see Started: of the request that asked for the dial
	Conn     uint64   // the connection's number, unique in the process; 0: none, it failed
	Protocol string   // "HTTP/1.1", "HTTP/2", or what TLSNextProto has a function for; "" if it failed
	Start    time.Time
	Resolve  time.Duration // the look-up that the request has waited for
	Connect  time.Duration // TCP or Unix socket, to the proxy if there is one; a race of addresses included
	Proxy    time.Duration // CONNECT or SOCKS, TLS to the proxy included
	TLS      time.Duration
	Total    time.Duration
	Version  uint16 // of TLS, see [crypto/tls.VersionName]; 0 without
	Resumed  bool   // the TLS session was resumed
	Hop      string // that failed: "resolve", "connect", "proxy", "tls" or "http2"; "" if none did
	Err      error  // nil, or why the dial failed; if several addresses were tried, what each of them said

	// ErrorType names the failure in the words of OpenTelemetry's error.type: "name_resolution_error",
	// "connection_error", "proxy_tunnel_error" or "secure_connection_error", by the hop; "timeout" for any of them;
	// "_OTHER"; or "" for a dial that did not fail.
	ErrorType string
}

// Acquired describes how an attempt came to its connection.
type Acquired struct {
	Identity Identity // as far as it was known
	Host     string   // see Started
	Attempt  int      // 1 for the first
	Conn     uint64   // the connection's number, see Dialed; 0: none
	ConnHost string   // the Host of its Dialed: mostly this one's
	Protocol string   // see Dialed
	Requests int      // on the connection now, this one included; more than 1 with HTTP/2 alone
	Miss     MissReason
	Reused   bool          // the connection has served a request before, or was idle in the pool
	Uses     int           // how many requests it has served before
	Idle     time.Duration // how long it has idled since; 0 for a miss
	Age      time.Duration // since it was dialed
	Waited   time.Duration // how long the request waited: look-up, dial, or for another's connection; 0 for a hit
	Hop      string        // see Dialed: of the dial that failed
	Err      error         // why there is no connection

	// ErrorType is as in Dialed. It is "" too for a request that its caller has canceled.
	ErrorType string
}

// Done describes the end of an attempt.
type Done struct {
	Identity Identity
	Host     string      // see Started
	Attempt  int         // see Acquired
	Conn     uint64      // see Dialed
	ConnHost string      // see Acquired
	Protocol string      // see Dialed
	Requests int         // that are left on the connection
	Reused   bool        // see Acquired
	Wrote    bool        // a byte of the request was written, or may have been
	Started  bool        // a byte of the response arrived
	Status   int         // 0: there was no response
	Close    CloseReason // "": the connection went back to the pool, or to the next request
	Duration time.Duration
}

// Retried describes a request that is sent once more.
type Retried struct {
	Identity Identity
	Host     string // see Started
	Conn     uint64 // of the attempt that failed
	Attempt  int    // the one that failed
	Reused   bool   // see Acquired
	Wrote    bool   // see Done
	Reason   string // one of RetryReasons; see also Stats.Retries
	Err      error  // what the attempt failed with; nil for a status

	ErrorType string // see Ended
}

// Ended describes the end of a request.
type Ended struct {
	Host     string // these three as in Started
	Scheme   string
	Method   string
	Attempts int
	Status   int    // 0: there was no response
	Hop      string // see Dialed: of the dial that failed, and so the request
	Err      error  // what RoundTrip returned; nil if it returned a response, whatever became of its body
	Duration time.Duration
	Head     time.Duration // until RoundTrip returned a response; 0: it did not
	Close    CloseReason   // of the last connection, see Done; it says what became of the body

	// ErrorType names Err in the words of OpenTelemetry's error.type: those of Dialed; "timeout"; "invalid_response" for a
	// malformed one; "response_ended" if the server ended the connection; "connection_error"; "_OTHER". It is "" for no
	// error, and for a request that its caller has canceled.
	ErrorType string
}

// RequestOutcome says in a word how a request ended. Its values are few and fit for a metric's label: [RequestOutcomes] lists
// them.
type RequestOutcome string

// The outcomes of requests.
const (
	OutcomeResponse  RequestOutcome = "response"  // there is one, and its body was read to its end or closed by the caller
	OutcomeTruncated RequestOutcome = "truncated" // there is one, and its body ended early or was malformed, or time ran out
	OutcomeCanceled  RequestOutcome = "canceled"  // by the caller, before there was a response or under way
	OutcomeError     RequestOutcome = "error"     // RoundTrip returned one, which ErrorType names
)

// Outcome says how the request ended.
func (e Ended) Outcome() RequestOutcome {
	switch {
	case e.Err != nil && e.ErrorType == "":
		return OutcomeCanceled
	case e.Err != nil:
		return OutcomeError
	}
	switch e.Close {
	case CloseReason(exchange.EndError), CloseReason(exchange.EndTimeout),
		CloseReason(http2.ReasonPingTimeout), CloseReason(http2.ReasonProtocol):
		return OutcomeTruncated
	case CloseReason(exchange.EndCanceled):
		return OutcomeCanceled
	}
	return OutcomeResponse
}

// Closed describes the end of a connection.
type Closed struct {
	Identity Identity
	Host     string // see Dialed
	Conn     uint64 // see Dialed
	Protocol string // see Dialed
	Reason   CloseReason
	Age      time.Duration // since it was dialed
	Uses     int           // requests that it was given
	InUse    bool          // a request was on it
}

// Quarantined describes the begin or the end of a quarantine.
type Quarantined struct {
	Identity Identity
	Quarantine
	Ended bool // else it begins
}
