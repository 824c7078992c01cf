package pool

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

// ErrClosed is what Acquire returns after Shutdown has been called.
var ErrClosed = errors.New("pool: closed")

// ErrRetired is wrapped by the error of an Acquire whose connection retired before anybody could lease it.
var ErrRetired = errors.New("pool: connection retired before its first lease")

// Conn is a connection as the pool sees it.
type Conn interface {
	// Probe says whether the connection can serve another use: "" or the reason why not. The pool calls it at
	// release and at checkout, without its lock and, unless the connection is a Sharer, never while somebody
	// else leases it. It must not block. See Rester for one that is dear.
	Probe() Reason
	// Close is called by the pool exactly once, without its lock, and never after a Hijack. Its error is ignored.
	Close() error
}

// Retirer is implemented by a Conn that wants to take itself out of the pool.
type Retirer interface {
	// Attach is called once, before the first lease and without the lock. A call of retire closes the
	// connection with that reason: at once if it is idle, when its lease ends if it is in use. retire may be
	// called at any time, from any goroutine and more than once; the first reason counts.
	Attach(retire func(Reason))
}

// Sharer is implemented by a Conn that may serve several leases at once. It must then be safe for concurrent use.
type Sharer interface {
	// Share is called once, before the first lease and without the lock, and returns how many leases the
	// connection serves at once from the start. A call of resize changes that number; it may be called at any
	// time, from any goroutine. Leases beyond a number that has fallen end as they would have, and a connection
	// whose number is zero or less gets no new ones and is closed when its last one ends.
	Share(resize func(capacity int)) (capacity int)
}

// Private is implemented by a Conn that may turn out to be meant for nobody but the Acquire that asked for it: its Dialer
// has made it from what the context of that one holds.
type Private interface {
	// Private is asked once, when the connection has been dialed, without the lock. A private connection serves one
	// lease, that of the Acquire that asked for its dial, and is then closed, as if Terms.Unpooled had been set. If
	// that Acquire does not wait any more it serves none. The reason of these closes is ReasonUnpooled.
	Private() bool
}

// Dialer makes connections. Its context is not canceled with the Acquire that asked for the dial, although it
// carries that one's values: the Dialer brings its own timeout. Only Shutdown cancels it.
type Dialer[C Conn] interface {
	Dial(ctx context.Context) (C, error)
}

// Config is what holds for a whole pool. The zero Config sets no limit.
type Config[K comparable, C Conn] struct {
	// MaxIdle and MaxIdlePerKey bound the idle connections, in total and of each key. Beyond MaxIdle the one that
	// was idle for longest is closed, of whatever key; beyond MaxIdlePerKey the one that comes back. Zero: no
	// limit. Negative: keep none.
	MaxIdle, MaxIdlePerKey int
	// MaxDialsPerKey bounds the dials under way at once for each key. Zero or less: no limit.
	MaxDialsPerKey int
	// OnClose is called after every close that the pool made, so not after a Hijack. Both hooks may use the pool
	// and run on the goroutine whose call led to them, without the lock: they should not take long. May be nil.
	OnClose func(key K, conn C, reason Reason)
	// OnForget is called when a key had no connection, dial or want any more and the pool has forgotten it; by
	// the time of the call another Acquire may have made it known again. May be nil.
	OnForget func(key K)
}

