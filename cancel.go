package peerpool

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// inflight lists the attempts of the requests under way, for CancelRequest.
type inflight struct {
	mu   sync.Mutex // guards the list and the canceling part of every attempt in it; nothing is closed under it
	head *attempt
}

// canceling is the part of an attempt that ends it from outside, guarded by inflight.mu but for done.
type canceling struct {
	prev, next *attempt
	listed     bool
	returned   bool                    // the caller has the response
	because    error                   // why the attempt was canceled
	stopWait   context.CancelCauseFunc // while it waits for a connection
	active     condemnable             // its exchange, while there is one
	listen     *time.Timer             // until somebody listens to Request.Cancel
	done       chan struct{}           // closed at its end; nil if nobody listens
}

// condemnable is an exchange that can be ended from outside, in two steps: Condemn marks it, and if it returns true
// Cut, which may block, does the rest.
type condemnable interface {
	Condemn(cause error) bool
	Cut()
}

func (f *inflight) add(a *attempt) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.addLocked(a)
}

func (f *inflight) addLocked(a *attempt) {
	a.listed = true
	a.next = f.head
	if f.head != nil {
		f.head.prev = a
	}
	f.head = a
}

// removeLocked takes an attempt off the list, if it is still there.
func (f *inflight) removeLocked(a *attempt) {
	if !a.listed {
		return
	}
	if a.prev != nil {
		a.prev.next = a.next
	} else {
		f.head = a.next
	}
	if a.next != nil {
		a.next.prev = a.prev
	}
	a.prev, a.next, a.listed, a.active = nil, nil, false, nil
	if a.listen != nil {
		a.listen.Stop()
	}
	if a.done != nil {
		close(a.done)
	}
}

// heedAfter is how long a request goes on before anybody listens to its Cancel channel: most are over by then and
// cost no goroutine.
const heedAfter = 5 * time.Millisecond

// heed ends the attempt when the request's old-fashioned Cancel channel is closed.
func (a *attempt) heed(cancel <-chan struct{}) {
	select {
	case <-cancel:
		a.cancel(oldCause(a.Ctx))
		return
	default:
	}
	f := &a.t.core.inflight
	f.mu.Lock()
	defer f.mu.Unlock()
	a.listen = time.AfterFunc(heedAfter, func() { a.watchCancel(cancel) })
}

// watchCancel listens, on the goroutine of the timer, until the attempt ends.
func (a *attempt) watchCancel(cancel <-chan struct{}) {
	f := &a.t.core.inflight
	f.mu.Lock()
	if !a.listed {
		f.mu.Unlock()
		return
	}
	done := make(chan struct{})
	a.done = done
	f.mu.Unlock()
	select {
	case <-cancel:
		a.cancel(oldCause(a.Ctx))
	case <-done:
	}
}

// replace lists the next attempt at a request in place of the one that failed, which may have been canceled
// since.
func (f *inflight) replace(a, next *attempt) {
	f.mu.Lock()
	defer f.mu.Unlock()
	next.because = a.because
	f.removeLocked(a)
	f.addLocked(next)
}

// cancel ends every attempt at req.
func (f *inflight) cancel(req *http.Request, err error) {
	var condemned []condemnable
	f.mu.Lock()
	for a := f.head; a != nil; a = a.next {
		if a.orig == req {
			condemned = a.cancelLocked(err, condemned)
		}
	}
	f.mu.Unlock()
	cut(condemned)
}

// cancel ends one attempt.
func (a *attempt) cancel(err error) {
	var condemned []condemnable
	f := &a.t.core.inflight
	f.mu.Lock()
	if a.listed {
		condemned = a.cancelLocked(err, nil)
	}
	f.mu.Unlock()
	cut(condemned)
}

// cancelLocked is called with inflight.mu held, and condemns the connection that the attempt uses. One that is
// not active has given its connection back, so that nobody else's exchange can be hit; a condemned connection
// does not return to the pool, so that it may be cut when the lock is released.
func (a *attempt) cancelLocked(err error, condemned []condemnable) []condemnable {
	if a.because == nil {
		a.because = err
	}
	if a.stopWait != nil {
		a.stopWait(a.because)
	}
	if a.active != nil && a.active.Condemn(a.because) {
		condemned = append(condemned, a.active)
	}
	return condemned
}

func cut(condemned []condemnable) {
	for _, c := range condemned {
		c.Cut()
	}
}

// waiting returns the context to wait with for a route or a connection, and what to call when that is over.
func (a *attempt) waiting() (context.Context, func()) {
	ctx, stop := context.WithCancelCause(a.Ctx)
	f := &a.t.core.inflight
	f.mu.Lock()
	a.stopWait = stop
	if a.because != nil {
		stop(a.because)
	}
	f.mu.Unlock()
	return ctx, func() {
		f.mu.Lock()
		a.stopWait = nil
		f.mu.Unlock()
		stop(nil)
	}
}

// running says that c is the attempt's exchange from now on.
func (a *attempt) running(c condemnable) {
	f := &a.t.core.inflight
	f.mu.Lock()
	a.active = c
	canceled := a.because
	f.mu.Unlock()
	if canceled != nil && c.Condemn(canceled) {
		c.Cut()
	}
}

// detach says that the attempt's connection is about to be given back: from here on nothing of ours hits it. The
// attempt itself stays on the list as long as the request may be sent again; detach says whether this was its end.
func (a *attempt) detach() (last bool) {
	f := &a.t.core.inflight
	f.mu.Lock()
	defer f.mu.Unlock()
	a.active = nil
	if a.returned {
		f.removeLocked(a)
	}
	return a.returned
}

// handOver says that the caller has the response, whose end is the end of the attempt; it says whether that has
// come already.
func (a *attempt) handOver() (last bool) {
	f := &a.t.core.inflight
	f.mu.Lock()
	defer f.mu.Unlock()
	a.returned = true
	if a.active == nil {
		f.removeLocked(a)
		return true
	}
	return false
}

// finish ends an attempt that has no response.
func (a *attempt) finish() {
	f := &a.t.core.inflight
	f.mu.Lock()
	defer f.mu.Unlock()
	f.removeLocked(a)
}

// canceledBy returns what canceled the attempt, or nil.
func (a *attempt) canceledBy() error {
	f := &a.t.core.inflight
	f.mu.Lock()
	err := a.because
	f.mu.Unlock()
	if err != nil {
		return err
	}
	return canceledCause(a.Ctx)
}
