package peerpool

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/peerpool/peerpool/internal/exchange"
	"github.com/peerpool/peerpool/internal/resolve"
)

// In this file, the walk reports to the Observer.

// lastConn is the number of the last connection of the process. All Transports count with it, so that an Observer of several
// Transports can tell their connections apart.
var lastConn atomic.Uint64

// These are the names of protocols in events.
const (
	nameHTTP1 = "HTTP/1.1"
	nameHTTP2 = "HTTP/2"
)

// facts holds what an Observer is told about a connection.
type facts struct {
	number   ConnID
	host     string // host of the request that asked for the connection
	protocol string
	opened   time.Duration // since epoch

	requests atomic.Int64 // requests that are on the connection now
	uses     atomic.Int64 // requests that the connection has been given so far
	spoiled  atomic.Bool  // a request has made the connection unusable
}

// newFacts returns the facts of a new connection, or nil if there is no Observer.
func (r *route) newFacts(protocol string) *facts {
	if r.t.Observer == nil {
		return nil
	}
	return &facts{number: ConnID(lastConn.Add(1)), host: r.key.host, protocol: protocol, opened: time.Since(epoch)}
}

func (f *facts) obituary(id Identity, reason CloseReason) ConnClosed {
	return ConnClosed{
		Identity: id, Host: f.host, Conn: f.number, Protocol: f.protocol, Reason: reason,
		Age: time.Since(epoch) - f.opened, Uses: int(f.uses.Load()),
		InUse: f.requests.Load() > 0 || f.spoiled.Load(),
	}
}

// about returns f, or empty facts if f is nil. It is nil if the connection was dialed before there was an Observer.
func (f *facts) about() *facts {
	if f == nil {
		return new(facts)
	}
	return f
}

// enter counts a request, and returns how many requests are on the connection now.
func (f *facts) enter() int {
	f.uses.Add(1)
	return int(f.requests.Add(1))
}

// leave is called before the request's lease ends, so that the next request on the connection counts after it. It returns
// how many requests are left on the connection.
func (f *facts) leave() int { return int(f.requests.Add(-1)) }

// clock holds when things happened to an attempt, as durations since epoch. It is set only if there is an Observer.
type clock struct {
	first  time.Duration // when the first attempt at its request began
	begun  time.Duration // when this attempt began
	sought time.Duration // when it began to look for a connection

	resolve time.Duration // how long the attempt waited for a look-up
	reused  bool          // the connection was a reused one
	held    bool          // MaxConnsPerHost has made the attempt wait
	planted bool          // the pool has found unexpected data on an idle connection

	head   time.Duration // time from first until the head of the response had come; 0 if it has not
	limit  TimeLimit     // that has ended the request; "" if none has
	closed CloseReason   // why the connection was closed; "" if it was not, or if there was none
}

func sinceThen(then time.Duration) time.Duration { return time.Since(epoch) - then }

// observeRequestStart is called for a new attempt. It notes the time, and reports the first attempt.
func (a *attempt) observeRequestStart(after *attempt) {
	o := a.t.Observer
	if o == nil {
		return
	}
	now := time.Since(epoch)
	a.clock = clock{first: now, begun: now, sought: now}
	if after != nil {
		a.clock.first = after.clock.first
		return
	}
	if o.RequestStart != nil {
		u := a.req.URL
		o.RequestStart(a.ctx, RequestStart{Host: u.Host, Scheme: u.Scheme, Method: methodOf(a.req)})
	}
}

func methodOf(req *http.Request) string { return cmp.Or(req.Method, http.MethodGet) }

// observeUnreachable reports a dial that could not begin.
func (a *attempt) observeUnreachable(w groundwork, err error) {
	o := a.t.Observer
	if hopOf(err) == "" || w.start.IsZero() || a.report == nil && (o == nil || o.DialDone == nil) {
		return
	}
	d := DialDone{
		Identity: identityIn(err), Host: a.req.URL.Host,
		Start: w.start, Resolve: w.resolve, Connect: w.connect, Total: w.resolve + w.connect,
		Hop: hopOf(err), Err: toldOf(err), ErrorType: dialErrorType(err), HopErrorType: hopErrorType(err),
	}
	if o != nil && o.DialDone != nil {
		o.DialDone(a.ctx, d)
	}
	if a.report != nil {
		a.report.dialed(d)
	}
}

