package peerpool

import (
	"context"

	"github.com/peerpool/peerpool/pool"
)

// heldBackKey is the key of the attempt in the context of an Acquire that MaxConnsPerHost may hold back.
type heldBackKey struct{}

// mayBeHeldBack returns the context for an Acquire of the attempt. With it, heldBack finds the attempt.
func (a *attempt) mayBeHeldBack(ctx context.Context) context.Context {
	return context.WithValue(ctx, heldBackKey{}, a)
}

// heldBack is called by the pool on the goroutine of an attempt, before the attempt waits.
func (t *Transport) heldBack(ctx context.Context, b pool.Backlog) {
	o := t.Observer
	if o == nil {
		return // otherwise the innermost attempt in ctx is the one that waits
	}
	a := ctx.Value(heldBackKey{}).(*attempt)
	a.clock.held = true
	if o.AcquireWait != nil {
		o.AcquireWait(a.ctx, AcquireWait{
			Identity: a.route.identity(), Host: a.req.URL.Host, Attempt: int(a.number),
			MaxConns: b.MaxConns, Dialing: b.Dialing, Waiting: b.Waiting, Longest: b.Longest,
		})
	}
}
