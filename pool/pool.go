package pool

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// ErrClosed is returned by Acquire after Shutdown has been called.
var ErrClosed = errors.New("pool: closed")

// ErrRetired is wrapped by the error of an Acquire whose connection retired before any caller could lease it.
var ErrRetired = errors.New("pool: connection retired before its first lease")

// Conn is a connection that a Pool keeps.
type Conn interface {
	// Probe returns "" if the connection can serve another lease, or the reason why it cannot. The pool calls Probe
	// at release and at checkout, without holding its lock. Unless the connection is a Sharer, the pool never calls
	// Probe while another caller leases the connection. Probe must not block. If Probe is expensive, implement
	// Rester.
	Probe() Reason
	// Close closes the connection. The pool calls it exactly once, without holding its lock, and never after a
	// Hijack. The pool ignores the error.
	Close() error
}

// Retirer is implemented by a Conn that can take itself out of the pool. K and C are those of the Pool.
type Retirer[K comparable, C Conn] interface {
	// Attach gives the connection its place in the pool. The pool calls Attach once, before the first lease, without
	// holding its lock.
	Attach(place Place[K, C])
}

// Place is the place of one connection in a Pool. A connection of the type Retirer gets its Place from the pool. A Place
// is as small as a pointer. The zero Place is not valid.
type Place[K comparable, C Conn] struct{ entry *entry[K, C] }

// Retire closes the connection with the given reason: at once if the connection is idle, or when its lease ends if it is
// in use. The connection may call Retire at any time, from any goroutine and more than once. The first reason counts. An
// empty reason is counted as ReasonUnspecified.
func (l Place[K, C]) Retire(reason Reason) { l.entry.group.own.pool.retire(l.entry, reason) }

// Sharer is implemented by a Conn that can serve several leases at once. Such a Conn must be safe for concurrent use.
type Sharer interface {
	// Share returns how many leases the connection serves at once from the start. The pool calls Share once, before
	// the first lease, without holding its lock. A call of resize changes that number. The connection may call resize
	// at any time, from any goroutine. If the number falls below the number of current leases, these leases go on
	// undisturbed. A connection whose number is zero or less gets no new lease and is closed when its last lease
	// ends.
	Share(resize func(capacity int)) (capacity int)
}

// Private is implemented by a Conn that may be usable only by the Acquire that asked for its dial, because the Dialer
// made it from values in the context of that Acquire.
type Private interface {
	// Private reports whether the connection is private. The pool calls Private once, when the connection has been
	// dialed, without holding its lock. A private connection serves one lease, that of the Acquire that asked for its
	// dial, and is then closed, as if Terms.Unpooled had been set. If that Acquire no longer waits, the connection
	// serves no lease and is closed. The reason of these closes is ReasonUnpooled.
	Private() bool
}

// Dialer opens connections. The context of a dial carries the values of the context of the Acquire that asked for the
// dial, but is not canceled when that Acquire's context is canceled. Only Shutdown cancels it. The Dialer therefore
// needs a time-out of its own.
type Dialer[C Conn] interface {
	Dial(ctx context.Context) (C, error)
}

// Config holds the settings of a whole pool. The zero Config sets no limit.
type Config[K comparable, C Conn] struct {
	// MaxIdle limits the number of idle connections in the pool, and MaxIdlePerKey the number of idle connections of
	// each key. If MaxIdle is exceeded, the pool closes the connection that has been idle longest, whatever its key.
	// If MaxIdlePerKey would be exceeded, the pool closes the connection that was to become idle. Zero means no
	// limit. A negative value means that no idle connection is kept.
	MaxIdle, MaxIdlePerKey int
	// DialBurst is how many dials the pool begins at once for callers that wait for one key. It begins others as those
	// end, so that a burst of short requests is served by fewer connections than it has requests. If no dial has ended
	// for a few milliseconds, the pool begins a dial for each caller that waits. Zero or less means no such bound.
	DialBurst int
	// MaxDialsPerKey limits the number of dials under way at once for each key. Zero or less means no limit.
	MaxDialsPerKey int
	// OnClose is called each time the pool has closed a connection. It is not called after a Hijack. OnClose and
	// OnForget are called on the goroutine whose call led to them, without the pool's lock, and may use the pool.
	// They should return quickly. OnClose may be nil.
	OnClose func(key K, conn C, closing Closing)
	// OnForget is called when the pool has forgotten a key, because the key had no connection, dial or want any more.
	// Before OnForget is called, another Acquire may already have made the key known again. OnForget may be nil.
	OnForget func(key K)
}