// Pool keeps connections by key. It is safe for concurrent use. Make one with New.
type Pool[K comparable, C Conn] struct {
	config Config[K, C]
	epoch  time.Time            // moments are Durations since then: cheaper to read and to compare than a Time
	draw   func() time.Duration // a connection's jitter, in thousandths; fixed by tests
	nobody *wants[K, C]         // of every key for which nobody waits; empty

	// mu guards all that follows, every group and the marked fields of every entry. It is never held while
	// calling a Conn, a Dialer or a hook: methods note in todo what to close, start and report, and unlock does it
	// when it has let go. Sending on a want's channel is allowed, for it never blocks.
	mu        sync.Mutex
	groups    map[K]*group[K, C]
	crowd     int         // the most groups since the map was made
	idle      chain[K, C] // of all keys: the most recently released first
	active    int
	dials     list[dial[K, C]] // under way
	waiting   int              // wants
	joined    uint64           // wants so far: the order of their coming
	lessons   uint32           // what connections have shown of their capacity so far: the order of it
	visits    uint64           // see host.reserved
	closing   int              // closed entries whose Close or OnClose has not returned
	closeIdle bool             // CloseIdle was called, and nothing asked for since
	keepNone  bool             // one-way: KeepNone or Shutdown was called
	closed    bool             // one-way
	drained   chan struct{}
	reaper    reaper
	tally     tally
	hijacked  uint64
	vacant    *wants[K, C] // that nobody needs now, or nil
	todo      after[K, C]  // what whoever holds mu has decided; empty while nobody does
}

// New returns an empty pool. It starts no goroutine; a pool needs no closing if its connections may just time
// out.
func New[K comparable, C Conn](config Config[K, C]) *Pool[K, C] {
	p := &Pool[K, C]{
		config: config,
		epoch:  time.Now(),
		draw:   func() time.Duration { return 900 + rand.N[time.Duration](201) },
		nobody: newWants[K, C](),
		groups: make(map[K]*group[K, C]),
		reaper: reaper{wake: forever},
		tally:  newTally(),
	}
	p.dials.init()
	p.idle.kind = inPool
	return p
}

// SetIdleLimits replaces Config.MaxIdle and Config.MaxIdlePerKey. Connections that idle already are not closed for it: the
// limits hold from the next one on that comes back.
func (p *Pool[K, C]) SetIdleLimits(maxIdle, maxIdlePerKey int) {
	p.mu.Lock()
	defer p.unlock()
	p.config.MaxIdle, p.config.MaxIdlePerKey = maxIdle, maxIdlePerKey
}

func (p *Pool[K, C]) now() time.Duration { return time.Since(p.epoch) }

// TryAcquire leases an idle connection or a place on a shared one, or returns false if there is none that will do. It
// does not dial, wait or allocate, beyond what it takes to note the lease of a shared connection, and counts no miss:
// an Acquire that follows does. The Lease that it returns with false leases nothing, but its Miss tells what was
// found: MissStale or MissExpired, or "" where no connection could be tried. Terms has a field to pass that on in.
func (p *Pool[K, C]) TryAcquire(key K, terms Terms) (Lease[K, C], bool) {
	return p.tryAcquire(asked[K, C]{key: key}, &terms)
}

func (p *Pool[K, C]) tryAcquire(at asked[K, C], terms *Terms) (Lease[K, C], bool) {
	r := request[K, C]{terms: terms, start: p.now()}
	c, _, _ := p.checkout(at, &r)
	if c.entry == nil {
		return Lease[K, C]{found: r.found}, false
	}
	return c.begin(terms, hit, r.rested), true
}

// Acquire leases a connection: an idle one or a place on a shared one if there is one, else the first of two to come:
// one that another lease releases, or one that is dialed for this call or for several. A dial goes on without its
// Acquire, and its connection then serves whoever waits longest.
//
// It returns context.Cause(ctx) when ctx ends first, ErrClosed after Shutdown, the dialer's own error for the
// dial that this call asked for, and an error that wraps ErrRetired when that dial's connection retired at once.
// A Dialer that panics makes an error that names the panic's value, and wraps it if it is an error.
func (p *Pool[K, C]) Acquire(ctx context.Context, key K, dialer Dialer[C], terms Terms) (Lease[K, C], error) {
	return p.acquire(asked[K, C]{key: key}, &caller[K, C]{ctx: ctx, dialer: dialer}, &terms)
}

