package peerpool

import (
	"context"
	"net/netip"
	"time"

	"github.com/peerpool/peerpool/internal/exchange"
	"github.com/peerpool/peerpool/internal/http2"
)

// Observer holds functions, called hooks, that a Transport calls to report what it does. The hooks are listed in the
// order in which a request meets them:
//
//	RequestStart        RoundTrip begins with a request
//	  ResolveDone       a host was looked up, because no answer was known
//	  ConnectFailed     a connect to one of several addresses has failed
//	  DialDone          a dial has ended, in success or failure
//	  AcquireWait       an attempt has to wait, because MaxConnsPerHost allows no further connection
//	  AcquireDone       an attempt has got a connection, or has failed to get one
//	  AttemptDone       the attempt is over: its response has been read or given up
//	  RequestRetry      the request is sent again: back to AcquireDone
//	RequestDone         the request is over
//	ConnClosed          the pool has closed a connection
//	QuarantineChange    a peer's connections now serve one request each, or no longer do
//	AddressChange       an address of a host is left out because it fails, or is used again
//	LimitsChange        the Transport has learned a limit of a peer
//
// A hook has the name of the event that it receives.
//
// For one request, RequestStart, AcquireDone, RequestRetry and RequestDone are called one after the other, and
// AttemptDone is called before RequestDone. For one connection, DialDone is called before the first AcquireDone and
// before ConnClosed. No other order is guaranteed: a dial goes on without the request that asked for it. If an attempt
// has made its connection unusable, the connection's ConnClosed is called before the attempt's AttemptDone.
//
// Any hook may be nil, and a nil hook costs nothing. A nil Observer costs nothing at all. The Transport calls a hook on
// the goroutine that does the work, and that goroutine waits for the hook. A hook must therefore not block, and it must
// be safe for concurrent use. The Transport holds no lock during the call. A hook may use the Transport, but it must not
// wait for one of the Transport's requests and must not call Shutdown. A hook must not panic.
//
// The argument ctx is the context of the request. In ResolveDone and DialDone, ctx carries only the values of the
// request that asked first. When an answer is refreshed, ctx in ResolveDone carries no values. A hook may use the values
// in ctx, for example to add to a span, but must not keep them after it returns.
//
// Events are values, and a hook may keep them. They show no secret: an [Identity] hides its secrets, and a Host holds no
// user name and no password. The errors are those that RoundTrip returns.
//
// [MultiObserver] combines several Observers into one. Several Transports may use the same Observer.
type Observer struct {
	// RequestStart is called for each request that RoundTrip accepts. RoundTrip refuses a request that is malformed, whose
	// context is done already, or for which PeerFor returns an error. RequestDone is called later for each request for
	// which RequestStart was called.
	RequestStart func(ctx context.Context, s RequestStart)

	// ResolveDone is called when a look-up has ended, in success or failure. It is not called when the Transport uses
	// an answer that it still knows. ResolveDone reports only names that the Transport resolves itself. It does not
	// report names that a proxy or a dial function resolves.
	ResolveDone func(ctx context.Context, r ResolveDone)

	// ConnectFailed is called when a connect to one of several addresses of a host has failed. The dial goes on to the
	// next address: DialDone is called when it has ended.
	ConnectFailed func(ctx context.Context, c ConnectFailed)

	// DialDone is called when a dial has ended, in success or failure. It is also called when a dial could not begin
	// because there was no address.
	DialDone func(ctx context.Context, d DialDone)

	// AcquireWait is called when an attempt has found no idle connection and cannot dial, because there are as many
	// connections and dials as MaxConnsPerHost allows. The attempt waits until another request is done with a connection.
	// AcquireDone is called for the same attempt later, with HeldBack set.
	AcquireWait func(ctx context.Context, w AcquireWait)

	// AcquireDone is called for each attempt of a request, when the attempt has got a connection or has failed to get
	// one. It is also called for each address that the Transport gives up to try the next one.
	AcquireDone func(ctx context.Context, a AcquireDone)

	// AttemptDone is called when an attempt that had a connection has ended: its response has been read or given up, or
	// there is no response.
	AttemptDone func(ctx context.Context, d AttemptDone)

	// RequestRetry is called when a request is about to be sent again.
	RequestRetry func(ctx context.Context, r RequestRetry)

	// RequestDone is called when a request has ended: the request has failed, or the body of its response has been read or
	// closed.
	RequestDone func(ctx context.Context, e RequestDone)

	// ConnClosed is called when the pool has closed a connection. The pool does not close a connection that an upgrade
	// has taken over. For such a connection, the last call is AttemptDone with the Close "hijacked".
	ConnClosed func(c ConnClosed)

	// QuarantineChange is called when a peer is put into quarantine, and when its quarantine ends.
	QuarantineChange func(q QuarantineChange)

	// AddressChange is called when an address of a host is left out because it fails, when it is left out for longer, and
	// when it is used again.
	AddressChange func(a AddressChange)

	// LimitsChange is called when the Transport has learned a limit of a peer, when a learned limit has changed by more
	// than a tenth, and when it is forgotten.
	LimitsChange func(l LimitsChange)
}

