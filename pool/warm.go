package pool

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// LimitError is the error of a Warm that asks for more connections than a limit allows.
type LimitError struct {
	Limit string // "MaxConns" of [Terms], "MaxIdlePerKey" or "MaxIdle" of [Config]
	Max   int    // the limit
	Conns int    // how many connections Warm would need
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("pool: Warm needs %d connections, %s allows %d", e.Conns, e.Limit, e.Max)
}

var errIdleClosed = errors.New("pool: CloseIdle was called before the connections were open")

// warmup is one call of Warm.
type warmup struct {
	n    int
	done chan error // has room for one value, so that sending never blocks
}

// Warm opens connections of a key until n requests at once would find one each, idle or with a free place on a shared
// one. It returns nil when that is the case, even if that was the case before the call. Warm does not lease these
// connections: they are idle like any others, and other requests may take them at any time.
//
// Warm returns the error of the first dial that fails, and an error if a limit does not allow that many connections. It
// returns context.Cause(ctx) if ctx ends first, and ErrClosed after KeepNone or Shutdown. Connections that it has
// opened by then stay, and dials under way go on. The context of the dials has the values of ctx.
func (p *Pool[K, C]) Warm(ctx context.Context, key K, dialer Dialer[C], n int, terms Terms) error {
	return p.warm(asked[K, C]{key: key}, caller[K, C]{ctx: ctx, dialer: dialer}, n, &terms)
}

// Warm does what Pool.Warm does, for all keys of the host together.
func (h *Host[K, C]) Warm(ctx context.Context, dialer HostDialer[K, C], n int, terms Terms) error {
	return h.pool.warm(asked[K, C]{host: h}, caller[K, C]{ctx: ctx, hostDialer: dialer}, n, &terms)
}

func (p *Pool[K, C]) warm(at asked[K, C], by caller[K, C], n int, terms *Terms) error {
	ctx := by.ctx
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if terms.Unpooled {
		return errors.New("pool: connections that are not pooled cannot be kept ready")
	}
	p.mu.Lock()
	if p.closed || p.keepNone {
		p.mu.Unlock()
		return ErrClosed
	}
	p.closeIdle = false
	h := p.hostOf(at)
	if h == nil {
		h = p.know(at)
	}
	f, w := p.floorOf(h), &warmup{n: n, done: make(chan error, 1)}
	f.caller, f.terms, f.resume = by, *terms, 0
	f.warmup = append(f.warmup, w)
	p.tendHost(h)
	p.unlock()

	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
	}
	p.mu.Lock()
	f.warmup = slices.DeleteFunc(f.warmup, func(other *warmup) bool { return other == w })
	p.tendHost(h)
	p.unlock()
	return context.Cause(ctx)
}

// answer answers calls of Warm. If err is not nil, it answers all of them. Otherwise it answers those whose connections
// are open, and those that need more connections than a limit allows.
func (f *floor[K, C]) answer(err error) {
	f.warmup = slices.DeleteFunc(f.warmup, func(w *warmup) bool {
		verdict := err
		if err == nil && f.host.free(w.n) < w.n {
			if verdict = f.outOfReach(w.n); verdict == nil {
				return false
			}
		}
		w.done <- verdict
		return true
	})
}

// outOfReach returns an error if a limit does not allow as many connections as n requests at once need. It returns nil
// if that number is not known yet.
func (f *floor[K, C]) outOfReach(n int) error {
	share := f.share()
	if share == 0 {
		return nil
	}
	config := f.host.pool.config
	conns := (n-1)/share + 1
	for _, limit := range []struct {
		name string
		is   int
	}{{"MaxConns", f.terms.MaxConns}, {"MaxIdlePerKey", config.MaxIdlePerKey}, {"MaxIdle", config.MaxIdle}} {
		if limit.is < 0 && limit.name != "MaxConns" || limit.is > 0 && conns > limit.is {
			return &LimitError{Limit: limit.name, Max: max(0, limit.is), Conns: conns}
		}
	}
	return nil
}
