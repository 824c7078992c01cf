package peerpool

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peerpool/peerpool/internal/exchange"
	"github.com/peerpool/peerpool/internal/http2"
	"github.com/peerpool/peerpool/internal/inflight"
	"github.com/peerpool/peerpool/pool"
)

// attempt is one attempt at a request. It leases a connection, runs an exchange on it, and ends the lease. RoundTrip makes
// attempts in a loop, which comments call the walk, until one of them decides the result. The caller of RoundTrip never sees
// an attempt. So an attempt that has brought a response and has ended is reused for another request.
type attempt struct {
	t     *Transport
	peer  *Peer
	orig  *http.Request // as the caller gave it
	req   *http.Request // orig, or a copy with another body
	ctx   context.Context
	trace *httptrace.ClientTrace

	number  int32 // number of the attempt, from 1
	redials int32 // number of connections that retired before any request could use them, in this attempt and those before it

	fresh bool // needs a new connection
	alone bool // needs a connection that no other request uses
	http1 bool // needs HTTP/1.1

	limits     *Limits       // in force when the connection was leased; nil if those of the fields were
	begun      time.Duration // when the exchange began, since epoch; set only if there is a RetryBudget or a learned idle time
	overBudget bool          // the RetryBudget has kept the request from being sent again

	trial trial  // of the address of the host that the attempt is to try
	avoid *route // address at which the previous attempt failed, or nil

	route  *route // nil if there is none
	lease  connLease
	silent time.Duration // how long nothing had arrived on the connection when it was leased; 0 if not measured
	clock  clock
	report *reporting // nil if the context has no Report

	entry inflight.Entry // its place in the list of requests under way
	shut  bool           // the Transport was shut down before the request came
	ends  atomic.Int32   // see letGo
}

var attempts = sync.Pool{New: func() any { return new(attempt) }}

// newAttempt returns the first attempt at orig, or the one that follows the attempt after. req is orig, or a copy of it with
// the body to send.
func newAttempt(t *Transport, orig, req *http.Request, peer *Peer, report *Report, after *attempt) *attempt {
	a := attempts.Get().(*attempt)
	a.t, a.peer, a.orig, a.req, a.ctx, a.number = t, peer, orig, req, orig.Context(), 1
	a.trace = httptrace.ContextClientTrace(a.ctx)
	var before *inflight.Entry
	if after != nil {
		a.number, a.redials, before = after.number+1, after.redials, &after.entry
	}
	if report != nil {
		a.report = newReporting(report, a, after)
	}
	a.shut = !t.core.inflight.Enlist(&a.entry, orig, before)
	if t.Observer != nil {
		a.observeRequestStart(after)
	}
	return a
}

// letGo is called twice for an attempt with a response: by the walk when the caller gets the response, and by the exchange
// when it has ended. The later call ends the attempt, and after its own call neither may touch the attempt. If the exchange
// has failed, only the exchange calls letGo, because another attempt follows or the walk abandons this one. Both callers
// know the status of the response.
func (a *attempt) letGo(status int32) {
	if a.ends.Add(1) < 2 {
		return
	}
	watched := a.t.core.inflight.Remove(&a.entry)
	if a.t.Observer != nil {
		a.observeRequestDone(status, nil, "")
	}
	if !watched { // otherwise another goroutine may still look at it
		*a = attempt{}
		attempts.Put(a)
	}
}

// try makes the attempt: it leases a connection, and runs the exchange on it.
func (a *attempt) try() (*http.Response, outcome) {
	if err := a.acquire(); err != nil {
		return nil, outcome{err: err, unleased: true, retired: errors.Is(toldOf(err), pool.ErrRetired)}
	}
	if n := a.t.minIdle(a.peer); n > 0 {
		a.route.keepIdle(n, a.peer)
	}
	if a.t.Observer != nil || a.report != nil || a.trace != nil {
		a.acquired(a.lease.Key().Value(), nil) // if the host has several addresses, the identity of one address
	}
	if a.t.retryBudget() > 0 {
		a.count()
	}
	resp, o, err := a.lease.Conn().exchange(a)
	if resp != nil {
		resp.Request = a.orig
	}
	out := outcome{Outcome: o, err: err, reused: a.lease.Reused()}
	if err != nil {
		a.explain(&out)
	}
	if a.report != nil {
		a.report.exchanged(&out)
	}
	return resp, out
}