// ConnID is the number of a connection. Each connection of the process has a number of its own, so events of several
// Transports can be told apart. The value 0 means that there is no connection, or that it was dialed when the Transport
// had no Observer.
type ConnID uint64

// RequestStart describes a request.
type RequestStart struct {
	Host   string // host of the URL, with the port if the URL has one
	Scheme string // "http" or "https"
	Method string // never ""
}

// ResolveDone describes a look-up of a host.
type ResolveDone struct {
	Host     string // in ASCII, without a port
	Start    time.Time
	Duration time.Duration
	Addrs    []netip.Addr // of all families, in the resolver's order; must not be changed
	Err      error

	// ErrorType classifies Err: "host_not_found", "try_again", "no_recovery", "timeout" or "_OTHER". If the look-up
	// succeeded, or was canceled, ErrorType is "".
	ErrorType ErrorType
}

// ConnectFailed describes a connect that failed, to one of several addresses of a host.
type ConnectFailed struct {
	Identity  Identity // of the address
	Host      string   // see DialDone
	Addr      netip.AddrPort
	Duration  time.Duration
	Silent    bool // the connect got no answer before a connect to a later address succeeded, and was given up
	Err       error
	ErrorType ErrorType // one of ConnectErrorTypes
}

// DialDone describes a dial. The steps of a dial are called hops. They take place in the order of the fields Resolve,
// Connect, Proxy and TLS. The duration of a hop that the dial did not need is zero.
type DialDone struct {
	Identity Identity // as far as it was known
	Host     string   // host of the request that asked for the dial: see RequestStart
	Conn     ConnID   // 0 if the dial failed
	Protocol string   // "HTTP/1.1", "HTTP/2", or a protocol in TLSNextProto; "" if the dial failed
	Start    time.Time
	Resolve  time.Duration // time that the request waited for the look-up
	Connect  time.Duration // time to connect the socket, to the proxy if there is one; includes the race of several addresses
	Proxy    time.Duration // time for CONNECT or SOCKS, including TLS to the proxy
	TLS      time.Duration
	Total    time.Duration
	Version  uint16 // TLS version, see [crypto/tls.VersionName]; 0 without TLS
	Resumed  bool   // the TLS session was resumed
	Replaces bool   // no request waits for the connection: it replaces one that nears a limit, see Stats.Replacements
	Hop      string // hop that failed: "resolve", "connect", "proxy", "tls" or "http2"; "" if none failed
	Err      error  // why the dial failed, with the error of each address if several were tried; nil if it succeeded

	// ErrorType classifies Err with the values of OpenTelemetry's error.type attribute. A failed hop gives
	// "name_resolution_error", "connection_error", "proxy_tunnel_error" or "secure_connection_error". A time-out in
	// any hop gives "timeout". Other errors give "_OTHER". If the dial did not fail, ErrorType is "".
	ErrorType ErrorType

	// HopErrorType says more if the hop "resolve" or "connect" failed: it then has one of
	// [ResolveErrorTypes] or of [ConnectErrorTypes]. Otherwise it is the same as ErrorType.
	HopErrorType ErrorType
}

