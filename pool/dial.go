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
	caller caller[K, C]    // with the context of the want that asked for the dial
	ctx    context.Context // has the values of that context, but not its end; Shutdown cancels it
	cancel context.CancelCauseFunc
	terms  Terms  // limits of the connection: the Terms of the want that asked for the dial; guarded by Pool.mu
	order  uint64 // the value of Pool.joined when the dial began
	begun  time.Duration

	forWant bool // it was begun for a want

	floor *floor[K, C] // the floor that the dial is for, or nil
	round int          // floor.round when the dial began

	paced   *pace // the pace that counts the dial, or nil
	episode uint32

	replaces  *entry[K, C] // the connection that the new one will succeed, or nil
	reason    Reason       // why that connection is replaced
	early     bool         // other connections wait for their replacement, so the old one is not used up
	inPlaceOf *group[K, C] // the group of the connection that is replaced, or nil

	first  K           // the key that the host would like the dial to lead to, or the zero K
	toward *seat[K, C] // the seat of that key's group, or nil

	// Guarded by Pool.mu.
	want    *want[K, C] // the want that asked for the dial or adopted it, if it still waits, or nil
	adopted bool        // the want that asked was served otherwise; want, if not nil, only counts on the connection
	landed  bool
	inPool  node[dial[K, C]]
}

// startDials starts a dial for every want that asks for one of the groups, alone or among others, within the limits.
// The oldest want comes first. If its own MaxConns holds a want back, it does not hold back wants with a higher
// MaxConns. If the want of a dial has left, or was served otherwise, the dial does not count in place of a dial for
// another want: it may hang, and no want should depend on it. startDials returns the groups in which it has closed a
// connection to make room.
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

// older returns the want that came first. Either of the two may be nil.
func older[K comparable, C Conn](one, other *want[K, C]) *want[K, C] {
	if one == nil || other != nil && other.order < one.order {
		return other
	}
	return one
}

// nextToDial returns the oldest want of the host that may have a dial now, or nil. If there is none, nextToDial notes
// what it has learned about the limits of the wants in roof, so that a later call can return at once.
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
			return nil // the dials under way cover all other wants, too
		}
		roof = max(roof, w.terms.maxConns())
	}
	h.roof = roof
	return nil
}

func (p *Pool[K, C]) dialsFull(h *host[K, C]) bool {
	return p.config.MaxDialsPerKey > 0 && h.dialing >= p.config.MaxDialsPerKey
}

// makeRoom closes idle connections if they leave no room for the want's dial. The want cannot use any of them, or it
// would have taken one. makeRoom appends the groups of the closed connections to closed.
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
	d := &dial[K, C]{host: h, caller: w.caller, terms: w.terms, order: p.joined, want: w, forWant: true}
	w.dial = d
	d.countPace(p)
	h.unasked.remove(&w.inUnasked)
	h.cover(d, +1)
	p.begin(d, w.caller.ctx, h.first())
}

// begin counts a dial and has it started once the lock is released. If to is not nil, the dial should lead to that
// group.
func (p *Pool[K, C]) begin(d *dial[K, C], ctx context.Context, to *group[K, C]) {
	h := d.host
	d.begun = p.now()
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

// run calls the Dialer and lands the result, even if the Dialer panics or ends its goroutine.
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
				_ = conn.Close() // the pool has not counted it
			}
		}
		p.land(d, e, found, err)
		d.cancel(nil) // frees what the context holds
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
		if p.orphaned(d) { // the connection may become idle, and each is probed before that
			found = conn.Probe()
		}
	}
	returned = true
}

// destination returns the group of the key that a dial of the host has led to. The host may no longer list that key.
func (p *Pool[K, C]) destination(h *host[K, C], key K) *group[K, C] {
	if h.set == nil {
		return h.solo[0]
	}
	p.mu.Lock()
	defer p.unlock()
	g := p.ensure(key)
	if g.seat(h) == nil {
		h.admit(g)
		for _, closed := range h.trim(ReasonKeyIdleLimit) { // the key may have idle connections, which now count for the host
			p.tend(closed)
		}
	}
	return g
}

// open makes the entry of a new connection, and gives the connection the functions that retire and resize it.
func (p *Pool[K, C]) open(d *dial[K, C], g *group[K, C], conn C) *entry[K, C] {
	e := &entry[K, C]{
		conn: conn, group: g, order: d.order, jitter: uint16(p.draw()), origin: d.origin(), bounds: unbounded,
	}
	if private, ok := any(conn).(Private); ok {
		e.private = private.Private()
	}
	_, e.replaceable = any(conn).(Replacer[C])
	sharer, shares := any(conn).(Sharer)
	if shares {
		e.shared, e.rarity = true, &rarity{sharing: sharing{leases: make(map[uint64]struct{})}} // set before the connection can be retired or resized
	}
	if retirer, ok := any(conn).(Retirer[K, C]); ok {
		retirer.Attach(Place[K, C]{e})
	}
	if shares {
		p.share(e, sharer)
	}
	return e
}

// origin returns the origin of the dial's connection.
func (d *dial[K, C]) origin() origin {
	switch {
	case d.forWant:
		return forWant
	case d.replaces != nil:
		return successor
	}
	return kept
}

// orphaned reports whether the want that asked for the dial no longer waits. The connection of the dial may then become
// idle.
func (p *Pool[K, C]) orphaned(d *dial[K, C]) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return d.want == nil || d.adopted
}

// land ends a dial. If the want that asked for the dial still waits, it gets the connection or the error. Otherwise the
// oldest want that may have the connection gets it, and no want gets the error. A want that has adopted the dial is
// only one of those that wait, because it may need a newer connection. If it is not served, it gets a dial of its own.
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
		p.replaced(d, err, now)
	}
	var reason Reason
	if err != nil {
		h.dialFailures++
		p.tally.dialFailures++
	} else if reason = p.admit(e, d, found, now); reason != "" {
		err = retired(e.conn, reason)
	} else {
		p.keepFirst(d.replaces, now)
	}
	if err != nil && d.want != nil {
		p.deliver(d.want, delivery[K, C]{err: err})
	}
	if d.floor != nil {
		gone := reason != "" && (e.isRetired() || reason == found || reason == ReasonNoCapacity)
		p.floorLanded(d, e, err, gone, now)
	}
	p.tendHost(h)
	if d.inPlaceOf != nil {
		p.replaceIdle(now) // replacements that had to wait for this one
	}
	p.unlock()
}

// admit counts a new connection and settles it. If the want that asked for the connection still waits and does not get
// it, the connection has already retired.
func (p *Pool[K, C]) admit(
	e *entry[K, C], d *dial[K, C], found Reason, now time.Duration,
) Reason {
	e.born = now
	e.group.opened(now - d.begun)
	e.bind(&d.terms)
	e.become(active)
	p.enroll(e)
	e.group.use(+1)
	p.active++
	p.tally.opened++
	return p.settle(e, d.want, found, now)
}

// panicError returns the error of a dial that did not return. cause is nil if the Dialer ended its goroutine.
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