func (a *attempt) observeAcquired(id Identity, err error) {
	o := a.t.Observer
	if o == nil {
		return
	}
	if id.scheme == "" {
		id = unrouted(a.req.URL, a.peer)
	}
	e := AcquireDone{Identity: id, Host: a.req.URL.Host, Attempt: int(a.number), Hop: hopOf(err), Err: causeOf(err)}
	e.ErrorType, e.HopErrorType = dialErrorType(err), hopErrorType(err)
	if err == nil {
		c, l := a.lease.Conn().about(), &a.lease
		e.Conn, e.ConnHost, e.Protocol, e.Requests = c.number, c.host, c.protocol, c.enter()
		e.Miss, e.Reused, e.Uses = l.Miss(), l.Reused(), l.Uses()
		e.Idle, e.Age = l.IdleTime(), l.Age()
	}
	e.UnexpectedData = a.clock.planted || a.lease.FoundUnexpectedData()
	if err != nil || e.Miss != "" {
		e.Waited, e.Resolve, e.HeldBack = sinceThen(a.clock.sought), a.clock.resolve, a.clock.held
		a.clock.sought += e.Waited
		a.clock.held, a.clock.planted = false, false
	}
	if o.AcquireDone != nil {
		o.AcquireDone(a.ctx, e)
	}
}

// discard ends the lease and has the connection closed.
func (a *attempt) discard(end exchange.End) CloseReason {
	if a.t.Observer != nil {
		a.lease.Conn().about().spoiled.Store(true)
	}
	a.lease.Discard(CloseReason(end))
	return CloseReason(end)
}

func (a *attempt) observeAttemptDone(left int, out *exchange.Outcome, reason CloseReason) {
	a.clock.closed, a.clock.reused = reason, a.lease.Reused()
	if o := a.t.Observer; o != nil && o.AttemptDone != nil {
		c := a.lease.Conn().about()
		o.AttemptDone(a.ctx, AttemptDone{
			Identity: a.lease.Key().Value(), Host: a.req.URL.Host, Attempt: int(a.number),
			Conn: c.number, ConnHost: c.host, Protocol: c.protocol, Requests: left,
			Reused: a.lease.Reused(), Wrote: out.Wrote, Started: out.Started,
			Status: int(out.Status), Close: reason, Duration: sinceThen(a.clock.begun),
		})
	}
}

func (a *attempt) observeRetried(v verdict, out *outcome) {
	if o := a.t.Observer; o != nil && o.RequestRetry != nil {
		o.RequestRetry(a.ctx, RequestRetry{
			Identity: a.lease.Key().Value(), Host: a.req.URL.Host, Conn: a.lease.Conn().about().number,
			Attempt: int(a.number), Reason: RetryReason(v), Err: out.err, ErrorType: out.errorType(),
			Reused: out.reused, Wrote: out.Wrote,
		})
	}
}

// observeHead notes when the response arrived.
func (a *attempt) observeHead() {
	if a.t.Observer != nil {
		a.clock.head = sinceThen(a.clock.first)
	}
}

// observeRequestDone is called once for a request, when its last attempt has ended. It gets the status of the response, or
// err, which errorType classifies.
func (a *attempt) observeRequestDone(status int32, err error, errorType ErrorType) {
	o := a.t.Observer
	if o == nil || o.RequestDone == nil {
		return
	}
	o.RequestDone(a.ctx, RequestDone{
		Host: a.req.URL.Host, Scheme: a.req.URL.Scheme, Method: methodOf(a.req),
		Status: int(status), Attempts: int(a.number), Duration: sinceThen(a.clock.first),
		Head: a.clock.head, Close: a.clock.closed, Reused: a.clock.reused,
		Hop: hopOf(err), Err: causeOf(err), ErrorType: errorType, OverBudget: a.overBudget, TimeLimit: a.clock.limit,
	})
}

// observed returns a resolver that passes on the answers of r, and counts and reports them.
func (t *Transport) observed(r resolve.Resolver) resolve.Resolver { return observedResolver{r, t} }

type observedResolver struct {
	resolve.Resolver
	t *Transport
}

// LookupNetIP is called by the cache of names when it has no answer, or an old one. The look-up has failed when its context
// ends, even if the resolver does not heed that.
func (r observedResolver) LookupNetIP(ctx context.Context, network, host string) (addrs []netip.Addr, err error) {
	start := time.Now()
	inTime := context.AfterFunc(ctx, func() { r.done(ctx, host, start, nil, resolve.TimedOut(host)) })
	err = errNoReturn
	defer func() {
		if inTime() {
			r.done(ctx, host, start, addrs, err)
		}
	}()
	addrs, err = r.Resolver.LookupNetIP(ctx, network, host)
	if err == nil && len(addrs) == 0 {
		err = resolve.NotFound(host)
	}
	return addrs, err
}

var errNoReturn = errors.New("peerpool: the resolver has panicked, or has ended its goroutine")

// done counts and reports a look-up.
func (r observedResolver) done(ctx context.Context, host string, start time.Time, addrs []netip.Addr, err error) {
	r.t.core.counters.lookups.Add(1)
	if err != nil {
		r.t.core.counters.lookupFailures.Add(1)
	}
	if o := r.t.Observer; o != nil && o.ResolveDone != nil {
		o.ResolveDone(ctx, ResolveDone{
			Host: host, Start: start, Duration: time.Since(start), Addrs: addrs, Err: err, ErrorType: lookupErrorType(err),
		})
	}
}
