package peerpool

import (
	"context"
	"time"

	"github.com/peerpool/peerpool/pool"
)

// Observer watches what a Transport does. Any of its functions may be nil, which costs nothing. They are
// called on the goroutine that does the thing, with no lock held, and must not block; they must be safe
// for concurrent use. ctx is that of the request, or carries the values of the one that asked for a dial.
type Observer struct {
	// Acquired is called for each attempt of a request that has got a connection, or has not.
	Acquired func(ctx context.Context, a Acquired)

	// Dialed is called when a dial has ended, in success or not.
	Dialed func(ctx context.Context, d Dialed)

	// Retried is called when a request is about to be sent again.
	Retried func(ctx context.Context, r Retried)

	// Done is called when an attempt has ended: its response has been read or given up, or there is none.
	Done func(ctx context.Context, d Done)

	// Closed is called when the pool has closed a connection.
	Closed func(c Closed)
}

// MissReason says why a request did not find an idle connection; "" is a hit.
type MissReason = pool.Miss

// CloseReason says why a connection was closed. Its values are few and fit for a metric's label.
type CloseReason = pool.Reason

// Acquired describes how an attempt came to its connection.
type Acquired struct {
	Identity Identity      // as far as it was known
	Attempt  int           // 1 for the first
	Miss     MissReason    // "" for a hit
	Reused   bool          // the connection has served before
	Uses     int           // how often
	Idle     time.Duration // how long it has idled since
	Age      time.Duration // since it was dialed
	Waited   time.Duration // how long the request waited for it
	Err      error         // no connection
}

// Dialed describes a dial. Durations of hops that there were none of are zero.
type Dialed struct {
	Identity Identity
	Start    time.Time
	Connect  time.Duration // TCP or Unix socket; about zero where settling on an address has connected already
	Proxy    time.Duration // CONNECT or SOCKS, TLS to the proxy included
	TLS      time.Duration
	Total    time.Duration
	Resumed  bool  // the TLS session was resumed
	Err      error // a *DialError
}

// Retried describes a request that is sent once more.
type Retried struct {
	Identity Identity
	Attempt  int    // the one that failed
	Reason   string // see Stats.Retries
	Err      error  // what the attempt failed with; nil for a status
}

// Done describes the end of an attempt.
type Done struct {
	Identity Identity
	Status   int         // 0: there was no response
	Close    CloseReason // "": the connection went back to the pool, or to the next request
	Duration time.Duration
}

// Closed describes the end of a connection.
type Closed struct {
	Identity Identity
	Reason   CloseReason
}
