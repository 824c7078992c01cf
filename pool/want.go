package pool

import (
	"context"
	"errors"
	"time"
)

var errNoDialer = errors.New("pool: Acquire was called with a nil Dialer and found no idle connection")

// request is one TryAcquire or Acquire on its way through the pool.
type request[K comparable, C Conn] struct {
	terms  *Terms
	start  time.Duration
	found  finding       // what the request has found so far
	rested time.Duration // how long the connection that it found had been idle
	roomy  bool          // that connection is shared and was idle while others waited
	data   finding       // planted if a connection that it found held unexpected data, or 0
	caller *caller[K, C] // nil for a TryAcquire, which does not wait
}

// avoid reports whether the connection has been idle for longer than the request accepts, and notes that it has.
func (r *request[K, C]) avoid(e *entry[K, C]) bool {
	if !r.refuses(e) {
		return false
	}
	e.group.avoided = r.terms.MaxIdleTime
	r.found = max(r.found, expired)
	return true
}

// refuses reports whether the connection has been idle for longer than the request accepts.
func (r *request[K, C]) refuses(e *entry[K, C]) bool {
	limit := r.terms.MaxIdleTime
	return limit > 0 && r.start-e.idleSince >= limit
}

// asked is what a request asks for: a connection of a key, or of a host.
type asked[K comparable, C Conn] struct {
	key  K
	host *Host[K, C] // nil if the request asks for the key
}

// caller holds what an Acquire has and a TryAcquire does not have.
type caller[K comparable, C Conn] struct {
	ctx        context.Context // the dial sees its values
	dialer     Dialer[C]
	hostDialer HostDialer[K, C] // for a Host, in place of dialer
}

// want is a request that waits for a connection. It is in a queue until it ends. It ends once: with a delivery, or when
// its caller leaves. Its fields are guarded by Pool.mu or set once.
type want[K comparable, C Conn] struct {
	host      *host[K, C]
	caller    caller[K, C]
	terms     Terms
	order     uint64              // its place among all wants of the pool
	since     time.Duration       // when it joined
	backlog   *Backlog            // nil unless MaxConns held it back when it joined, and there is a hook to tell
	dial      *dial[K, C]         // the dial under way that this want asked for or adopted, or nil
	over      bool                // one-way: the want has left its queue
	ready     chan delivery[K, C] // has room for one value, so that a delivery never blocks
	inQueue   node[want[K, C]]
	inUnasked node[want[K, C]]
}

// delivery is what a want gets: a connection, a place on a shared one, or an error.
type delivery[K comparable, C Conn] struct {
	claim[K, C]
	err error
}

// join puts the request into the queue of the host that it asks for. h is nil if the pool did not know that host.
func (p *Pool[K, C]) join(at asked[K, C], h *host[K, C], r *request[K, C]) (*want[K, C], error) {
	if r.caller.dialer == nil && r.caller.hostDialer == nil {
		return nil, errNoDialer
	}
	switch {
	case r.terms.Fresh:
		r.found = fresh
	case r.terms.Unpooled:
		r.found = unpooled
	case h != nil && h.inUse():
		r.found = max(busy, r.found, r.terms.Missed.finding())
	default:
		r.found = max(cold, r.found, r.terms.Missed.finding())
	}
	switch named := at.host; {
	case h != nil:
	case named == nil:
		h = &p.ensure(at.key).own
	default:
		named.join()
		h = &named.host
	}
	p.tally.misses[r.found.miss()]++
	h.misses++

	p.joined++
	w := &want[K, C]{
		host: h, caller: *r.caller, terms: *r.terms, order: p.joined, since: r.start,
		ready: make(chan delivery[K, C], 1),
	}
	if h.wants == p.nobody {
		h.wants = p.room()
	}
	w.inQueue.owner, w.inUnasked.owner = w, w
	h.queue(&w.terms).pushBack(&w.inQueue)
	if w.terms.Unpooled {
		h.alone++
	}
	h.mixed = h.unasked.len > 0 && (h.mixed || !h.unasked.last().expects(w))
	h.unasked.pushBack(&w.inUnasked)
	h.roof = max(h.roof, w.terms.maxConns())
	p.waiting++
	return w, nil
}

// expects reports whether dials that cover this want also cover the other.
func (w *want[K, C]) expects(other *want[K, C]) bool {
	return w.terms.Expect == other.terms.Expect && w.terms.Unpooled == other.terms.Unpooled
}

// leaveQueue takes the want out of its queue for good. It returns the want's dial, which goes on and serves the wants
// that are there when it ends.
func (w *want[K, C]) leaveQueue() *dial[K, C] {
	h := w.host
	w.over = true
	h.queue(&w.terms).remove(&w.inQueue)
	if w.terms.Unpooled {
		h.alone--
	}
	h.pool.waiting--
	d := w.dial
	if d == nil {
		h.unasked.remove(&w.inUnasked)
	} else {
		d.want, w.dial = nil, nil
		h.cover(d, -1)
	}
	if h.waiting() == 0 {
		h.pool.vacant, h.wants = h.wants, h.pool.nobody
	}
	return d
}

// deliver ends the want. A connection that is delivered is active from now on, although its lease begins only when the
// waiting Acquire takes it.
func (p *Pool[K, C]) deliver(w *want[K, C], d delivery[K, C]) {
	own := w.leaveQueue()
	w.ready <- d
	if own != nil && !own.landed {
		own.adopt()
	}
}

// await is the waiting half of Acquire. If ctx has ended and a connection was delivered nevertheless, the connection
// goes to the next want or becomes idle.
func (p *Pool[K, C]) await(w *want[K, C], r *request[K, C]) (Lease[K, C], error) {
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
		return Lease[K, C]{}, withFailure(got.err)
	}
	return got.begin(&w.terms, r.found|r.data, p.now()-r.start), nil
}

// leave ends a want whose context has ended, or returns what was delivered to it just before. The want's dial then no
// longer counts for other wants, which may have to start their own.
func (p *Pool[K, C]) leave(w *want[K, C]) (got delivery[K, C]) {
	p.mu.Lock()
	if w.over {
		got = <-w.ready
	} else {
		w.leaveQueue()
		p.tendHost(w.host)
	}
	p.unlock()
	return got
}
