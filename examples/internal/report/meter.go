// Package report compares what peerpool and net/http did: how many connections each opened, how often it reused one, and how
// many requests it sent again.
package report

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peerpool/peerpool"
)

// Meter is an http.RoundTripper that counts what another RoundTripper does. It uses net/http/httptrace, so its numbers mean
// the same for every RoundTripper. Use a Meter for one workload.
type Meter struct {
	base http.RoundTripper
	name string
	pool *peerpool.Transport // nil if base is not peerpool's

	requests, failed, dials, attempts, reused, retries atomic.Int64
}

// Of returns a Meter of a RoundTripper.
func Of(name string, base http.RoundTripper) *Meter {
	m := &Meter{name: name, base: base}
	m.pool, _ = base.(*peerpool.Transport)
	return m
}

// NetHTTP returns a Meter of a new Transport of net/http with the default settings.
func NetHTTP() *Meter {
	return Of("net/http", http.DefaultTransport.(*http.Transport).Clone())
}

// Peerpool returns a Meter of a peerpool.Transport with the default limits of net/http.
func Peerpool() *Meter {
	return Of("peerpool", peerpool.FromHTTP(http.DefaultTransport.(*http.Transport)))
}

// Pool returns the Transport under the Meter, or nil if it is not peerpool's.
func (m *Meter) Pool() *peerpool.Transport { return m.pool }

// RoundTrip implements http.RoundTripper.
func (m *Meter) RoundTrip(req *http.Request) (*http.Response, error) {
	m.requests.Add(1)
	var tries atomic.Int64
	ctx := httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		ConnectDone: func(_, _ string, err error) {
			if err == nil {
				m.dials.Add(1)
			}
		},
		GotConn: func(info httptrace.GotConnInfo) {
			m.attempts.Add(1)
			if tries.Add(1) > 1 { // not GetConn, which net/http calls twice for some requests over HTTP/2
				m.retries.Add(1)
			}
			if info.Reused {
				m.reused.Add(1)
			}
		},
	})
	resp, err := m.base.RoundTrip(req.WithContext(ctx))
	if err != nil {
		m.failed.Add(1)
	}
	return resp, err
}

// CloseIdleConnections closes the idle connections of the other RoundTripper. http.Client calls it.
func (m *Meter) CloseIdleConnections() {
	if c, ok := m.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// Result holds what a RoundTripper has done.
type Result struct {
	Name        string
	Requests    int // that it has got
	Failed      int // for which it returned an error
	Connections int // opened
	Attempts    int // that got a connection
	Reused      int // attempts on a connection that had served before
	Retries     int // attempts after the first of their request
	Took        time.Duration

	// Pool is nil except for peerpool.
	Pool *peerpool.Stats
}

// HitRatio returns the share of attempts on a connection that had served before, or 0 if there was no attempt.
func (r Result) HitRatio() float64 {
	if r.Attempts == 0 {
		return 0
	}
	return float64(r.Reused) / float64(r.Attempts)
}

// Result returns the numbers so far.
func (m *Meter) Result() Result {
	r := Result{
		Name:        m.name,
		Requests:    int(m.requests.Load()),
		Failed:      int(m.failed.Load()),
		Connections: int(m.dials.Load()),
		Attempts:    int(m.attempts.Load()),
		Reused:      int(m.reused.Load()),
		Retries:     int(m.retries.Load()),
	}
	if m.pool != nil {
		stats := m.pool.Stats()
		r.Pool = &stats
	}
	return r
}

// Compare runs the same work with each Meter, one after the other, and prints the results. It stops at the first error of
// work.
func Compare(ctx context.Context, w io.Writer, work func(context.Context, *Meter) error, meters ...*Meter) ([]Result, error) {
	var results []Result
	for _, m := range meters {
		start := time.Now()
		err := work(ctx, m)
		took := time.Since(start)
		r := m.Result()
		r.Took = took
		m.CloseIdleConnections()
		results = append(results, r)
		if err != nil {
			return results, err
		}
	}
	return results, Print(w, results...)
}

// Each calls do with each number below n, with at most workers calls at a time. After an error, it starts no further call. It
// returns the first error.
func Each(ctx context.Context, workers, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(workers, n) {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}
