package peerpool

import "context"

// waiting returns the context to wait with for a route or a connection. When that is over, waited must be called.
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

// cancelError returns the error of an exchange that cause has canceled. err is its own. As with net/http the protocols
// differ: over HTTP/2 a context does not tell its cause.
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
	return err // of a RoundTripper that is not ours
}
