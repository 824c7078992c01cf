package pool

import (
	"context"
	"slices"
	"time"
)

const (
	// floorEnds is how long a floor is kept after the last call of KeepIdle. The floors of a pool keep it alive for
	// that long, even if nothing else refers to it.
	floorEnds = time.Hour

	// After a failure, the pool waits for floorPause before it dials for the floor again. Each further failure doubles
	// the pause, up to maxFloorPause. If nothing fails for twice maxFloorPause, the next pause is floorPause again.
	floorPause    = time.Second
	maxFloorPause = time.Minute

	// fullPause is how long a floor waits before it looks again if connections of other keys hold it back, because of
	// Config.MaxIdle or of a Host that has its key. It has to look, because a floor is not told when other keys make room.
	fullPause = time.Second
)

// floor is what KeepIdle and Warm have asked of a host. The pool dials for a floor although no want waits. Pool.mu
// guards it.
type floor[K comparable, C Conn] struct {
	host   *host[K, C]   // set once
	caller caller[K, C]  // how to dial; from the latest call
	terms  Terms         // from the latest call
	least  int           // places to keep free; 0 if KeepIdle was not called, or if the floor has ended
	ends   time.Duration // when least becomes 0
	warmup []*warmup     // calls of Warm that wait

	round int // calls of Warm have begun to dial again so many times
	gone  int // and so many times since a connection was of use to them

	dialing int           // dials under way for the floor
	pause   time.Duration // the length of the latest pause
	failed  time.Duration // when it began; forever if there was none
	resume  time.Duration // no dial begins before then
	timer   *time.Timer   // nil before its first use
	wake    time.Duration // when the timer fires; forever if it does not
}

// KeepIdle keeps n idle connections of a key ready: whenever there are fewer, the pool dials in the background. A place
// that is free on a shared connection counts as one idle connection. The pool dials with dialer, and binds the
// connections by terms. The context of these dials has no values.
//
// The floor stays within all limits: Terms.MaxConns, Config.MaxIdle and Config.MaxIdlePerKey. It takes no room from a
// request that waits, and no idle connection from another key. The pool waits before it dials for the floor again if a
// dial fails, if a dial leads to a key that a Host does not list, or if a peer closes a connection that is less than a
// minute old and was never leased. It waits one second at first, and up to one minute after more failures.
//
// A later call replaces n, dialer and terms. The floor ends after a call with an n of zero or less, or with
// Terms.Unpooled; after CloseIdle, KeepNone or Shutdown; and an hour after the last call of KeepIdle. The connections
// then stay until they reach their own limits. Between a CloseIdle and the next acquisition, KeepIdle has no effect.
func (p *Pool[K, C]) KeepIdle(key K, dialer Dialer[C], n int, terms Terms) {
	p.keepIdle(asked[K, C]{key: key}, caller[K, C]{ctx: context.Background(), dialer: dialer}, n, &terms)
}

// KeepIdle does what Pool.KeepIdle does, for all keys of the host together.
func (h *Host[K, C]) KeepIdle(dialer HostDialer[K, C], n int, terms Terms) {
	h.pool.keepIdle(asked[K, C]{host: h}, caller[K, C]{ctx: context.Background(), hostDialer: dialer}, n, &terms)
}

func (p *Pool[K, C]) keepIdle(at asked[K, C], by caller[K, C], n int, terms *Terms) {
	if terms.Unpooled {
		n = 0
	}
	now := p.now()
	p.mu.Lock()
	defer p.unlock()
	h := p.hostOf(at)
	if n <= 0 && (h == nil || p.floors[h] == nil) || p.closed || p.keepNone || p.closeIdle {
		if h != nil {
			p.tendHost(h) // it may have become known just now, with nothing to keep
		}
		return
	}
	if h == nil {
		h = p.know(at)
	}
	f := p.floorOf(h)
	f.caller, f.terms, f.least, f.ends = by, *terms, max(0, n), now+floorEnds
	p.tendHost(h)
}

// know makes the pool know what a request asks for, and returns its host.
func (p *Pool[K, C]) know(at asked[K, C]) *host[K, C] {
	if at.host == nil {
		return &p.ensure(at.key).own
	}
	at.host.join()
	return &at.host.host
}

// floorOf returns the floor of a host, which may be new.
func (p *Pool[K, C]) floorOf(h *host[K, C]) *floor[K, C] {
	f := p.floors[h]
	if f == nil {
		f = &floor[K, C]{host: h, failed: forever, wake: forever}
		if p.floors == nil {
			p.floors = make(map[*host[K, C]]*floor[K, C])
		}
		p.floors[h] = f
	}
	return f
}