// Closing says how a connection was closed.
type Closing struct {
	Reason Reason
	Idle   time.Duration // how long it had been idle, until it was closed or until a checkout found that it was spent; 0 if it was in use
	Uses   uint64        // number of leases that it had
}

// Pool keeps connections by key. It is safe for concurrent use. Use New to create a Pool.
type Pool[K comparable, C Conn] struct {
	config Config[K, C]
	epoch  time.Time              // moments are Durations since epoch: a Duration is cheaper to read and to compare than a Time
	draw   func() time.Duration   // draws a connection's jitter, in thousandths; tests replace it
	pick   func(n int) int        // draws a number from 0 to n-1 for a Balance; tests replace it
	nobody *wants[K, C]           // the wants of every host for which nobody waits; always empty
	latest atomic.Pointer[bounds] // the bounds that a connection was given last, for others to share

	// mu guards all fields below, every group, and the marked fields of every entry. It is never held during a call of
	// a Conn, a Dialer or a hook. Methods note in todo what to close, start and report, and unlock does that after it
	// has released mu. Sending on a want's channel is allowed under mu, because it never blocks.
	mu         sync.Mutex
	groups     map[K]*group[K, C]
	crowd      int         // the most groups since the map was made
	idle       chain[K, C] // of all keys, the most recently released first
	active     int
	dials      list[dial[K, C]] // under way
	waiting    int              // wants
	joined     uint64           // wants so far, which orders them
	lessons    uint32           // how often connections have shown a capacity, which orders what they have shown
	visits     uint64           // see host.reserved
	closing    int              // closed entries whose Close or OnClose has not returned
	closeIdle  bool             // CloseIdle was called, and no acquisition since
	keepNone   bool             // one-way: KeepNone or Shutdown was called
	closed     bool             // one-way: Shutdown was called
	drained    chan struct{}
	reaper     reaper
	tally      tally
	hijacked   uint64
	floors     map[*host[K, C]]*floor[K, C] // by their hosts
	floorDials int                          // dials under way for floors
	vacant     *wants[K, C]                 // wants that no host needs now, or nil
	todo       after[K, C]                  // what the holder of mu has decided; empty while nobody holds mu
}

// New returns an empty pool. It starts no goroutine. A program need not shut down a pool whose connections may simply
// time out.
func New[K comparable, C Conn](config Config[K, C]) *Pool[K, C] {
	p := &Pool[K, C]{
		config: config,
		epoch:  time.Now(),
		draw:   func() time.Duration { return 900 + rand.N[time.Duration](201) },
		pick:   rand.IntN,
		nobody: newWants[K, C](),
		groups: make(map[K]*group[K, C]),
		reaper: reaper{wake: forever},
		tally:  newTally(),
	}
	p.dials.init()
	p.idle.kind = inPool
	return p
}

// SetIdleLimits replaces Config.MaxIdle and Config.MaxIdlePerKey. It does not close connections that are already
// idle. The new limits apply when a connection is next given back.
func (p *Pool[K, C]) SetIdleLimits(maxIdle, maxIdlePerKey int) {
	p.mu.Lock()
	defer p.unlock()
	p.config.MaxIdle, p.config.MaxIdlePerKey = maxIdle, maxIdlePerKey
}

func (p *Pool[K, C]) now() time.Duration { return time.Since(p.epoch) }

// TryAcquire leases an idle connection, or a place on a shared one. It returns false if no suitable connection is
// available. TryAcquire does not dial and does not wait. It does not allocate, except to record the lease of a shared
// connection. It counts no miss, because an Acquire that follows counts it. If TryAcquire returns false, the Lease
// leases nothing, but its Miss method returns what TryAcquire found: MissStale or MissExpired, or "" if there was no
// connection to try. Pass this value on to Acquire in Terms.Missed.
func (p *Pool[K, C]) TryAcquire(key K, terms Terms) (Lease[K, C], bool) {
	r := request[K, C]{terms: &terms, start: p.now()}
	l, _, _ := p.checkout(asked[K, C]{key: key}, &r)
	return l, l.entry != nil
}