func (p *Pool[K, C]) acquire(at asked[K, C], by *caller[K, C], terms *Terms) (Lease[K, C], error) {
	if by.ctx.Err() != nil {
		return Lease[K, C]{}, context.Cause(by.ctx)
	}
	r := request[K, C]{terms: terms, start: p.now(), caller: by}
	c, w, err := p.checkout(at, &r)
	switch {
	case err != nil:
		return Lease[K, C]{}, err
	case c.entry != nil:
		return c.begin(terms, hit, r.rested), nil
	default:
		return p.await(w, &r)
	}
}

// checkout takes the most recently released idle connection that passes its probe, or else a place on one that is
// shared. Where there is none, it returns the want that has joined the queue, if the request is one that waits. What
// has failed its probe is closed in one step with looking on, so that no connection comes back unnoticed in between.
func (p *Pool[K, C]) checkout(at asked[K, C], r *request[K, C]) (c claim[K, C], w *want[K, C], err error) {
	p.mu.Lock()
	for {
		c, w, err = p.choose(at, r)
		p.unlock()
		if c.entry == nil {
			return c, w, err
		}
		reason := c.entry.conn.Probe()
		if reason == "" {
			c.entry.group.hits.Add(1)
			return c, nil, nil
		}
		r.found = stale
		p.mu.Lock()
		c.void()
		p.end(c.entry, reason)
	}
}

// choose takes the next candidate, or else lets the request join the queue. It is called with the lock held.
func (p *Pool[K, C]) choose(at asked[K, C], r *request[K, C]) (c claim[K, C], w *want[K, C], err error) {
	h := p.hostOf(at)
	if p.closed {
		if h != nil {
			p.tendHost(h)
		}
		return c, nil, ErrClosed
	}
	p.closeIdle = false
	if h != nil {
		c = p.candidate(h, r)
	}
	if c.entry != nil && r.found == hit { // otherwise something was closed
		return c, nil, nil
	}
	if c.entry == nil && r.caller != nil {
		if w, err = p.join(at, h, r); w != nil {
			h = w.host
		}
	}
	if h != nil {
		p.tendHost(h)
	}
	return c, w, err
}

// hostOf is who is asked, or nil where there is nothing of that yet.
func (p *Pool[K, C]) hostOf(at asked[K, C]) *host[K, C] {
	named := at.host
	if named == nil {
		if g := p.groups[at.key]; g != nil {
			return &g.own
		}
		return nil
	}
	if !named.set.known {
		for _, key := range named.set.keys {
			if p.groups[key] != nil { // others have connections to it
				named.join()
				break
			}
		}
	}
	if !named.set.known {
		return nil
	}
	return &named.host
}

// candidate takes the connection of the host that was released last and is not spent, and closes those that are. Where
// none idles it takes a place on the shared connection that has the fewest leases.
func (p *Pool[K, C]) candidate(h *host[K, C], r *request[K, C]) claim[K, C] {
	if r.terms.ownDial() {
		return claim[K, C]{}
	}
	if h.set != nil && h.set.balance != BalanceNone {
		return p.balancedCandidate(h, r)
	}
	for e := h.latestIdle(); e != nil; e = h.latestIdle() {
		reason := e.spent(r.terms, r.start)
		if reason == "" {
			return p.takeIdle(e, r)
		}
		p.close(e, reason)
		r.found = max(r.found, expired)
	}
	return p.place(h, r)
}

// takeIdle makes an idle connection the request's.
func (p *Pool[K, C]) takeIdle(e *entry[K, C], r *request[K, C]) claim[K, C] {
	p.unpark(e)
	e.become(active)
	p.active++
	e.group.active++
	r.rested = r.start - e.idleSince
	if e.shared() {
		return e.take(r.terms)
	}
	return claim[K, C]{entry: e}
}

