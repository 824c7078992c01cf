package inflight

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// ErrCanceled is the error of a request that was canceled without a context: net/http's words.
var ErrCanceled = errors.New("net/http: request canceled")

// Exchange is an exchange that can be ended from outside. Both methods may be called at any time, from any goroutine
// and more than once. They do nothing to an exchange that has ended, and nothing to the next one on its connection.
type Exchange interface {
	// Cancel ends the exchange. It blocks for as long as the Close of a custom connection does.
	Cancel(cause error)
	// Heed makes the exchange end with the context of its request, if it does not already.
	Heed()
}

// Entry is the part of an attempt that a [List] knows. The zero value is ready to be listed. An Entry must not be
// copied, and may be used for another attempt after [List.Remove] has returned false.
type Entry struct {
	req   *http.Request // as the caller gave it
	shard *shard        // that lists it
	listing

	// mu guards because, stopWait, active and grown. Do not call anything that blocks, or code of others, under it.
	mu       sync.Mutex
	because  error                   // why the attempt was canceled, if that was without a context
	stopWait context.CancelCauseFunc // ends its wait for a connection, while it waits
	active   Exchange                // its exchange, if it has one
	grown    bool                    // its first moment is over; see moment

	answered atomic.Bool // see Answered
}

// Answered notes that RoundTrip is about to return a response. [List.Emptied] does not wait for the attempt any more.
func (e *Entry) Answered(l *List) {
	e.answered.Store(true)
	if l.door.shut.Load() {
		l.door.left()
	}
}

// Wait returns a copy of ctx that also ends when the attempt is canceled without a context. The caller passes stop to
// [Entry.Waited] when it waits no longer.
func (e *Entry) Wait(ctx context.Context) (_ context.Context, stop context.CancelCauseFunc) {
	ctx, stop = context.WithCancelCause(ctx)
	e.mu.Lock()
	e.stopWait = stop
	canceled := e.because
	e.mu.Unlock()
	if canceled != nil {
		stop(canceled)
	}
	return ctx, stop
}

// Waited ends a wait.
func (e *Entry) Waited(stop context.CancelCauseFunc) {
	e.mu.Lock()
	e.stopWait = nil
	e.mu.Unlock()
	stop(nil)
}

// Run notes that x is the exchange of the attempt from now on. If the attempt has been canceled, Run cancels x. It
// returns whether x must heed its context by itself. If not, a sweep calls Heed.
func (e *Entry) Run(x Exchange) (heed bool) {
	e.mu.Lock()
	e.active = x
	canceled, heed := e.because, e.grown || !e.late
	e.mu.Unlock()
	if canceled != nil {
		x.Cancel(canceled)
	}
	return heed
}

// Canceled returns why the attempt was canceled, if that was without a context, or nil.
func (e *Entry) Canceled() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.because
}

// listen is called, with the mu of its shard held, for an attempt that is not over in its first moment. It returns the
// exchange that is to heed its context from now on, if there is one.
func (e *Entry) listen(l *List) Exchange {
	if cancel := cancelChannel(e.req); cancel != nil && e.listed {
		e.done = make(chan struct{})
		go e.watch(l, cancel, e.done)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.grown = true
	return e.active
}

// watch ends the attempt when the Cancel channel of the request is closed. Its goroutine ends with the attempt.
func (e *Entry) watch(l *List, cancel <-chan struct{}, done chan struct{}) {
	select {
	case <-cancel:
		l.cancelOne(e, cause(e.req.Context()))
	case <-done:
	}
}

// victim is what to end of an attempt that was canceled.
type victim struct {
	because  error
	stopWait context.CancelCauseFunc
	active   Exchange
}

// mark notes why the attempt is canceled. The first reason stays.
func (e *Entry) mark(err error) victim {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.because == nil {
		e.because = err
	}
	return victim{e.because, e.stopWait, e.active}
}

// cancel must be called without any lock.
func (v victim) cancel() {
	if v.stopWait != nil {
		v.stopWait(v.because)
	}
	if v.active != nil {
		v.active.Cancel(v.because)
	}
}

func cancelChannel(req *http.Request) <-chan struct{} {
	//lint:ignore SA1019 callers may still set it, and http.Client does
	return req.Cancel
}

// cause returns why a request is canceled that somebody cancels without its context. An http.Client does that to a
// request that is out of time. The context has the same deadline then, and the error is that of the context.
func cause(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); !ok || time.Now().Before(deadline) {
		return ErrCanceled
	}
	giveUp := time.NewTimer(time.Second) // for a context that does not end at its deadline
	defer giveUp.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-giveUp.C:
		return ErrCanceled
	}
}
