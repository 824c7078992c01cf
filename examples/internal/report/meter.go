// Package report tells what a Transport did: how many connections it opened, how often it reused one, and how many
// requests it sent again, for peerpool beside net/http.
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

// Meter is an http.RoundTripper that counts what the one below it does. It sees it as any program can, through
// net/http/httptrace, so that its numbers mean the same for every RoundTripper. Use one for one workload.
type Meter struct {
	base http.RoundTripper
	name string
	pool *peerpool.Transport // nil: base is something else

	requests, failed, dials, attempts, reused, retries atomic.Int64
}

// Of returns a Meter of a RoundTripper.
func Of(name string, base http.RoundTripper) *Meter {
	m := &Meter{name: name, base: base}
	m.pool, _ = base.(*peerpool.Transport)
	return m
}

// NetHTTP returns a Meter of net/http's Transport as it is by default, with connections of its own.
func NetHTTP() *Meter {
	return Of("net/http", http.DefaultTransport.(*http.Transport).Clone())
}

// Peerpool returns a Meter of a peerpool.Transport with the limits that net/http's has by default.
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
			if tries.Add(1) > 1 { // GetConn would tell of more, but net/http asks twice for some of HTTP/2
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

// CloseIdleConnections closes the idle connections of the RoundTripper below; http.Client calls it.
func (m *Meter) CloseIdleConnections() {
	if c, ok := m.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// Result is what a RoundTripper has done.
type Result struct {
	Name        string
	Requests    int // that it was given
	Failed      int // that it returned an error for
	Connections int // opened
	Attempts    int // that got a connection
	Reused      int // attempts on a connection that had served before
	Retries     int // attempts after the first of their request
	Took        time.Duration

	// Pool is nil, but for peerpool.
	Pool *peerpool.Stats
}

// HitRatio is the share of attempts on a connection that had served before; 0 if there was none.
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

// Compare gives the same work to each Meter, one after the other, and prints what became of it. It ends with the
// first error of work.
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

// Each calls do with each number below n, at most workers at a time, and returns the first error. After an error it
// begins no more.
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
