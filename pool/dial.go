package pool

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"time"
)

// dial is one call of a Dialer. Its goroutine belongs to the pool and ends when the Dialer returns.
type dial[K comparable, C Conn] struct {
	host   *host[K, C]
	caller caller[K, C]    // its context is that of the asker
	ctx    context.Context // the asker's values, but not its end; Shutdown cancels it
	cancel context.CancelCauseFunc
	terms  *Terms // of the want that asked for it
	order  uint64 // Pool.joined when it began

	floor *floor[K, C] // that it is for, or nil

	paced   *pace // that counts the dial, or nil
	episode uint32

	replaces  *entry[K, C] // the connection whose successor the dial is to bring, or nil
	reason    Reason       // for which it is
	inPlaceOf *group[K, C] // the group of a replacement, or nil

	first  K           // that the host would like it to lead to, or the zero K
	toward *seat[K, C] // of first, or nil

	// Guarded by Pool.mu.
	want    *want[K, C] // that asked for it, or adopted it, and still waits, or nil
	adopted bool        // its asker was served otherwise; want, if any, only counts on what it brings
	landed  bool
	inPool  node[dial[K, C]]
}

// startDials starts a dial of its own for every want that asks for one of the groups, alone or among others, as far as
// the limits allow, the oldest want first. A want that its own MaxConns holds back does not hold back those with a higher
// one. Dials whose want has left, or was served otherwise, do not count for anybody else: one of them may hang, and nobody
// should depend on it. It returns the groups in which it has closed a connection to make room.
func (p *Pool[K, C]) startDials(groups ...*group[K, C]) (closed []*group[K, C]) {
	for {
		var oldest *want[K, C]
		p.visits++
		pass := p.visits
		for _, g := range groups {
			oldest = older(oldest, p.nextToDial(&g.own))
			for _, s := range g.joined() {
				if h := s.host; h.set.dialed != pass {
					h.set.dialed = pass
					oldest = older(oldest, p.nextToDial(h))
				}
			}
		}
		if oldest == nil {
			return closed
		}
		closed = p.makeRoom(oldest, closed)
		p.startDial(oldest)
	}
}

// older is the want that came first, of which either may be nil.
func older[K comparable, C Conn](one, other *want[K, C]) *want[K, C] {
	if one == nil || other != nil && other.order < one.order {
		return other
	}
	return one
}

// nextToDial is the oldest want of the host that may have a dial now, or nil. It remembers what it has learned of those
// who may not.
func (p *Pool[K, C]) nextToDial(h *host[K, C]) *want[K, C] {
	if h.unasked.len == 0 || p.dialsFull(h) {
		return nil
	}
	busy, roof, share := h.busy(), 0, h.shown()
	if busy >= h.roof {
		return nil
	}
	for w := h.unasked.first(); w != nil; w = w.inUnasked.next.owner {
		covered := h.covers(w, share)
		switch {
		case !covered && busy < w.terms.maxConns():
			if p.holdsBack(h) {
				return nil
			}
			return w
		case covered && !h.mixed:
			return nil // so it is for all of them
		}
		roof = max(roof, w.terms.maxConns())
	}
	h.roof = roof
	return nil
}

func (p *Pool[K, C]) dialsFull(h *host[K, C]) bool {
	return p.config.MaxDialsPerKey > 0 && h.dialing >= p.config.MaxDialsPerKey
}

// makeRoom closes idle connections that are in the way of a want's dial: the want would have taken one of them if it
// could use any. It notes the groups of those in closed.
func (p *Pool[K, C]) makeRoom(w *want[K, C], closed []*group[K, C]) []*group[K, C] {
	limit := w.terms.maxConns()
	if limit == math.MaxInt {
		return closed
	}
	for h := w.host; h.busy()+h.idle() >= limit; {
		e := h.longestIdle()
		p.close(e, ReasonMakeRoom)
		closed = append(closed, e.group)
	}
	return closed
}

func (p *Pool[K, C]) startDial(w *want[K, C]) {
	h := w.host
	d := &dial[K, C]{host: h, caller: w.caller, terms: &w.terms, order: p.joined, want: w}
	w.dial = d
	d.countPace(p)
	h.unasked.remove(&w.inUnasked)
	h.cover(d, +1)
	p.begin(d, w.caller.ctx, h.first())
}

// begin counts a dial, which is to lead to a key if one is given.
func (p *Pool[K, C]) begin(d *dial[K, C], ctx context.Context, to *group[K, C]) {
	h := d.host
	d.ctx, d.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	d.inPool.owner = d
	if to != nil {
		d.first, d.toward = to.key, to.seat(h)
		d.toward.toward++
	}
	h.dialing++
	h.dials++
	p.dials.pushBack(&d.inPool)
	p.tally.dials++
	p.todo.dials = append(p.todo.dials, d)
}

