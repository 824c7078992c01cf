package peerpool

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Report describes what happened to the requests that were made with one context: see [WithReport]. It can be read at
// any time, also while requests are under way, and is safe for concurrent use. It shows no secret: see [Identity].
//
// A Report grows with every attempt at a request. Create one for each request, or for a few requests that belong
// together.
type Report struct {
	// mu guards the attempts and what they point to. Nothing else is done while it is held.
	mu       sync.Mutex
	requests int // number of requests so far
	attempts []*Attempt
}

// WithReport returns a copy of ctx and a Report. The Report describes all requests that are made with the returned
// context or with a context derived from it. If the context of a request has several Reports, only the innermost one
// describes the request. A request without a Report costs nothing more.
func WithReport(ctx context.Context) (context.Context, *Report) {
	r := &Report{}
	v := valuesOf(ctx)
	v.report = r
	return context.WithValue(ctx, contextKey{}, v), r
}

// Attempts returns what is known at this moment about every attempt, in the order in which the attempts began. A
// request that is sent again, or that follows a redirect, makes further attempts.
func (r *Report) Attempts() []Attempt {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]Attempt, len(r.attempts))
	for i, a := range r.attempts {
		all[i] = *a
		all[i].Dials = slices.Clone(a.Dials)
	}
	return all
}

// Wrote reports whether any byte of the requests was written, or may have been written. If it returns false, no
// server has seen any part of them, and it is safe to make them again.
func (r *Report) Wrote() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.attempts, func(a *Attempt) bool { return a.Wrote })
}

// String returns a description with one line for each attempt.
func (r *Report) String() string {
	var lines []string
	for _, a := range r.Attempts() {
		lines = append(lines, a.String())
	}
	return strings.Join(lines, "\n")
}

// Attempt describes one attempt at a request, as part of a [Report]. A time that is not known yet is zero.
type Attempt struct {
	Request int // number of the request in the Report, from 1
	Number  int // number of the attempt at that request, from 1

	Method string // never ""
	Scheme string // "http" or "https"
	Host   string // host of the URL, with the port if the URL has one

	Identity Identity // identity of the connection, as far as it is known
	Protocol string   // protocol of the connection: "HTTP/1.1", "HTTP/2", or a protocol in TLSNextProto; "" if there is no connection
	Reused   bool     // the connection had served a request before, or had been idle in the pool
	Wrote    bool     // a byte of the request was written, or may have been; known when Head is set
	Started  bool     // a byte of the response arrived
	Status   int      // status code of the response; 0 if there is none

	// Retry is the reason why the request was sent again after this attempt, or "" if it was not. RetryReasons lists
	// the reasons.
	Retry RetryReason
	// OverBudget says that the request was not sent again, although it could have been, because of Transport.RetryBudget.
	OverBudget bool
	// Hop is the hop of the dial that failed: "resolve", "connect", "proxy", "tls" or "http2". It is "" if none
	// failed.
	Hop string
	// Err is the error of the attempt. It is nil if the attempt got a response, even if reading its body failed
	// later.
	Err error
	// ErrorType classifies Err as in [RequestDone].
	ErrorType ErrorType

	Start time.Time
	Wait  time.Duration // time spent waiting for a connection: look-up, dial, or wait for another request's connection
	Head  time.Duration // time after Wait until the head of the response arrived, or until the attempt failed
	Body  time.Duration // time after Head until the end of the response's body
	Done  bool          // the attempt is over

	// Dials are the dials that this attempt began and that have ended, with the duration of each hop. The attempt may
	// still have got its connection elsewhere, because it takes the first connection that is available. If the
	// Transport has no Observer, the Conn of each of them is 0.
	Dials []DialDone
}

// String returns a description of the attempt on one line.
func (a Attempt) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s://%s request=%d attempt=%d identity=%v", a.Method, a.Scheme, a.Host, a.Request, a.Number, a.Identity)
	for _, fact := range []struct {
		name  string
		value any
		shown bool
	}{
		{"protocol", a.Protocol, a.Protocol != ""},
		{"reused", a.Reused, a.Protocol != ""},
		{"wrote", a.Wrote, true},
		{"started", a.Started, true},
		{"status", a.Status, a.Status != 0},
		{"hop", a.Hop, a.Hop != ""},
		{"error_type", a.ErrorType, a.ErrorType != ""},
		{"retry", a.Retry, a.Retry != ""},
		{"wait", a.Wait, true},
		{"head", a.Head, true},
		{"body", a.Body, a.Body != 0},
	} {
		if fact.shown {
			fmt.Fprintf(&b, " %s=%v", fact.name, fact.value)
		}
	}
	return b.String()
}

