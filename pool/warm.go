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
	Taken int    // how many of Max other calls of Warm need, which began earlier and have not returned
}

func (e *LimitError) Error() string {
	text := fmt.Sprintf("pool: Warm needs %d connections, %s allows %d", e.Conns, e.Limit, e.Max)
	if e.Taken > 0 {
		text += fmt.Sprintf(", and other calls of Warm need %d of these", e.Taken)
	}
	return text
}

var errIdleClosed = errors.New("pool: CloseIdle was called before the connections were open")

// warmTries is how many connections in a row may end before they are of use, until Warm returns an error. Connections that
// were dialed at the same time count as one.
const warmTries = 3

// warmup is one call of Warm.
type warmup struct {
	n     int
	order uint64     // its place among all calls, from 1
	done  chan error // has room for one value, so that sending never blocks
}

// Warm opens connections of a key until n requests at once would find one each, idle or with a free place on a shared
// one. It returns nil when that is the case, even if that was the case before the call. Warm does not lease these
// connections: they are idle like any others, and other requests may take them at any time.
//
// While Warm waits, no other connection takes the place of an idle one that it needs, even if Config.MaxIdle is reached. So
// calls of Warm for different keys do not close each other's connections. If their connections together exceed MaxIdle, the
// later call fails with a LimitError, and opens nothing. When Warm has returned, its connections count as any others: a later
// Warm may take their places.
//
// Warm returns the error of the first dial that fails, and an error if a limit does not allow that many connections. If a
// connection retires, or shows no capacity, before it could be leased, Warm dials again at once. If that happens three times in
// a row, Warm returns an error that wraps ErrRetired. Warm returns context.Cause(ctx) if ctx ends first, and ErrClosed after
// KeepNone or Shutdown. Connections that it has opened by then stay, and dials under way go on. The context of the dials has the
// values of ctx.
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
	p.warmups++
	f, w := p.floorOf(h), &warmup{n: n, order: p.warmups, done: make(chan error, 1)}
	if len(f.warmup) == 0 {
		f.gone = 0
	}
	f.caller, f.terms, f.resume = by, *terms, 0
	f.await(append(f.warmup, w))
	p.tendHost(h)
	p.unlock()

	select {
	case err := <-w.done:
		return withFailure(err)
	case <-ctx.Done():
	}
	p.mu.Lock()
	f.await(slices.DeleteFunc(f.warmup, func(other *warmup) bool { return other == w }))
	p.tendHost(h)
	p.unlock()
	return context.Cause(ctx)
}

// answer answers calls of Warm. If err is not nil, it answers all of them. Otherwise it answers those whose connections
// are open, and those that need more connections than a limit allows.
func (f *floor[K, C]) answer(err error) {
	f.await(slices.DeleteFunc(f.warmup, func(w *warmup) bool {
		verdict := err
		if err == nil && f.host.free(w.n) < w.n {
			if verdict = f.outOfReach(w); verdict == nil {
				return false
			}
		}
		w.done <- verdict
		return true
	}))
}

// again reports whether a call of Warm dials again after a dial whose connection has ended before it could be of use.
func (f *floor[K, C]) again(d *dial[K, C]) bool {
	if len(f.warmup) == 0 {
		return false
	}
	if d.round == f.round { // otherwise the dial began before the latest round
		f.round++
		f.gone++
	}
	if f.gone >= warmTries {
		return false
	}
	f.resume = 0
	return true
}

// await sets the calls of Warm that wait.
func (f *floor[K, C]) await(calls []*warmup) {
	f.warmup = calls
	p := f.host.pool
	switch waits := slices.Contains(p.warming, f); {
	case waits && len(calls) == 0:
		p.warming = slices.DeleteFunc(p.warming, func(other *floor[K, C]) bool { return other == f })
	case !waits && len(calls) > 0:
		p.warming = append(p.warming, f)
	}
}

// conns returns how many connections n requests at once need. If it is not known how many requests a connection serves, conns
// returns the least number, 1.
func (f *floor[K, C]) conns(n int) int {
	share := f.share()
	if share == 0 {
		return 1
	}
	return (n-1)/share + 1
}

// taken returns how many connections the calls of Warm for other hosts need that began before w.
func (f *floor[K, C]) taken(w *warmup) (conns int) {
	for _, other := range f.host.pool.warming {
		most := 0
		for _, earlier := range other.warmup {
			if other != f && earlier.order < w.order {
				most = max(most, earlier.n)
			}
		}
		if most > 0 {
			conns += other.conns(most)
		}
	}
	return conns
}

// outOfReach returns an error if a limit does not allow as many connections as a call of Warm needs.
func (f *floor[K, C]) outOfReach(w *warmup) error {
	config, conns := f.host.pool.config, f.conns(w.n)
	for _, limit := range []struct {
		name      string
		is, taken int
	}{
		{"MaxConns", max(0, f.terms.MaxConns), 0},
		{"MaxIdlePerKey", config.MaxIdlePerKey, 0},
		{"MaxIdle", config.MaxIdle, f.taken(w)},
	} {
		if limit.is < 0 || limit.is > 0 && conns+limit.taken > limit.is {
			return &LimitError{Limit: limit.name, Max: max(0, limit.is), Conns: conns, Taken: limit.taken}
		}
	}
	return nil
}

// warms reports whether a call of Warm waits that counts the idle connections of the group.
func (g *group[K, C]) warms() bool {
	return slices.ContainsFunc(g.own.pool.warming, func(f *floor[K, C]) bool {
		return slices.Contains(f.host.listedGroups(), g)
	})
}

// evictee returns the idle connection that is closed so that one of the group can become idle: the one that was released
// longest ago. The connections that a waiting call of Warm counts stay, unless there are no others and one of the group counts
// too. If there is none to close, evictee returns nil.
func (p *Pool[K, C]) evictee(g *group[K, C]) *entry[K, C] {
	if len(p.warming) == 0 {
		return p.idle.last
	}
	for e := p.idle.last; e != nil; e = e.in[inPool].prev {
		if !e.group.warms() {
			return e
		}
	}
	if g.warms() {
		return p.idle.last
	}
	return nil
}
