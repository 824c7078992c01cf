package peerpool

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"github.com/peerpool/peerpool/internal/exchange"
	"github.com/peerpool/peerpool/internal/http1"
	"github.com/peerpool/peerpool/internal/http2"
)

// timeouts counts the requests that each of allTimeLimits has ended.
type timeouts [len(allTimeLimits)]atomic.Uint64

func (n *timeouts) add(l TimeLimit) { n[slices.Index(allTimeLimits[:], l)].Add(1) }

func (n *timeouts) byLimit() map[TimeLimit]uint64 {
	all := make(map[TimeLimit]uint64, len(n))
	for i, l := range allTimeLimits {
		all[l] = n[i].Load()
	}
	return all
}

// limitOf returns the time limit that has ended a request with err, a time-out, before there was a response. It returns "" if
// none of them has, as when a resolver reports a time-out.
func limitOf(ctx context.Context, err error) TimeLimit {
	cause := causeOf(err)
	switch {
	case cause == ErrDialTimeout:
		return TimeLimitDial
	case cause == exchange.ErrBodyWrite:
		return TimeLimitBodyWrite
	case cause == http1.ErrHeaderTimeout, cause == http2.ErrHeaderTimeout:
		return TimeLimitResponseHeader
	case errors.Is(err, errHandshakeTimeout{}):
		return TimeLimitTLSHandshake
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return TimeLimitRequest
	case hopOf(err) == opConnect:
		return TimeLimitConnect
	}
	return ""
}

// timedOut counts a request that a time limit has ended, and notes the limit for the Observer. If the request had a response,
// reading its body was too slow, and err is nil.
func (a *attempt) timedOut(err error) {
	limit := TimeLimitBodyRead
	switch {
	case err != nil:
		limit = limitOf(a.ctx, err)
	case errors.Is(a.ctx.Err(), context.DeadlineExceeded):
		limit = TimeLimitRequest
	}
	if limit != "" {
		a.t.core.counters.timeouts.add(limit)
	}
	a.clock.limit = limit
}