// run calls the Dialer and lands what it returns, also when it panics or ends its goroutine.
func (d *dial[K, C]) run() {
	p := d.host.pool
	var (
		conn             C
		e                *entry[K, C]
		found            Reason
		err              error
		dialed, returned bool
	)
	defer func() {
		if !returned {
			e, err = nil, panicError(recover())
			if dialed {
				_ = conn.Close() // the pool never had it
			}
		}
		p.land(d, e, found, err)
		d.cancel(nil) // what it holds
	}()
	var key K
	if d.host.set == nil {
		conn, err = d.caller.dialer.Dial(d.ctx)
	} else {
		key, conn, err = d.caller.hostDialer.DialHost(d.ctx, d.first)
	}
	if err == nil && isNil(conn) {
		err = errors.New("pool: the Dialer returned neither a connection nor an error")
	}
	if err == nil {
		dialed = true
		e = p.open(d, p.destination(d.host, key), conn)
		if p.orphaned(d) { // it may become idle, and is looked at before that like any other
			found = conn.Probe()
		}
	}
	returned = true
}

// destination is the group that a dial of the host has led to. It may have been taken off the list since.
func (p *Pool[K, C]) destination(h *host[K, C], key K) *group[K, C] {
	if h.set == nil {
		return h.solo[0]
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	g := p.ensure(key)
	h.admit(g)
	return g
}

// open makes the entry of a connection and tells the connection how to retire.
func (p *Pool[K, C]) open(d *dial[K, C], g *group[K, C], conn C) *entry[K, C] {
	e := &entry[K, C]{
		conn: conn, group: g, order: d.order, jitter: uint16(p.draw()),
		maxUses: math.MaxUint64, expires: forever,
	}
	if private, ok := any(conn).(Private); ok {
		e.private = private.Private()
	}
	_, e.replaceable = any(conn).(Replacer[C])
	sharer, shares := any(conn).(Sharer)
	if shares {
		e.sharing = &sharing{leases: make(map[uint64]struct{})} // before anybody can retire or resize it
	}
	if retirer, ok := any(conn).(Retirer); ok {
		retirer.Attach(func(reason Reason) { e.group.own.pool.retire(e, reason) }) // holds e alone: it lives as long
	}
	if shares {
		p.share(e, sharer)
	}
	return e
}

// orphaned says that the dial's asker does not wait any more, so that its connection may become idle.
func (p *Pool[K, C]) orphaned(d *dial[K, C]) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return d.want == nil || d.adopted
}

// land ends a dial. Its connection goes to the want that asked for it if that still waits, else to the oldest;
// its error to the want that asked for it, or to nobody. A want that has adopted it is one of those that wait: it
// may be too fresh for the connection, and gets a dial of its own if it is not served.
func (p *Pool[K, C]) land(d *dial[K, C], e *entry[K, C], found Reason, err error) {
	now := p.now()
	h := d.host
	p.mu.Lock()
	h.dialing--
	if d.toward != nil {
		d.toward.toward--
	}
	p.dials.remove(&d.inPool)
	d.landed = true
	d.landPace(now)
	if d.adopted && d.want != nil {
		d.want.part()
	}
	if d.inPlaceOf != nil {
		p.replaced(d, err)
	}
	if err != nil {
		h.dialFailures++
		p.tally.dialFailures++
	} else if reason := p.admit(e, d, found, now); reason != "" {
		err = fmt.Errorf("%w: %s", ErrRetired, reason)
	} else {
		p.keepFirst(d.replaces)
	}
	if err != nil && d.want != nil {
		p.deliver(d.want, delivery[K, C]{err: err})
	}
	if d.floor != nil {
		p.floorLanded(d, e, err, now)
	}
	p.tendHost(h)
	if d.inPlaceOf != nil {
		p.replaceIdle(now) // those that had to wait for this one
	}
	p.unlock()
}

// admit counts a new connection among the pool's and settles it. Its asker, if it still waits, would have taken
// it: where it is closed instead, it has retired already.
func (p *Pool[K, C]) admit(
	e *entry[K, C], d *dial[K, C], found Reason, now time.Duration,
) Reason {
	e.born = now
	e.bind(d.terms)
	e.become(active)
	p.enroll(e)
	e.group.use(+1)
	p.active++
	p.tally.opened++
	return p.settle(e, d.want, found, now)
}

// panicError is the error of a dial that did not return; cause is nil where it ended its goroutine.
func panicError(cause any) error {
	switch cause := cause.(type) {
	case nil:
		return errors.New("pool: the Dialer ended its goroutine instead of returning")
	case error:
		return fmt.Errorf("pool: the Dialer panicked: %w", cause)
	default:
		return fmt.Errorf("pool: the Dialer panicked: %v", cause)
	}
}

func isNil(conn any) bool {
	if conn == nil {
		return true
	}
	v := reflect.ValueOf(conn)
	switch v.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Chan, reflect.Func, reflect.Slice:
		return v.IsNil()
	}
	return false
}
