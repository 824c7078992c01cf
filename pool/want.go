package pool

import (
	"context"
	"errors"
	"time"
)

var errNoDialer = errors.New("pool: Acquire was called with a nil Dialer and found no idle connection")

// request is one TryAcquire or Acquire on its way through the pool.
type request[C Conn] struct {
	terms  *Terms
	start  time.Duration
	found  finding       // so far
	rested time.Duration // how long the connection was idle that was found
	caller *caller[C]    // nil: a TryAcquire, which does not wait
}

// caller is what an Acquire has that a TryAcquire has not.
type caller[C Conn] struct {
	ctx    context.Context // for the values that the dial is to see
	dialer Dialer[C]
}

// want is a request that waits for a connection. It is settled once, by a delivery or by its leaving, and is in
// a queue until then. All of it is guarded by Pool.mu or set once.
type want[K comparable, C Conn] struct {
	group     *group[K, C]
	caller    caller[C]
	terms     Terms
	order     uint64              // among all wants of the pool
	dial      *dial[K, C]         // under way and asked for by this want, or nil
	settled   bool                // one-way
	ready     chan delivery[K, C] // holds one, so that a delivery never blocks
	inQueue   node[want[K, C]]
	inUnasked node[want[K, C]]
}

// delivery is what a want waited for: a connection, or its place on one, or an error.
type delivery[K comparable, C Conn] struct {
	claim[K, C]
	err error
}

// join puts the request into the queue of its group, which it makes if the key was unknown.
func (p *Pool[K, C]) join(g *group[K, C], key K, r *request[C]) (*want[K, C], error) {
	if r.caller.dialer == nil {
		return nil, errNoDialer
	}
	switch {
	case r.terms.Fresh:
		r.found = fresh
	case r.terms.Unpooled:
		r.found = unpooled
	case g != nil && g.active > 0:
		r.found = max(busy, r.found, r.terms.Missed.finding())
	default:
		r.found = max(cold, r.found, r.terms.Missed.finding())
	}
	if g == nil {
		g = newGroup(p, key)
		p.groups[key] = g
		p.crowd = max(p.crowd, len(p.groups))
	}
	p.tally.misses[r.found.miss()]++
	g.misses++

	p.joined++
	w := &want[K, C]{
		group: g, caller: *r.caller, terms: *r.terms, order: p.joined,
		ready: make(chan delivery[K, C], 1),
	}
	if g.wants == p.nobody {
		g.wants = p.room()
	}
	w.inQueue.owner, w.inUnasked.owner = w, w
	g.queue(&w.terms).pushBack(&w.inQueue)
	if w.terms.Unpooled {
		g.alone++
	}
	g.mixed = g.unasked.len > 0 && (g.mixed || !g.unasked.last().expects(w))
	g.unasked.pushBack(&w.inUnasked)
	g.roof = max(g.roof, w.terms.maxConns())
	p.waiting++
	return w, nil
}

// expects says that what covers this want covers the other.
func (w *want[K, C]) expects(other *want[K, C]) bool {
	return w.terms.Expect == other.terms.Expect && w.terms.Unpooled == other.terms.Unpooled
}

// settle takes the want out of its queue, for good, and returns its dial, which goes on for whoever waits when it
// ends.
func (w *want[K, C]) settle() *dial[K, C] {
	g := w.group
	w.settled = true
	g.queue(&w.terms).remove(&w.inQueue)
	if w.terms.Unpooled {
		g.alone--
	}
	g.pool.waiting--
	d := w.dial
	if d == nil {
		g.unasked.remove(&w.inUnasked)
	} else {
		d.want, w.dial = nil, nil
		g.cover(d, -1)
	}
	if g.waiting() == 0 {
		g.pool.vacant, g.wants = g.wants, g.pool.nobody
	}
	return d
}

// deliver settles the want. A connection is active from here on, though its lease begins only when the waiting
// Acquire takes it.
func (p *Pool[K, C]) deliver(w *want[K, C], d delivery[K, C]) {
	own := w.settle()
	w.ready <- d
	if own != nil && !own.landed {
		own.adopt()
	}
}

// await is the waiting half of Acquire. When ctx has ended, a connection that was delivered all the same goes
// to the next want or to idle.
func (p *Pool[K, C]) await(w *want[K, C], r *request[C]) (Lease[K, C], error) {
	ctx := r.caller.ctx
	var got delivery[K, C]
	select {
	case got = <-w.ready:
	case <-ctx.Done():
		got = p.leave(w)
	}
	if ctx.Err() != nil {
		if got.entry != nil {
			p.giveBack(got.claim)
		}
		return Lease[K, C]{}, context.Cause(ctx)
	}
	if got.err != nil {
		return Lease[K, C]{}, got.err
	}
	return got.begin(r.terms, r.found, p.now()-r.start), nil
}

// leave settles the want whose context has ended, or returns what it was delivered just before. Its dial no longer
// counts for others, which may have to start theirs.
func (p *Pool[K, C]) leave(w *want[K, C]) (got delivery[K, C]) {
	p.mu.Lock()
	if w.settled {
		got = <-w.ready
	} else {
		w.settle()
		p.tend(w.group)
	}
	p.unlock()
	return got
}