// kept reports whether the host has a floor. If it has one, the pool must not forget the host.
func (h *host[K, C]) kept() bool { return h.pool.floors[h] != nil }

// tendFloors tends the floors for which connections of the group count. It is called after any change that could have
// taken a connection away.
func (p *Pool[K, C]) tendFloors(g *group[K, C]) {
	if f := p.floors[&g.own]; f != nil {
		p.tendFloor(f)
	}
	ended := false
	for _, s := range g.joined() {
		if f := p.floors[s.host]; f != nil {
			p.tendFloor(f)
			ended = ended || !s.host.kept()
		}
	}
	if ended {
		p.tendAll(g)
	}
}

// tendFloor begins the dials that the floor lacks, within the limits. It also answers calls of Warm, and ends the floor
// if nothing needs it any more.
func (p *Pool[K, C]) tendFloor(f *floor[K, C]) {
	now := p.now()
	if p.closed || p.keepNone {
		p.endFloor(f, ErrClosed)
		return
	}
	if now >= f.ends {
		f.least = 0
	}
	p.keepUnused(f, now)
	f.answer(nil)
	next := forever
	for p.lacks(f) {
		wait := p.floorWaits(f, now)
		if wait == 0 {
			p.dialForFloor(f)
			continue
		}
		if wait != forever {
			next = now + wait
		}
		break
	}
	switch {
	case f.least == 0 && len(f.warmup) == 0:
		p.endFloor(f, nil)
		return
	case f.least > 0:
		next = min(next, f.ends)
	}
	f.arm(next, now)
}

// share returns how many requests at once a new connection is expected to serve, or 0 if that is unknown.
func (f *floor[K, C]) share() int {
	expect := f.terms.Expect
	if shown := f.host.shown(); shown > 0 {
		expect = shown
	}
	switch {
	case expect < 0:
		return 0
	case expect == 0:
		return 1
	}
	return expect
}

// free returns how many requests at once would find a place on a connection of the host. It stops counting when it
// reaches n.
func (h *host[K, C]) free(n int) (free int) {
	for _, g := range h.listedGroups() {
		for e := g.idle.first; e != nil && free < n; e = e.in[inGroup].next {
			free += e.vacant()
		}
		for e := g.spare.first; e != nil && free < n; e = e.in[inGroup].next {
			free += e.vacant()
		}
	}
	return free
}

// vacant returns the number of leases that an idle or spare connection can begin.
func (e *entry[K, C]) vacant() int {
	if !e.shared {
		return 1
	}
	return max(0, e.capacity-e.load())
}

// target returns how many places should be free.
func (f *floor[K, C]) target() int {
	target := f.least
	for _, w := range f.warmup {
		target = max(target, w.n)
	}
	return target
}

// lacks reports whether the floor needs another connection besides those that are free and those of dials that no want
// will use up.
func (p *Pool[K, C]) lacks(f *floor[K, C]) bool {
	h, target := f.host, f.target()
	spare := h.dialing - h.waiting() // dials that no want will use up
	share := f.share()
	if share == 0 {
		share = target // unknown until the first connection is there
	}
	free := h.free(target)
	return free < target && (spare <= 0 || spare < (target-free-1)/share+1)
}

// floorWaits returns how long the next dial has to wait. It returns forever if the dial has to wait until something
// changes at the host.
func (p *Pool[K, C]) floorWaits(f *floor[K, C], now time.Duration) time.Duration {
	h, config := f.host, &p.config
	idle := h.idle()
	switch {
	case h.unasked.len > 0, p.dialsFull(h), h.busy()+idle >= f.terms.maxConns():
		return forever
	case config.MaxIdle < 0, config.MaxIdlePerKey < 0:
		return forever
	case config.MaxIdlePerKey > 0 && idle+f.dialing >= config.MaxIdlePerKey:
		return forever
	case now < f.resume:
		return f.resume - now
	case config.MaxIdle > 0 && len(f.warmup) == 0 && p.idle.len()+p.floorDials >= config.MaxIdle:
		return fullPause
	case config.MaxIdlePerKey > 0 && len(f.warmup) == 0 && h.mostIdle()+f.dialing >= config.MaxIdlePerKey:
		return fullPause // a host that has the keys of this one keeps no more connections
	}
	return 0
}