// reporting fills in the part of a Report that concerns one attempt. A nil *reporting does nothing.
type reporting struct {
	report *Report

	// The report's mu guards the fields below.
	about  *Attempt
	last   time.Duration // when the present stage began, since epoch
	headed bool          // Head is set
}

// newReporting begins to report on the attempt a. If after is not nil, it is the attempt before a at the same request.
func newReporting(r *Report, a, after *attempt) *reporting {
	if r == nil {
		return nil
	}
	u := a.req.URL
	about := &Attempt{
		Number: int(a.number), Method: methodOf(a.req), Scheme: u.Scheme, Host: u.Host, Start: time.Now(),
		Identity: unrouted(u, a.peer),
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if after != nil {
		about.Request = after.report.about.Request
	} else {
		r.requests++
		about.Request = r.requests
	}
	r.attempts = append(r.attempts, about)
	return &reporting{report: r, about: about, last: time.Since(epoch)}
}

// of returns the Report, or nil.
func (r *reporting) of() *Report {
	if r == nil {
		return nil
	}
	return r.report
}

// stage ends a stage of the attempt. It calls note to fill in the Attempt, with the time that the stage took.
func (r *reporting) stage(note func(about *Attempt, took time.Duration)) {
	if r == nil {
		return
	}
	now := time.Since(epoch)
	r.report.mu.Lock()
	defer r.report.mu.Unlock()
	note(r.about, now-r.last)
	r.last = now
}

// reportAcquired reports how the attempt got its connection, or why it did not. It may be called again for the same attempt.
func (a *attempt) reportAcquired(id Identity, err error) {
	if a.report == nil {
		return
	}
	if id.scheme == "" {
		id = unrouted(a.req.URL, a.peer)
	}
	var c conn
	reused := false
	if err == nil {
		c, reused = a.lease.Conn(), a.lease.Reused()
	}
	a.report.stage(func(about *Attempt, took time.Duration) {
		about.Identity, about.Reused = id, reused
		about.Wait += took
		about.Hop, about.Err, about.ErrorType, about.Done = hopOf(err), causeOf(err), dialErrorType(err), err != nil
		about.Protocol = protocolOf(c)
	})
}

// protocolOf returns the name of the protocol that a connection speaks, or "" if c is nil.
func protocolOf(c conn) string {
	switch c := c.(type) {
	case *http1Conn:
		return nameHTTP1
	case *http2Conn:
		return nameHTTP2
	case *alternateConn:
		return c.name
	}
	return ""
}

// exchanged reports the outcome of the exchange.
func (r *reporting) exchanged(o *outcome) {
	r.stage(func(about *Attempt, took time.Duration) {
		about.Wrote, about.Started, about.Status = o.Wrote, o.Started, int(o.Status)
		about.Err, about.ErrorType = o.err, o.errorType()
		if !r.headed {
			about.Head, r.headed = took, true
		}
	})
}

// done reports that the exchange is over. If the response has no body, done is called before the outcome is known.
func (r *reporting) done() {
	r.stage(func(about *Attempt, took time.Duration) {
		if about.Done = true; r.headed {
			about.Body = took
		} else {
			about.Head, r.headed = took, true
		}
	})
}

// overBudget reports that the request is not sent again because of the budget.
func (r *reporting) overBudget() {
	r.stage(func(about *Attempt, _ time.Duration) { about.OverBudget = true })
}

// retried reports that the request is sent again.
func (r *reporting) retried(v verdict) {
	r.stage(func(about *Attempt, _ time.Duration) { about.Retry = RetryReason(v) })
}

// dialed reports a dial that the attempt has begun.
func (r *reporting) dialed(d DialDone) {
	r.report.mu.Lock()
	defer r.report.mu.Unlock()
	r.about.Dials = append(r.about.Dials, d)
}

type reportingKey struct{}

// in returns the context of a dial that the attempt begins.
func (r *reporting) in(ctx context.Context) context.Context {
	if r == nil {
		return ctx
	}
	return context.WithValue(ctx, reportingKey{}, r)
}

// reportingIn returns the reporting of the attempt that has begun a dial, or nil.
func reportingIn(ctx context.Context) *reporting {
	r, _ := ctx.Value(reportingKey{}).(*reporting)
	return r
}