// acquire leases a connection. It takes an idle one if there is one. Otherwise it waits for one that is dialed, or that
// another request releases.
func (a *attempt) acquire() error {
	if a.shut {
		return ErrClosed
	}
	to, err := a.t.destination(a.req, a.peer)
	if err != nil {
		return err
	}
	to.key.http1 = to.key.http1 || a.http1
	if a.trace != nil && a.trace.GetConn != nil && a.route == nil {
		a.trace.GetConn(to.hostPort(a.req.URL))
	}
	var work groundwork
	r := a.t.core.routes.get(&to.key)
	if r == nil || r.version != 0 && !r.current() || r.mayHTTP2 && r.wantsHTTP1() {
		if r, work, err = a.findRoute(to); err != nil {
			return err
		}
	}
	a.route = r
	a.limits = a.t.changed.Load()
	terms := a.t.terms(a.peer)
	terms.Fresh = a.fresh
	terms.Unpooled = terms.Unpooled || a.alone || r.looks()
	if r.mayHTTP2 {
		terms.Expect = r.expect()
		if terms.Expect != 0 && r.peer.Group == "" && exchange.RequestBinds(a.req.Header) {
			terms.Unpooled = true // the server may apply the credential to every request that shares the connection
		}
	}
	if r.host != nil {
		a.aim(&terms)
	}
	learned := r.host != nil || r.learned.limits.shown.Load() != nil // a limit of the peer may be known
	if learned {
		r.bound(&terms, a.req)
	}
	var ok bool
	for a.lease, ok = r.tryAcquire(terms); ok; a.lease, ok = r.tryAcquire(terms) {
		if !learned || !a.outlived(&terms) {
			return nil
		}
		a.lease.Discard(pool.ReasonIdleTimeout)
	}
	return a.await(terms, work)
}

// findRoute returns the route to a destination if the remembered one cannot be used. It also returns the part of the coming
// dial that is already done.
func (a *attempt) findRoute(to destination) (*route, groundwork, error) {
	ctx, stop := a.waiting()
	defer a.waited(stop)
	r, work, err := a.t.routeTo(ctx, a.req.URL, to)
	if err == errCanceled {
		err = errWaitCanceled
	}
	a.clock.resolve = work.resolve
	if err != nil {
		a.observeUnreachable(work, err)
	}
	return r, work, err
}

// await waits for a connection that is dialed, or that another request releases.
func (a *attempt) await(terms pool.Terms, work groundwork) (err error) {
	r := a.route
	terms.Missed, a.clock.planted = a.lease.Miss(), a.lease.FoundUnexpectedData()
	if r.host != nil {
		work.trial, work.avoid = a.trial, a.avoid
		defer a.landed()
	}
	ctx, stop := a.waiting()
	defer a.waited(stop)
	if a.t.Observer != nil && terms.MaxConns > 0 {
		ctx = a.mayBeHeldBack(ctx)
	}
	a.lease, err = r.acquire(ctx, terms, work)
	for err == nil && a.outlived(&terms) {
		a.lease.Discard(pool.ReasonIdleTimeout)
		a.lease, err = r.acquire(ctx, terms, groundwork{})
	}
	if err == nil {
		return nil
	}
	if !r.known() {
		a.t.core.routes.drop(r) // the pool will not report the end of a route that it does not know
	}
	return acquireError(ctx, r.identity(), err)
}

// tries returns how many tries at the request there have been, including this one.
func (a *attempt) tries() int { return int(a.number + a.redials) }

// wanted returns the identity of the connection that the attempt failed to get, as far as it is known.
func (a *attempt) wanted(err error) Identity {
	if a.route != nil {
		return a.route.identity()
	}
	return identityIn(err)
}

// identityIn returns what err says about the identity that a request without a route wanted.
func identityIn(err error) Identity {
	if dial, ok := err.(*dialError); ok {
		return dial.identity
	}
	return Identity{}
}

// acquired reports that the attempt has got a connection, or has failed to get one.
func (a *attempt) acquired(id Identity, err error) {
	a.observeAcquired(id, err)
	a.reportAcquired(id, err)
	if err != nil || a.trace == nil || a.trace.GotConn == nil {
		return
	}
	if _, another := a.lease.Conn().(*alternateConn); !another { // the new owner of an alternateConn calls the hook, as with net/http
		a.trace.GotConn(httptrace.GotConnInfo{
			Conn:     a.lease.Conn().NetConn(),
			Reused:   a.lease.Reused(),
			WasIdle:  a.lease.Miss() == "",
			IdleTime: a.lease.IdleTime(),
		})
	}
}

// explain completes the outcome of an exchange that has failed: it finds out what caused the failure.
func (a *attempt) explain(o *outcome) {
	if body, ok := o.err.(*exchange.BodyError); ok {
		o.BodyFailed, o.err = true, body.Err
	}
	err := o.err
	o.elsewhere = a.route.host.several()
	if cause := a.canceledBy(); cause != nil {
		o.err, o.canceled = a.cancelError(cause, err), true
	}
	if o.Refused && !o.canceled && !replayOf(a.req, o.Touched).body {
		o.err = http2.CannotRetry(err)
	}
}

