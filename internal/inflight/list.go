// Package inflight lists the requests under way. With the list, a request can be canceled without a context, a Transport
// that shuts down can wait for the requests that have no response yet, and the context of a request that is over at once
// costs nothing.
//
// An exchange that listens to a context registers with the context, under its lock. Most requests are over within a
// millisecond, so no exchange listens in its first moment. A sweep over all requests makes the older ones listen.
package inflight

import (
	"context"
	"errors"
	"hash/maphash"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// moment is how long a request goes on before its exchange listens to its context: at least one moment, and at most two. Nobody
// notices such a delay, and most answers come sooner.
const moment = time.Millisecond

// shards is the number of lists among which the requests are divided, so that callers rarely wait for each other.
const shards = 16

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

// List lists the attempts of the requests under way. The zero value is an empty list. A List is safe for concurrent
// use, and must not be copied.
//
// A sweep runs on the goroutine of a timer. The timer is set only while a listed attempt waits for a sweep.
type List struct {
	shards [shards]shard
	due    atomic.Bool   // a sweep is to come, or is running
	sweeps atomic.Uint32 // so far: the age of an attempt is counted in them
	door   door
}

// shard is one of the lists, oldest first.
type shard struct {
	// mu guards the list, and the listing of every Entry in it. While it is held, nothing that blocks is
	// called, and no code of others. The mu of an Entry may be locked while it is held, but not the other way round.
	mu          sync.Mutex
	first, last *Entry
	unheard     *Entry   // the first that waits for a sweep; nil: none does
	_           [32]byte // puts neighbors into different cache lines
}

// listing is the part of an Entry that its shard guards.
type listing struct {
	prev, next *Entry
	done       chan struct{} // closed when the Entry leaves the list; nil if no goroutine watches its Cancel channel
	born       uint32        // the number of sweeps before it came
	listed     bool
	late       bool // it waits for a sweep to listen; set before it is listed
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

var seed = maphash.MakeSeed()

func (l *List) shard(req *http.Request) *shard {
	return &l.shards[maphash.Comparable(seed, req)%shards]
}

// Enlist lists e, an attempt at req, which is the request as the caller gave it. after is the attempt before it, or
// nil: e takes its place, and is canceled if after was. If the list is shut, Enlist does not take the first attempt at
// a request, and returns false.
//
// Enlist decides when to begin to listen to the context and the Cancel channel of req: normally a moment later, if the
// attempt is still under way. It begins at once if the deadline is near, and in a synctest bubble, where no time passes while a
// goroutine can run. Enlist knows a bubble by its clock: its times have no monotonic reading.
func (l *List) Enlist(e *Entry, req *http.Request, after *Entry) (taken bool) {
	s, ctx, cancel := l.shard(req), req.Context(), cancelChannel(req)
	e.req, e.shard = req, s
	e.late = (cancel != nil || ctx != context.Background()) && mayListenLater(ctx)
	s.mu.Lock()
	if after == nil && l.door.shut.Load() {
		s.mu.Unlock()
		return false
	}
	if after != nil {
		e.because = after.Canceled()
		s.removeLocked(after)
	}
	e.born, e.listed, e.prev = l.sweeps.Load(), true, s.last
	if s.last != nil {
		s.last.next = e
	} else {
		s.first = e
	}
	s.last = e
	if e.late && s.unheard == nil {
		s.unheard = e
	}
	s.mu.Unlock()
	if e.late {
		l.arm()
	}
	if cancel != nil {
		l.listenAtOnce(e, cancel)
	}
	return true
}

// mayListenLater says whether the first moment of an attempt may pass before anybody listens to its context.
func mayListenLater(ctx context.Context) bool {
	now := time.Now()
	deadline, ok := ctx.Deadline()
	return now != now.Round(0) && !(ok && deadline.Sub(now) < 2*moment)
}

// listenAtOnce ends an attempt whose Cancel channel is closed already, and listens to the channel if no sweep is to do so.
func (l *List) listenAtOnce(e *Entry, cancel <-chan struct{}) {
	select {
	case <-cancel:
		l.cancelOne(e, cause(e.req.Context()))
	default:
		if !e.late {
			e.shard.mu.Lock()
			e.listen(l)
			e.shard.mu.Unlock()
		}
	}
}

// Remove takes e off its list, if e is in it. It returns whether a goroutine that watches the Cancel channel of the request may
// still use e. If not, only the caller can use e from now on.
func (l *List) Remove(e *Entry) (watched bool) {
	s := e.shard
	s.mu.Lock()
	s.removeLocked(e)
	watched = e.done != nil
	s.mu.Unlock()
	if l.door.shut.Load() {
		l.door.left()
	}
	return watched
}

func (s *shard) removeLocked(e *Entry) {
	if !e.listed {
		return
	}
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		s.first = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		s.last = e.prev
	}
	if s.unheard == e {
		s.unheard = e.next
	}
	e.prev, e.next, e.listed = nil, nil, false
	if e.done != nil {
		close(e.done)
	}
}

// Cancel ends every attempt at req, with [ErrCanceled] or, if its deadline has passed, with the error of its context.
func (l *List) Cancel(req *http.Request) {
	if req == nil {
		return
	}
	err := cause(req.Context())
	var cancellations []cancellation
	s := l.shard(req)
	s.mu.Lock()
	for e := s.first; e != nil; e = e.next {
		if e.req == req {
			cancellations = append(cancellations, e.mark(err))
		}
	}
	s.mu.Unlock()
	for _, v := range cancellations {
		v.cancel()
	}
}

// cancelOne ends one attempt, if it is still under way.
func (l *List) cancelOne(e *Entry, err error) {
	var v cancellation
	s := e.shard
	s.mu.Lock()
	if e.listed {
		v = e.mark(err)
	}
	s.mu.Unlock()
	v.cancel()
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

// cancellation holds what must be told that an attempt was canceled: its wait for a connection, and its exchange.
type cancellation struct {
	because  error
	stopWait context.CancelCauseFunc
	active   Exchange
}

// mark notes why the attempt is canceled, and returns the cancellation to carry out. The first reason stays.
func (e *Entry) mark(err error) cancellation {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.because == nil {
		e.because = err
	}
	return cancellation{e.because, e.stopWait, e.active}
}

// cancel carries the cancellation out. Do not call it with a lock held, because it calls code of others.
func (v cancellation) cancel() {
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

// cause returns the error of a request that is canceled without its context. An http.Client cancels a request in this way
// when the request is out of time. The context then has the same deadline, and the error is that of the context.
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