// Acquire leases a connection. If there is an idle connection or a place on a shared one, Acquire leases it.
// Otherwise Acquire waits and takes the first connection that becomes available: one that another lease releases, or
// one that is dialed for this call or for several calls. If Acquire returns before its dial ends, the dial goes on,
// and its connection serves the caller that has waited longest.
//
// Acquire returns context.Cause(ctx) if ctx ends first, and ErrClosed after Shutdown. If the dial that this call
// asked for fails, Acquire returns the dialer's error. If the connection of that dial retired at once, Acquire
// returns an error that wraps ErrRetired. If a Dialer panics, Acquire returns an error that names the panic's value,
// and that wraps the value if it is an error.
func (p *Pool[K, C]) Acquire(ctx context.Context, key K, dialer Dialer[C], terms Terms) (Lease[K, C], error) {
	return p.acquire(asked[K, C]{key: key}, &caller[K, C]{ctx: ctx, dialer: dialer}, &terms)
}

func (p *Pool[K, C]) acquire(at asked[K, C], by *caller[K, C], terms *Terms) (Lease[K, C], error) {
	if by.ctx.Err() != nil {
		return Lease[K, C]{}, context.Cause(by.ctx)
	}
	r := request[K, C]{terms: terms, start: p.now(), caller: by}
	l, w, err := p.checkout(at, &r)
	switch {
	case err != nil:
		return Lease[K, C]{}, err
	case w == nil:
		return l, nil
	default:
		return p.await(w, &r)
	}
}

// checkout leases the first idle connection that passes its probe, or a place on a shared connection.
// If there is none, the lease has no entry. If the request also waits, w is the want that has joined the queue. If a
// connection fails its probe, checkout closes it and looks for the next one without releasing the lock in between, so
// that it misses no connection that comes back meanwhile.
func (p *Pool[K, C]) checkout(at asked[K, C], r *request[K, C]) (l Lease[K, C], w *want[K, C], err error) {
	p.mu.Lock()
	for {
		var c claim[K, C]
		c, w, err = p.choose(at, r)
		p.unlock()
		if c.entry == nil {
			return Lease[K, C]{found: r.found}, w, err
		}
		reason := c.entry.conn.Probe()
		if reason == "" {
			c.entry.group.hits.Add(1)
			if r.roomy {
				p.offerRoom(c.entry)
			}
			return c.begin(r.terms, hit, r.rested), nil, nil
		}
		r.found, r.roomy = stale, false
		p.mu.Lock()
		c.void()
		if at.host != nil {
			at.host.unserves(c.entry.group)
		}
		p.closeOrRetire(c.entry, reason)
		p.todo.rested(c.entry, r.rested)
	}
}

