package peerpool

import (
	"context"
	"net/http"
	"sync"

	"github.com/peerpool/peerpool/internal/http1"
)

// inflight lists the attempts under way, for CancelRequest.
type inflight struct {
	mu   sync.Mutex // guards the list and the canceling part of every attempt in it; nothing that blocks happens under it
	head *attempt
}

// canceling is the part of an attempt that ends it from outside, guarded by inflight.mu but for done.
type canceling struct {
	prev, next *attempt
	listed     bool
	because    error                   // why the attempt was canceled
	stopWait   context.CancelCauseFunc // while it waits for a connection
	active     *http1.Conn             // while it uses one
	done       chan struct{}           // closed at its end; nil if nobody cares
}

func (f *inflight) add(a *attempt) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a.listed = true
	a.next = f.head
	if f.head != nil {
		f.head.prev = a
	}
	f.head = a
}

func (f *inflight) remove(a *attempt) (first bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !a.listed {
		return false
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
	return true
}

// cancel ends every attempt at req.
func (f *inflight) cancel(req *http.Request, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for a := f.head; a != nil; a = a.next {
		if a.orig == req {
			a.cancelLocked(err)
		}
	}
}

// cancel ends one attempt.
func (a *attempt) cancel(err error) {
	f := &a.t.core.inflight
	f.mu.Lock()
	defer f.mu.Unlock()
	if a.listed {
		a.cancelLocked(err)
	}
}

// cancelLocked is called with inflight.mu held. An attempt that is no longer listed has given its
// connection back, so that nobody else's exchange can be hit.
func (a *attempt) cancelLocked(err error) {
	if a.because == nil {
		a.because = err
	}
	if a.stopWait != nil {
		a.stopWait(a.because)
	}
	if a.active != nil {
		a.active.Abort(a.because)
	}
}

// waiting returns the context to wait for a connection with, and what to call when that is over.
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

// running says that the attempt uses c from now on.
func (a *attempt) running(c *http1.Conn) {
	f := &a.t.core.inflight
	f.mu.Lock()
	defer f.mu.Unlock()
	a.active = c
	if a.because != nil {
		c.Abort(a.because)
	}
}

// finish takes the attempt off the list; from then on nothing of ours can hit its connection.
func (a *attempt) finish() {
	if a.t.core.inflight.remove(a) && a.done != nil {
		close(a.done)
	}
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