// AcquireWait describes an attempt that has to wait for a connection, because there are as many connections and dials as
// MaxConnsPerHost allows.
type AcquireWait struct {
	Identity Identity
	Host     string        // see RequestStart
	Attempt  int           // see AcquireDone
	MaxConns int           // the limit: MaxConnsPerHost of the Transport or of the peer
	Dialing  int           // dials under way: some of the connections that MaxConns allows
	Waiting  int           // requests that wait for such a connection now, including this one
	Longest  time.Duration // how long the oldest of them has waited
}

// AcquireDone describes how an attempt got its connection, or why it failed to get one.
type AcquireDone struct {
	Identity Identity      // as far as it was known
	Host     string        // see RequestStart
	Attempt  int           // number of the attempt, from 1
	Conn     ConnID        // 0 if there is none
	ConnHost string        // Host in the DialDone of the connection: usually the same as Host
	Protocol string        // see DialDone
	Requests int           // requests on the connection now, including this one; more than 1 only with HTTP/2
	Miss     MissReason    // why there was no idle connection; "" for a hit
	Reused   bool          // the connection has served a request before, or was idle in the pool
	Uses     int           // number of requests that the connection served before
	Idle     time.Duration // how long the connection has been idle since then; 0 for a miss
	Age      time.Duration // time since the connection was dialed
	Waited   time.Duration // how long the request waited for a look-up, a dial, or another request's connection; 0 for a hit
	Resolve  time.Duration // the part of Waited that the request waited for a look-up; 0 if it did not
	HeldBack bool          // MaxConnsPerHost made the request wait: see AcquireWait
	Hop      string        // hop of the dial that failed: see DialDone
	Err      error         // why there is no connection; nil if there is one

	// UnexpectedData says that the attempt found an idle connection on which the server had sent bytes that answer no
	// request. The pool has closed that connection, and the attempt has not used it.
	UnexpectedData bool

	// ErrorType and HopErrorType classify Err as in DialDone. They are also "" if the caller canceled the request.
	ErrorType, HopErrorType ErrorType
}

// AttemptDone describes the end of an attempt.
type AttemptDone struct {
	Identity Identity
	Host     string // see RequestStart
	Attempt  int    // see AcquireDone
	Conn     ConnID
	ConnHost string      // see AcquireDone
	Protocol string      // see DialDone
	Requests int         // requests that are left on the connection
	Reused   bool        // see AcquireDone
	Wrote    bool        // a byte of the request was written, or may have been
	Started  bool        // a byte of the response arrived
	Status   int         // status code of the response; 0 if there was none
	Close    CloseReason // why the connection was closed; "" if it went back to the pool, or to the next request
	Duration time.Duration
}

// RequestRetry describes a request that is sent again.
type RequestRetry struct {
	Identity Identity
	Host     string // see RequestStart
	Conn     ConnID // connection of the attempt that failed
	Attempt  int    // number of the attempt that failed
	Reused   bool   // see AcquireDone
	Wrote    bool   // see AttemptDone
	Reason   RetryReason
	Err      error // error of the attempt; nil if a status is the reason

	ErrorType ErrorType // see RequestDone
}

