package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// load sends requests from several callers at the same time, and reports the result of each. It keeps nothing per request.
type load struct {
	client  *http.Client
	callers int
	timeout time.Duration // of a request, including the body of its response; 0: none

	// prepare makes request number n, counted from 0. It must be safe for concurrent use.
	prepare func(ctx context.Context, n int) exchange

	answered, failed atomic.Int64 // so far
}

// exchange is one request, and what to do with its response.
type exchange struct {
	req   *http.Request
	body  io.Writer    // takes the body of the response
	where *whereabouts // follows the request; may be nil
	done  func(result)
}

// result is how a request ended: with a response that was read to its end, with an error, or unfinished.
type result struct {
	status     int           // of a response that was read to its end; else 0
	bytes      int64         // of its body
	latency    time.Duration // to the end of the body
	err        error         // there was no response, or its body ended early
	unfinished bool          // given up because the load was stopped
	givenUpAt  hop           // the hop that the request had reached when its time was over or the load was stopped; else ""
}

// newClient returns a client that adds nothing to rt: it does not follow redirects.
func newClient(rt http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     rt,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// run sends the requests with the numbers first to end-1, and returns when all have ended. If ctx ends, run sends no more
// requests, and gives up those under way.
func (l *load) run(ctx context.Context, first, end int) {
	var sent atomic.Int64
	var callers sync.WaitGroup
	for range min(l.callers, end-first) {
		callers.Go(func() {
			for ctx.Err() == nil {
				n := first + int(sent.Add(1)) - 1
				if n >= end {
					return
				}
				l.send(ctx, n)
			}
		})
	}
	callers.Wait()
}

// send sends one request and reads its response.
func (l *load) send(stop context.Context, n int) {
	ctx := stop
	if l.timeout > 0 {
		timed, cancel := context.WithTimeout(stop, l.timeout)
		defer cancel()
		ctx = timed
	}
	x := l.prepare(ctx, n)
	r := l.exchange(x)
	switch {
	case r.err == nil:
		l.answered.Add(1)
	case stop.Err() != nil:
		r = result{unfinished: true, givenUpAt: x.where.now()}
	default:
		l.failed.Add(1)
		if ctx.Err() != nil {
			r.givenUpAt = x.where.now()
		}
	}
	x.done(r)
}

func (l *load) exchange(x exchange) result {
	begun := time.Now()
	resp, err := l.client.Do(x.req)
	if err != nil {
		return result{err: cause(err)}
	}
	defer resp.Body.Close()
	x.where.enter(hopBody, true)
	r := result{status: resp.StatusCode}
	if r.status != http.StatusSwitchingProtocols { // the bytes after it are not a body, and may never end
		r.bytes, err = io.Copy(x.body, resp.Body)
	}
	if err != nil {
		return result{err: cause(err)}
	}
	r.latency = time.Since(begun)
	return r
}

// cause removes the *url.Error that http.Client puts around an error. The method and the URL in it are known.
func cause(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}
