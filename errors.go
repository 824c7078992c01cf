package peerpool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/peerpool/peerpool/internal/exchange"
	"github.com/peerpool/peerpool/internal/http1"
	"github.com/peerpool/peerpool/pool"
)

// ErrClosed is what RoundTrip returns after [Transport.Shutdown] has been called.
var ErrClosed = errors.New("peerpool: transport is shut down")

// DialError says that no connection could be opened. Nothing of the request was sent.
//
// Its text is that of its cause, which is also what net/http's Transport returns.
type DialError struct {
	Identity Identity // of the connection wanted; the zero Identity if it could not be determined
	Op       string   // the hop that failed: "resolve", "connect", "proxy" or "tls"
	Err      error    // the cause
}

// Error returns the text of the cause.
func (e *DialError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *DialError) Unwrap() error { return e.Err }

// Timeout says whether the dial ran out of time.
func (e *DialError) Timeout() bool { return exchange.IsTimeout(e.Err) }

// Temporary is what the cause says, as with net/http; it makes the error a [net.Error].
func (e *DialError) Temporary() bool { return isTemporary(e.Err) }

// ExchangeError says that an exchange failed before its response could be returned, and what is known
// about how far it got. A response body that fails later returns the bare cause.
//
// Its text is that of its cause, or what net/http says in its place. A canceled request returns the
// cause of its context instead, and a request that could not be written at all what is wrong with it.
type ExchangeError struct {
	Identity Identity // of the connection
	Reused   bool     // the connection had carried a request before, or had been idle in the pool
	Wrote    bool     // at least one byte of the request was written
	Started  bool     // at least one byte of the response arrived
	Err      error    // the cause
}

// Error returns the text of the cause, as net/http has it.
func (e *ExchangeError) Error() string {
	var protocol *http1.ProtocolError
	if errors.As(e.Err, &protocol) || e.Started && errors.Is(e.Err, io.ErrUnexpectedEOF) {
		return fmt.Sprintf("net/http: HTTP/1.x transport connection broken: %v", e.Err)
	}
	return e.Err.Error()
}

// Unwrap returns the cause.
func (e *ExchangeError) Unwrap() error { return e.Err }

// Timeout says whether the exchange ran out of time.
func (e *ExchangeError) Timeout() bool { return exchange.IsTimeout(e.Err) }

// Temporary is what the cause says, as with net/http; it makes the error a [net.Error].
func (e *ExchangeError) Temporary() bool { return isTemporary(e.Err) }

var (
	_ net.Error = (*DialError)(nil)
	_ net.Error = (*ExchangeError)(nil)
)

func isTemporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}

// acquireError turns what the pool returned into what the caller of RoundTrip sees.
func acquireError(ctx context.Context, id Identity, err error) error {
	var dial *DialError
	switch {
	case errors.Is(err, pool.ErrClosed):
		return ErrClosed
	case err == errCanceled:
		return errWaitCanceled
	case ctx.Err() != nil || errors.As(err, &dial):
		return err
	}
	return &DialError{Identity: id, Op: opConnect, Err: err}
}