// RequestDone describes the end of a request.
type RequestDone struct {
	Host     string // for Host, Scheme and Method see RequestStart
	Scheme   string
	Method   string
	Attempts int    // number of attempts
	Status   int    // status code of the response; 0 if there was none
	Hop      string // hop of the dial that failed and made the request fail: see DialDone
	Err      error  // error that RoundTrip returned; nil if it returned a response, even if reading the body failed later
	Duration time.Duration
	Head     time.Duration // time until RoundTrip returned a response; 0 if it returned none
	Close    CloseReason   // for the last connection: see AttemptDone; shows how the body ended
	Reused   bool          // for the last connection: see AcquireDone

	// TimeLimit is the time limit that has ended the request, before there was a response or while its body was read. It
	// is "" if no limit has.
	TimeLimit TimeLimit

	// OverBudget says that the request failed instead of being sent again, because of Transport.RetryBudget.
	OverBudget bool

	// ErrorType classifies Err with the values of OpenTelemetry's error.type attribute. An error of a dial has the
	// values that DialDone describes. "timeout" means a time-out, "invalid_response" a malformed response,
	// "response_ended" that the server ended the connection, "connection_error" another error of the connection, and
	// "_OTHER" any other error. If there was no error, or if the caller canceled the request, ErrorType is "".
	ErrorType ErrorType
}

// Outcome returns how the request ended.
func (e RequestDone) Outcome() RequestOutcome {
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

// ConnClosed describes a connection that the pool has closed.
type ConnClosed struct {
	Identity Identity
	Host     string // see DialDone
	Conn     ConnID
	Protocol string // see DialDone
	Reason   CloseReason
	Age      time.Duration // time since the connection was dialed
	Uses     int           // number of requests that the connection was given
	InUse    bool          // a request was on the connection
}

// Quarantine describes a peer whose HTTP/1.1 connections serve only one request each, because the peer has sent bytes
// that do not answer any request. The quarantine ends when the peer has sent no such bytes for 10 minutes and at
// least 10 of its connections in a row have been silent for one second after their response. It also ends 24 hours
// after the peer last sent such bytes, with or without requests.
type Quarantine struct {
	Since  time.Time // when the quarantine began
	Last   time.Time // when the peer last sent such bytes
	Why    string    // where the bytes were seen that time: "behind_response", "while_idle" or "before_request"
	Events uint64    // how many times the peer has sent such bytes
	Silent int       // connections that have been silent in a row since Last
}

// QuarantineChange describes the beginning or the end of a quarantine.
type QuarantineChange struct {
	Identity Identity
	Quarantine
	Ended bool // true if the quarantine ends, false if it begins
}

// AddressChange describes an address of a host that is left out, or is used again: see [Outliers].
type AddressChange struct {
	Host     Identity // of the host: its Address is the name of the host
	Identity Identity // of the address
	Addr     netip.AddrPort
	State    AddressState // AddressAvoided or AddressEjected; AddressListed if Ended
	Reason   EjectReason  // the latest failure
	Failures int          // failures of this kind in a row; 0 if Ended
	Err      error        // error of the latest failure; nil if a request failed
	Since    time.Time    // when the address was left out
	Until    time.Time    // when the address is tried again
	Ended    bool         // the address is used again
}

// LearnedLimits holds the limits of a peer that speaks HTTP/1.1, as the Transport has inferred them from the peer's
// closes. What a peer announces in a Keep-Alive header is not among them: it applies to the connection on which it was
// announced.
type LearnedLimits struct {
	// IdleClose is the idle time at which the peer closes connections. A request that the Transport could not send
	// again takes no connection that has been idle for longer than IdleTime, which is shorter than IdleClose by a
	// margin. Other requests may take such a connection, because they are sent again if it turns out to be closed.
	// IdleSince is when the Transport first learned that limit. All three are zero if it has learned none.
	IdleClose, IdleTime time.Duration
	IdleSince           time.Time

	// Requests is how many requests the peer serves on one connection, and RequestsSince is when the Transport learned
	// that limit. Both are zero if it has learned none.
	Requests      int
	RequestsSince time.Time
}

// LimitsChange describes what the Transport has learned about the limits of a peer. If a limit was forgotten, its fields
// are zero.
type LimitsChange struct {
	Identity Identity
	LearnedLimits
}
