package peerpool

import (
	"context"
	"errors"
	"io"
	"syscall"

	"github.com/peerpool/peerpool/internal/exchange"
	"github.com/peerpool/peerpool/internal/resolve"
	"github.com/peerpool/peerpool/pool"
)

// ErrClosed is returned by RoundTrip after [Transport.Shutdown] has been called.
var ErrClosed = errors.New("peerpool: transport is shut down")

// dialError is the error of a failed dial, with what is known about the dial. It travels from the dial through the pool to
// the attempt, and does not leave the package. RoundTrip returns the cause, and the Observer and [Report] show the rest.
type dialError struct {
	identity Identity // of the wanted connection; the zero Identity if it could not be determined
	hop      string   // hop that failed: one of those in dialer.go
	err      error    // what RoundTrip returns
	told     error    // what observers are told: err, or the errors of all addresses if there were several
}

// newDialError returns the error of a hop that has failed. If several addresses were tried, RoundTrip returns the error of
// the first of them, as a [net.Dialer] does.
func newDialError(id Identity, hop string, err error) *dialError {
	first := err
	if race, ok := err.(*resolve.RaceError); ok {
		first = race.Errs[0]
	}
	return &dialError{identity: id, hop: hop, err: first, told: err}
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

// These are values of OpenTelemetry's error.type. OpenTelemetry has a constant only for errorOther.
const (
	errorTimeout    ErrorType = "timeout"
	errorResolve    ErrorType = "name_resolution_error"
	errorConnection ErrorType = "connection_error"
	errorProxy      ErrorType = "proxy_tunnel_error"
	errorTLS        ErrorType = "secure_connection_error"
	errorResponse   ErrorType = "invalid_response"
	errorEnded      ErrorType = "response_ended"
	errorOther      ErrorType = "_OTHER"
)

// dialErrorType classifies an error that a request met before its exchange, with a value of OpenTelemetry's error.type. It
// returns "" if there is no error, and if the caller canceled the request, which does not count as an error.
func dialErrorType(err error) ErrorType {
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return ""
	case exchange.IsTimeout(err):
		return errorTimeout
	}
	switch hopOf(err) {
	case opResolve:
		return errorResolve
	case opConnect, opHTTP2:
		return errorConnection
	case opProxy:
		return errorProxy
	case opTLS:
		return errorTLS
	}
	return errorOther
}

// errorType classifies the error of an attempt, as dialErrorType does for a dial.
func (o *outcome) errorType() ErrorType {
	switch {
	case o.unleased:
		return dialErrorType(o.err)
	case o.err == nil, errors.Is(o.err, context.Canceled):
		return ""
	case exchange.IsTimeout(o.err):
		return errorTimeout
	case o.canceled, o.Unfit, o.BodyFailed:
		return errorOther
	case o.Malformed:
		return errorResponse
	case errors.Is(o.err, io.EOF), errors.Is(o.err, io.ErrUnexpectedEOF), errors.Is(o.err, syscall.ECONNRESET):
		return errorEnded
	}
	return errorConnection
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