func (p *Pool[K, C]) dialForFloor(f *floor[K, C]) {
	d := &dial[K, C]{host: f.host, caller: f.caller, terms: f.terms, order: p.joined, floor: f, round: f.round}
	f.dialing++
	p.floorDials++
	p.begin(d, f.caller.ctx, f.host.first())
}

// floorLanded is called when a dial for the floor has ended, before its host is tended. gone says that the dial has
// succeeded, but that its connection has ended before it could be of use. If the connection belongs to a
// key that the host does not list, the floor pauses: the connection is of no use to it, and that of the next dial would
// probably be of no use either.
func (p *Pool[K, C]) floorLanded(d *dial[K, C], e *entry[K, C], err error, gone bool, now time.Duration) {
	f := d.floor
	f.dialing--
	p.floorDials--
	switch {
	case gone && f.again(d):
	case err != nil:
		f.fail(now)
		f.answer(err)
	case !slices.Contains(f.host.listedGroups(), e.group):
		f.fail(now)
	default:
		f.gone = 0
	}
}

// floorLost is called for a connection that is being closed. If the peer has closed it soon after its dial, and it was
// never leased, the floors for which it counted pause. The pool then does not dial that peer again at once.
func (p *Pool[K, C]) floorLost(e *entry[K, C], reason Reason, now time.Duration) {
	switch reason {
	case ReasonIdleTimeout, ReasonUnused, ReasonIdleLimit, ReasonKeyIdleLimit, ReasonMaxLifetime, ReasonMaxReuse, ReasonMakeRoom,
		ReasonSurplus, ReasonLimitLowered, ReasonCloseIdle, ReasonShutdown:
		return
	}
	if e.used() || now-e.born >= maxFloorPause {
		return
	}
	if f := p.floors[&e.group.own]; f != nil {
		f.fail(now)
	}
	for _, s := range e.group.joined() {
		if f := p.floors[s.host]; f != nil {
			f.fail(now)
		}
	}
}

// fail begins a pause, which is longer after an earlier failure. It does nothing during a pause, because a dial that
// fails then began before the pause.
func (f *floor[K, C]) fail(now time.Duration) {
	switch {
	case now < f.resume:
		return
	case f.failed == forever || now-f.failed > 2*maxFloorPause:
		f.pause = floorPause
	default:
		f.pause = min(2*f.pause, maxFloorPause)
	}
	f.failed = now
	const part = 1000 // of the pause; the jitter is a number of such parts
	f.resume = now + f.pause*3/4 + f.pause/part*time.Duration(f.host.pool.pick(part/2))
}

// arm makes sure that the floor is tended at the given moment or earlier. A timer that fires early finds nothing to do.
func (f *floor[K, C]) arm(at, now time.Duration) {
	if at >= f.wake {
		return
	}
	f.wake = at
	if f.timer == nil {
		f.timer = time.AfterFunc(at-now, f.due)
	} else {
		f.timer.Reset(at - now)
	}
}

// due is called by the timer, on a goroutine that ends with this call.
func (f *floor[K, C]) due() {
	p := f.host.pool
	p.mu.Lock()
	defer p.unlock()
	f.wake = forever
	if p.floors[f.host] == f {
		p.tendHost(f.host)
	}
}

// endFloor forgets a floor. The caller must tend its host, which may have nothing left.
func (p *Pool[K, C]) endFloor(f *floor[K, C], err error) {
	if err != nil {
		f.answer(err)
	}
	f.least = 0
	delete(p.floors, f.host)
	if f.timer != nil {
		f.timer.Stop()
	}
}

// endFloors forgets all floors.
func (p *Pool[K, C]) endFloors(err error) {
	for h, f := range p.floors {
		p.endFloor(f, err)
		p.tendHost(h)
	}
}

// floorNeeds reports whether a floor needs a shared connection that is about to become idle, although another one has
// room.
func (p *Pool[K, C]) floorNeeds(e *entry[K, C]) bool {
	if len(p.floors) == 0 {
		return false
	}
	needs := func(h *host[K, C]) bool {
		f := p.floors[h]
		if f == nil {
			return false
		}
		target := f.target()
		free := h.free(target + e.capacity)
		if e.group.spare.has(e) {
			free -= e.vacant()
		}
		return free < target
	}
	return needs(&e.group.own) ||
		slices.ContainsFunc(e.group.joined(), func(s *seat[K, C]) bool { return needs(s.host) })
}
