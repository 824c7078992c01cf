package peerpool

import (
	"context"
	"errors"

	"github.com/peerpool/peerpool/internal/http2"
	"github.com/peerpool/peerpool/internal/inflight"
	"github.com/peerpool/peerpool/internal/resolve"
	"github.com/peerpool/peerpool/pool"
)

// ErrClosed is returned by RoundTrip after [Transport.Shutdown] has been called.
var ErrClosed = errors.New("peerpool: transport is shut down")

var (
	errCanceled     = inflight.ErrCanceled
	errWaitCanceled = errors.New("net/http: request canceled while waiting for connection")
)

// The hops of a dial, as DialDone.Hop names them.
const (
	opResolve = "resolve"
	opConnect = "connect"
	opProxy   = "proxy"
	opTLS     = "tls"
	opHTTP2   = "http2" // the client's preface (RFC 9113 section 3.4)
)

// dialError is the error of a failed dial, with what is known about the dial. It travels from the dial through the pool to
// the attempt, and does not leave the package. RoundTrip returns the cause, and the Observer and [Report] show the rest.
type dialError struct {
	identity Identity // of the wanted connection; the zero Identity if it could not be determined
	hop      string   // hop that failed: one of the above
	err      error    // what RoundTrip returns
	told     error    // what observers are told: err, or the errors of all addresses if there were several
}

// newDialError returns the error of a hop that has failed. If several addresses were tried, RoundTrip returns the error of
// the first of them, as a [net.Dialer] does. If the connection has ended before its use, RoundTrip returns the error that a
// use would have had.
func newDialError(id Identity, hop string, err error) *dialError {
	cause := err
	switch err := err.(type) {
	case *resolve.RaceError:
		cause = err.Errs[0]
	case *pool.RetiredError:
		switch {
		case err.Err != nil:
			cause = err.Err
		case err.Reason == pool.ReasonNoCapacity:
			cause = http2.ErrNoStreams
		}
	}
	return &dialError{identity: id, hop: hop, err: cause, told: err}
}

// Error returns the text of the cause.
func (e *dialError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *dialError) Unwrap() error { return e.err }

// causeOf returns what RoundTrip returns for an error of the walk.
func causeOf(err error) error {
	if dial, ok := err.(*dialError); ok {
		return dial.err
	}
	return err
}

// toldOf returns what observers are told about an error of the walk.
func toldOf(err error) error {
	if dial, ok := err.(*dialError); ok {
		return dial.told
	}
	return err
}

// hopOf returns the hop of a dial that failed, or "".
func hopOf(err error) string {
	if dial, ok := err.(*dialError); ok {
		return dial.hop
	}
	return ""
}

// acquireError turns what the pool returned into an error of the walk.
func acquireError(ctx context.Context, id Identity, err error) error {
	_, dialed := err.(*dialError)
	switch {
	case errors.Is(err, pool.ErrClosed):
		return ErrClosed
	case err == errCanceled:
		return errWaitCanceled
	case ctx.Err() != nil || dialed:
		return err
	}
	return newDialError(id, opConnect, err)
}

// DialError was the error that RoundTrip returned if it could not open a connection.
//
// Deprecated: RoundTrip returns the cause itself, as net/http's Transport does. No function returns a DialError any
// more. A [Report] shows the hop and the identity.
type DialError struct {
	Identity Identity
	Op       string
	Err      error
}

func (e *DialError) Error() string { return e.Err.Error() }
func (e *DialError) Unwrap() error { return e.Err }

// ExchangeError was the error that RoundTrip returned if it had a connection but got no response.
//
// Deprecated: RoundTrip returns the cause itself, as net/http's Transport does. No function returns an ExchangeError
// any more. A [Report] shows how far the exchange got.
type ExchangeError struct {
	Identity Identity
	Reused   bool
	Wrote    bool
	Started  bool
	Err      error
}

func (e *ExchangeError) Error() string { return e.Err.Error() }
func (e *ExchangeError) Unwrap() error { return e.Err }