// answer ends the walk of a request that has a response.
func (a *attempt) answer(resp *http.Response, status int32) *http.Response {
	if a.number > 1 {
		a.t.core.counters.saved.Add(1)
	}
	a.entry.Answered(&a.t.core.inflight)
	if a.trial.at != nil {
		a.route.host.headArrived(a.trial, status)
	}
	if a.t.Observer != nil {
		a.observeHead()
	}
	a.letGo(status)
	return resp
}

// result returns what RoundTrip returns if the request is not sent again.
func (a *attempt) result(resp *http.Response, o outcome) (*http.Response, error) {
	switch {
	case o.err == nil:
		return a.answer(resp, o.Status), nil
	case o.unleased:
		a.acquired(a.wanted(o.err), o.err)
	}
	err := a.abandon(o.err, o.errorType(), o.Touched)
	exchange.AwaitClient(a.orig, o.err)
	return nil, err
}

// abandon ends a request that has no response, and returns the error that RoundTrip returns. errorType classifies err.
// touched says whether the request's body has been read from or closed.
func (a *attempt) abandon(err error, errorType ErrorType, touched bool) error {
	a.t.core.inflight.Remove(&a.entry)
	if a.number > 1 {
		a.t.core.counters.failed.Add(1)
	}
	if !touched {
		closeBody(a.req)
	}
	if errorType == errorTimeout {
		a.timedOut(err)
	}
	a.observeRequestDone(0, err, errorType)
	return causeOf(err)
}

// again returns the next attempt at the request. If no connection could be leased, it returns the same attempt.
func (a *attempt) again(v verdict, resp *http.Response, o outcome) (*attempt, error) {
	if v == leaseAgain {
		a.redials++
		a.fresh = a.fresh || v.fresh(&o, a.tries(), true)
		return a, nil
	}
	if resp != nil {
		resp.Body.Close()
	}
	err := a.awaitBody(o.Body)
	if err == nil {
		err = a.pause(v.pause(&o, a.tries()+1))
	}
	if err != nil {
		return nil, a.abandon(err, dialErrorType(err), o.Touched)
	}
	a.t.core.counters.retried(v)
	a.observeRetried(v, &o)
	a.report.retried(v)
	req, err := rewind(a.req, o.Touched)
	if err != nil {
		return nil, a.abandon(err, errorOther, o.Touched)
	}
	next := newAttempt(a.t, a.orig, req, a.peer, a.report.of(), a)
	next.fresh, next.alone = v.fresh(&o, next.tries(), a.lease.Conn().noticesFailure(o.err)), v.alone(next.tries())
	next.http1 = a.http1 || v == retryHTTP1
	if v == retryAddress {
		next.avoid = a.route.host.member(a.lease.Key())
	}
	return next, nil
}

// pause waits for d, unless the request ends first.
func (a *attempt) pause(d time.Duration) error {
	if d == 0 {
		return nil
	}
	ctx, stop := a.waiting()
	defer a.waited(stop)
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		cause := context.Cause(ctx)
		exchange.AwaitClient(a.orig, cause)
		return cause
	}
}

// awaitBody waits until this attempt no longer reads from the request's body. The body of the next attempt may share a file
// with it, and so a file offset.
func (a *attempt) awaitBody(body *exchange.Body) error {
	if body == nil {
		return nil
	}
	ctx, stop := a.waiting()
	defer a.waited(stop)
	cause := body.Await(ctx)
	if cause == nil {
		return nil
	}
	exchange.AwaitClient(a.orig, cause)
	return &bodyInUseError{cause}
}

// ExchangeDone is called by the connection when the exchange has ended. It ends the lease.
func (a *attempt) ExchangeDone(end exchange.End, o exchange.Outcome) {
	if end == exchange.EndError && a.canceledBy() != nil {
		end = exchange.GivenUp(a.ctx) // the caller gave up while the exchange waited for the answer to a ping
	}
	c, left := a.lease.Conn(), 0
	if a.t.Observer != nil {
		left = c.about().leave()
	}
	if a.route.host != nil {
		a.judge(end, &o)
	}
	if end == exchange.EndTimeout && o.Status != 0 {
		a.timedOut(nil)
	}
	if a.limits != a.t.changed.Load() { // SetLimits has been called during the request
		a.lease.Rebind(a.t.terms(a.peer))
	}
	reason := c.endLease(a, end, o)
	if a.t.Observer != nil {
		a.observeAttemptDone(left, &o, reason)
	}
	if a.report != nil {
		a.report.done()
	}
	a.letGo(o.Status)
}
