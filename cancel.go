package peerpool

import "context"

// waiting returns the context for waiting for a route or a connection. When the wait is over, the caller must call waited.
func (a *attempt) waiting() (context.Context, context.CancelCauseFunc) {
	return a.entry.Wait(a.report.in(a.ctx))
}

func (a *attempt) waited(stop context.CancelCauseFunc) { a.entry.Waited(stop) }

// canceledBy returns what canceled the attempt, or nil.
func (a *attempt) canceledBy() error {
	if err := a.entry.Canceled(); err != nil {
		return err
	}
	return canceledCause(a.ctx)
}

// cancelError returns the error of an exchange that cause has canceled. err is the error that the exchange returned. As in
// net/http, the protocols differ: over HTTP/2, the error does not show the cause of a context.
func (a *attempt) cancelError(cause, err error) error {
	switch a.lease.Conn().(type) {
	case *http1Conn:
		return cause
	case *http2Conn:
		if old := a.entry.Canceled(); old != nil {
			return old
		}
		return a.ctx.Err()
	}
	return err // err comes from a RoundTripper of TLSNextProto
}
