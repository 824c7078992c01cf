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
	group  *group[K, C]
	dialer Dialer[C]
	ctx    context.Context // the asker's values, but not its end; Shutdown cancels it
	cancel context.CancelCauseFunc
	terms  *Terms // of the want that asked for it
	order  uint64 // Pool.joined when it began

	// Guarded by Pool.mu.
	want    *want[K, C] // that asked for it, or adopted it, and still waits, or nil
	adopted bool        // its asker was served otherwise; want, if any, only counts on what it brings
	landed  bool
	inPool  node[dial[K, C]]
}

// startDials starts a dial of its own for every want, as far as the limits allow, the oldest want first. A want
// that its own MaxConns holds back does not hold back those with a higher one. Dials whose want has left, or was
// served otherwise, do not count for anybody else: one of them may hang, and nobody should depend on it.
func (p *Pool[K, C]) startDials(g *group[K, C]) {
	roof := 0
	for w := g.unasked.first(); w != nil; {
		if p.dialsFull(g) || g.active+g.dialing >= g.roof {
			return
		}
		next := w.inUnasked.next.owner
		switch {
		case !g.covers(w) && p.makeRoom(g, w.terms.maxConns()):
			p.startDial(g, w)
		case !g.mixed && g.covers(w):
			return // so it is for all of them
		default:
			roof = max(roof, w.terms.maxConns())
		}
		w = next
	}
	g.roof = roof
}

func (p *Pool[K, C]) dialsFull(g *group[K, C]) bool {
	return p.config.MaxDialsPerKey > 0 && g.dialing >= p.config.MaxDialsPerKey
}

// makeRoom says whether the key may have one connection more under a want's MaxConns, and closes idle ones that
// are in the way: the want would have taken one of them if it could use any.
func (p *Pool[K, C]) makeRoom(g *group[K, C], maxConns int) bool {
	if g.active+g.dialing >= maxConns {
		return false
	}
	for g.active+g.dialing+g.idle.len >= maxConns {
		p.close(g.idle.last, ReasonMakeRoom)
	}
	return true
}

func (p *Pool[K, C]) startDial(g *group[K, C], w *want[K, C]) {
	d := &dial[K, C]{group: g, dialer: w.caller.dialer, terms: &w.terms, order: p.joined, want: w}
	d.ctx, d.cancel = context.WithCancelCause(context.WithoutCancel(w.caller.ctx))
	d.inPool.owner = d
	w.dial = d
	g.unasked.remove(&w.inUnasked)
	g.cover(d, +1)
	g.dialing++
	g.dials++
	p.dials.pushBack(&d.inPool)
	p.tally.dials++
	p.todo.dials = append(p.todo.dials, d)
}

// run calls the Dialer and lands what it returns, also when it panics or ends its goroutine.
func (d *dial[K, C]) run() {
	p := d.group.pool
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
	conn, err = d.dialer.Dial(d.ctx)
	if err == nil && isNil(conn) {
		err = errors.New("pool: the Dialer returned neither a connection nor an error")
	}
	if err == nil {
		dialed = true
		e = p.open(d, conn)
		if p.orphaned(d) { // it may become idle, and is looked at before that like any other
			found = conn.Probe()
		}
	}
	returned = true
}

// open makes the entry of a connection and tells the connection how to retire.
func (p *Pool[K, C]) open(d *dial[K, C], conn C) *entry[K, C] {
	e := &entry[K, C]{
		conn: conn, group: d.group, order: d.order, jitter: uint16(p.draw()),
		maxUses: math.MaxUint64, expires: forever,
	}
	if private, ok := any(conn).(Private); ok {
		e.private = private.Private()
	}
	sharer, shares := any(conn).(Sharer)
	if shares {
		e.sharing = &sharing{leases: make(map[uint64]struct{})} // before anybody can retire or resize it
	}
	if retirer, ok := any(conn).(Retirer); ok {
		retirer.Attach(func(reason Reason) { e.group.pool.retire(e, reason) }) // holds e alone: it lives as long
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
	g := d.group
	p.mu.Lock()
	g.dialing--
	p.dials.remove(&d.inPool)
	d.landed = true
	if d.adopted && d.want != nil {
		d.want.part()
	}
	if err != nil {
		g.dialFailures++
		p.tally.dialFailures++
	} else if reason := p.admit(e, d, found, now); reason != "" {
		err = fmt.Errorf("%w: %s", ErrRetired, reason)
	}
	if err != nil && d.want != nil {
		p.deliver(d.want, delivery[K, C]{err: err})
	}
	p.tend(g)
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
	e.group.admit(e, p.joined)
	e.group.active++
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