// choose takes the next candidate. If there is none and the request waits, choose lets it join the queue. The caller
// holds the lock.
func (p *Pool[K, C]) choose(at asked[K, C], r *request[K, C]) (c claim[K, C], w *want[K, C], err error) {
	var h *host[K, C]
	if at.host != nil {
		h = p.hostOf(at)
	} else if g := p.groups[at.key]; g != nil {
		h = &g.own
	}
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
	if c.entry != nil && r.found == hit { // otherwise a connection was closed, and the host must be tended
		if len(p.floors) > 0 {
			p.tendFloors(c.entry.group)
		}
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

// hostOf returns the host that a request asks for, or nil if the pool knows neither the host nor any of its keys.
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
			if p.groups[key] != nil { // other requests use the key
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

// candidate takes the first idle connection of the host, after it has closed those that are spent. If
// there is none, candidate takes a place on the shared connection that has the fewest leases.
func (p *Pool[K, C]) candidate(h *host[K, C], r *request[K, C]) claim[K, C] {
	if r.terms.Fresh || r.terms.Unpooled {
		return claim[K, C]{}
	}
	if h.set != nil && h.set.balance != BalanceNone {
		return p.balancedCandidate(h, r)
	}
	for e := h.latestIdle(); e != nil; e = h.latestIdle() {
		reason := e.spent(r.terms, r.start)
		if reason == "" && r.terms.MaxIdleTime > 0 {
			if e = r.accepted(e, h.listedGroups()); e == nil {
				break // the others have been idle for even longer
			}
			reason = e.spent(r.terms, r.start)
		}
		if reason == "" {
			return p.takeIdle(e, r)
		}
		p.close(e, reason)
		r.found = max(r.found, expired)
	}
	return p.place(h, r)
}

// takeIdle takes an idle connection for the request.
func (p *Pool[K, C]) takeIdle(e *entry[K, C], r *request[K, C]) claim[K, C] {
	p.unpark(e)
	e.become(active)
	p.active++
	e.group.use(+1)
	r.rested = r.start - e.idleSince
	if e.shared {
		r.roomy = p.waiting > 0
		return e.take(r.terms)
	}
	return claim[K, C]{entry: e}
}

// offerRoom gives the room on a shared connection, which was idle until now and has been probed, to wants that refused the
// connection because it had been idle for too long.
func (p *Pool[K, C]) offerRoom(e *entry[K, C]) {
	p.mu.Lock()
	p.settle(e, nil, "", p.now())
	p.tend(e.group)
	p.unlock()
}

// balancedCandidate does what candidate does, for a host with a Balance.
func (p *Pool[K, C]) balancedCandidate(h *host[K, C], r *request[K, C]) claim[K, C] {
	for {
		e, lacking := h.balanced(r)
		if e == nil {
			return claim[K, C]{}
		}
		if reason := e.spent(r.terms, r.start); reason != "" {
			p.closeOrRetire(e, reason)
			r.found = max(r.found, expired)
			continue
		}
		if lacking != nil {
			p.dialFor(lacking, r.terms, e)
		}
		h.took(e.group)
		if e.state == idle {
			return p.takeIdle(e, r)
		}
		r.rested = 0
		return e.take(r.terms)
	}
}

// place takes a place on the shared connection that has the fewest leases. If that connection is spent, place retires
// it and tries the next one.
func (p *Pool[K, C]) place(h *host[K, C], r *request[K, C]) claim[K, C] {
	for e := h.leastLoaded(); e != nil; e = h.leastLoaded() {
		reason := e.spent(r.terms, r.start)
		if reason == "" {
			r.rested = 0
			return e.take(r.terms)
		}
		p.closeOrRetire(e, reason)
		r.found = max(r.found, expired)
	}
	return claim[K, C]{}
}

// CloseIdle closes every idle connection. Until the next acquisition, it also makes the pool close connections that
// come from a lease or a dial, unless a want is waiting for them.
func (p *Pool[K, C]) CloseIdle() {
	p.mu.Lock()
	p.closeIdle = true
	p.endFloors(errIdleClosed)
	for e := p.idle.last; e != nil; e = p.idle.last {
		p.close(e, ReasonCloseIdle)
		p.tend(e.group)
	}
	p.unlock()
}

// KeepNone prepares the pool for a Shutdown while callers still have requests to serve. It closes idle connections
// now. From then on, the pool also closes connections that come from a lease or a dial, unless a want is waiting for
// them. Acquire still works. The reason of these closes is ReasonShutdown. KeepNone cannot be undone.
func (p *Pool[K, C]) KeepNone() {
	p.mu.Lock()
	p.keepNone = true
	p.endFloors(ErrClosed)
	for e := p.idle.last; e != nil; e = p.idle.last {
		p.close(e, ReasonShutdown)
		p.tend(e.group)
	}
	p.unlock()
}

// Shutdown ends the pool. From then on the pool leases nothing new, and Acquires that are waiting return ErrClosed.
// Shutdown closes idle connections and cancels dials. It then waits until the leases and dials under way have ended
// and their connections are closed. If ctx ends first, Shutdown returns context.Cause(ctx), and the pool closes the
// remaining connections as their leases end. Shutdown may be called more than once. It must not be called from a
// Close method or a hook, because it would wait for that call.
func (p *Pool[K, C]) Shutdown(ctx context.Context) error {
	var cancels []context.CancelCauseFunc
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		p.drained = make(chan struct{})
		p.endFloors(ErrClosed)
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

// shut ends the wants of the group and of its hosts with ErrClosed, and closes the idle connections of the group.
func (p *Pool[K, C]) shut(g *group[K, C]) {
	p.sendAway(&g.own)
	for _, s := range g.joined() {
		p.sendAway(s.host)
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

// signal wakes Shutdown if there is nothing left to wait for.
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