// balancedCandidate is candidate for a host with a Balance.
func (p *Pool[K, C]) balancedCandidate(h *host[K, C], r *request[K, C]) claim[K, C] {
	for {
		e, lacking := h.balanced()
		if e == nil {
			return claim[K, C]{}
		}
		if reason := e.spent(r.terms, r.start); reason != "" {
			p.end(e, reason)
			r.found = max(r.found, expired)
			continue
		}
		if lacking != nil {
			p.dialFor(h, lacking, r.terms)
		}
		h.turn(e.group).served++
		if e.state == idle {
			return p.takeIdle(e, r)
		}
		r.rested = 0
		return e.take(r.terms)
	}
}

// place takes a place on the shared connection that has the fewest leases, and retires those before it that are spent.
func (p *Pool[K, C]) place(h *host[K, C], r *request[K, C]) claim[K, C] {
	for e := h.leastLoaded(); e != nil; e = h.leastLoaded() {
		reason := e.spent(r.terms, r.start)
		if reason == "" {
			r.rested = 0
			return e.take(r.terms)
		}
		p.end(e, reason)
		r.found = max(r.found, expired)
	}
	return claim[K, C]{}
}

// CloseIdle closes every idle connection. Until something is acquired again, those that come back from a lease
// or a dial are closed too, unless a want is there to take them.
func (p *Pool[K, C]) CloseIdle() {
	p.mu.Lock()
	p.closeIdle = true
	for e := p.idle.last; e != nil; e = p.idle.last {
		p.close(e, ReasonCloseIdle)
		p.tend(e.group)
	}
	p.unlock()
}

// KeepNone prepares a Shutdown whose callers still have requests to serve: idle connections are closed now, and those
// that come back later are closed too, unless a want is there to take them. Acquire still works. The reason of these
// closes is ReasonShutdown. It cannot be undone.
func (p *Pool[K, C]) KeepNone() {
	p.mu.Lock()
	p.keepNone = true
	for e := p.idle.last; e != nil; e = p.idle.last {
		p.close(e, ReasonShutdown)
		p.tend(e.group)
	}
	p.unlock()
}

// Shutdown ends the pool: nothing new is leased, waiting Acquires return ErrClosed, idle connections are closed
// and dials canceled. It waits until the leases and dials under way have ended and their connections are
// closed. If ctx ends before, it returns context.Cause(ctx), and the rest is closed as its leases end. It may be
// called more than once, but not from within a Close or a hook, which it would wait for.
func (p *Pool[K, C]) Shutdown(ctx context.Context) error {
	var cancels []context.CancelCauseFunc
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		p.drained = make(chan struct{})
		for _, g := range p.groups {
			p.shut(g)
		}
		for d := p.dials.first(); d != nil; d = d.inPool.next.owner {
			cancels = append(cancels, d.cancel)
		}
	}
	p.signal()
	todo := p.decided()
	p.mu.Unlock()
	for _, cancel := range cancels {
		cancel(ErrClosed)
	}
	p.act(&todo)

	select {
	case <-p.drained:
		return nil
	default:
	}
	select {
	case <-p.drained:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// shut sends the wants of the group and of its hosts away, and closes its idle connections.
func (p *Pool[K, C]) shut(g *group[K, C]) {
	p.sendAway(&g.own)
	for _, h := range g.joined() {
		p.sendAway(h)
	}
	for e := g.idle.last; e != nil; e = g.idle.last {
		p.close(e, ReasonShutdown)
	}
	p.tend(g)
}

func (p *Pool[K, C]) sendAway(h *host[K, C]) {
	for h.waiting() > 0 {
		w := h.plain.first()
		if w == nil {
			w = h.wants.own.first()
		}
		p.deliver(w, delivery[K, C]{err: ErrClosed})
	}
}

// signal wakes Shutdown when there is nothing left to wait for.
func (p *Pool[K, C]) signal() {
	if !p.closed || p.active+p.dials.len+p.closing > 0 {
		return
	}
	select {
	case <-p.drained:
	default:
		close(p.drained)
	}
}
