package peerpool

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// canceling is the part of an attempt that ends it from outside.
type canceling struct {
	// mu guards what follows, but for ends. Nothing that blocks and nobody else's code is called under it.
	mu       sync.Mutex
	because  error                   // why the attempt was canceled, in one of the ways that are older than contexts
	stopWait context.CancelCauseFunc // while it waits for a connection
	active   interruptible           // its exchange, once there is one
	grown    bool                    // its first moment is over

	ends     atomic.Int32 // see end
	answered atomic.Bool  // RoundTrip returns a response: the request is not inside any more, see door
}

// interruptible is an exchange that can be ended from outside. Both methods may be called at any time, from any goroutine
// and more than once, and do nothing to an exchange that has ended, nor to the next one on its connection.
type interruptible interface {
	// Cancel ends the exchange. It blocks for as long as the Close of a custom connection does.
	Cancel(cause error)
	// Heed has the end of the request's context end the exchange, where it doesn't already.
	Heed()
}

// victim is what is to be ended of an attempt, without any lock.
type victim struct {
	because  error
	stopWait context.CancelCauseFunc
	active   interruptible
}

// mark notes why the attempt is canceled. The first reason stays.
func (a *attempt) mark(err error) victim {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.because == nil {
		a.because = err
	}
	return victim{a.because, a.stopWait, a.active}
}

func (v victim) end() {
	if v.stopWait != nil {
		v.stopWait(v.because)
	}
	if v.active != nil {
		v.active.Cancel(v.because)
	}
}

// enlist lists a new attempt, and decides when to begin to listen to what can cancel it: in a moment, if it is not over
// by then. There is no such moment before a deadline that is near, nor in a synctest bubble, in which no time passes
// while anything is going on, and which is known by its clock: any other is monotonic.
func (a *attempt) enlist(after *attempt) {
	f, cancel := &a.t.core.inflight, oldCancel(a.orig)
	if cancel == nil && a.ctx == context.Background() {
		f.add(a, after)
		return
	}
	now := time.Now()
	deadline, ok := a.ctx.Deadline()
	a.late = now != now.Round(0) && !(ok && deadline.Sub(now) < 2*moment)
	f.add(a, after)
	if cancel == nil {
		return
	}
	select {
	case <-cancel:
		f.cancelOne(a, oldCause(a.ctx))
	default:
		if !a.late {
			s := f.shard(a.orig)
			s.mu.Lock()
			a.listen()
			s.mu.Unlock()
		}
	}
}

// listen is called, with the mu of its shard held, for an attempt that is not over in its first moment. It returns the
// exchange whose context is to be heeded from now on, if there is one.
func (a *attempt) listen() interruptible {
	if cancel := oldCancel(a.orig); cancel != nil && a.listed {
		a.done = make(chan struct{})
		go a.watch(cancel, a.done)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.grown = true
	return a.active
}

// watch ends the attempt when the request's old-fashioned Cancel channel is closed. Its goroutine ends with the attempt.
func (a *attempt) watch(cancel <-chan struct{}, done chan struct{}) {
	select {
	case <-cancel:
		a.t.core.inflight.cancelOne(a, oldCause(a.ctx))
	case <-done:
	}
}

func oldCancel(req *http.Request) <-chan struct{} {
	//lint:ignore SA1019 callers may still set it, and http.Client does
	return req.Cancel
}

// waiting returns the context to wait with for a route or a connection. When that is over, waited must be called.
func (a *attempt) waiting() (context.Context, context.CancelCauseFunc) {
	ctx, stop := context.WithCancelCause(a.report.in(a.ctx))
	a.mu.Lock()
	a.stopWait = stop
	canceled := a.because
	a.mu.Unlock()
	if canceled != nil {
		stop(canceled)
	}
	return ctx, stop
}

func (a *attempt) waited(stop context.CancelCauseFunc) {
	a.mu.Lock()
	a.stopWait = nil
	a.mu.Unlock()
	stop(nil)
}

// running says that x is the attempt's exchange from now on. It returns whether x must heed its context by itself:
// otherwise a sweep sees to that.
func (a *attempt) running(x interruptible) (heed bool) {
	a.mu.Lock()
	a.active = x
	canceled, heed := a.because, a.grown || !a.late
	a.mu.Unlock()
	if canceled != nil {
		x.Cancel(canceled)
	}
	return heed
}

// canceled returns why the attempt was canceled in one of the old ways, or nil.
func (a *attempt) canceled() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.because
}

// cancelError returns the error of an exchange that cause has canceled. err is its own. As with net/http the protocols differ:
// over HTTP/2 a context does not tell its cause.
func (a *attempt) cancelError(cause, err error) error {
	switch a.lease.Conn().(type) {
	case *http1Conn:
		return cause
	case *http2Conn:
		if old := a.canceled(); old != nil {
			return old
		}
		return a.ctx.Err()
	}
	return err // of a RoundTripper that is not ours
}

// canceledBy returns what canceled the attempt, or nil.
func (a *attempt) canceledBy() error {
	if err := a.canceled(); err != nil {
		return err
	}
	return canceledCause(a.ctx)
}
