package peerpool

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"github.com/peerpool/peerpool/internal/http1"
	"github.com/peerpool/peerpool/internal/learn"
	"github.com/peerpool/peerpool/pool"
	"golang.org/x/net/http/httpguts"
)

// PeerLimits is the part of [Stats] that concerns one peer with a learned limit.
type PeerLimits struct {
	Identity Identity
	LearnedLimits
}

// limits holds the learned limits of one identity. Most identities have none, so what only those with a limit need is in the
// teacher.
type limits struct {
	idleTime  atomic.Int64 // LearnedLimits.IdleTime in nanoseconds; less for a moment after a loss
	idleClose atomic.Int64 // LearnedLimits.IdleClose in nanoseconds
	requests  atomic.Int64 // LearnedLimits.Requests
	roundTrip atomic.Int64 // nanoseconds of the shortest connect; 0 if there was none

	shown atomic.Pointer[teacher] // nil until a close has been seen; then set for good, before any limit is
}

// teacher holds what the closes of an identity have shown.
type teacher struct {
	suspect atomic.Int64 // see learn.Requests.Suspect
	due     atomic.Int64 // when to review the limits, in nanoseconds since epoch
	answers answers      // used only while limits.idleClose is set

	mu       sync.Mutex // guards the fields below; nothing is called while it is held
	idle     learn.Idle
	requests learn.Requests
	told     LearnedLimits // what was last reported to the Observer
}

// youngClose is a limit of idle times. A connection that is closed after a shorter idle time counts as one that has served
// its last request. After a longer idle time, it counts as one that was closed because it was idle.
const youngClose = 5 * time.Millisecond

// connected notes how long a connect took. A connect takes one round trip.
func (l *limits) connected(took time.Duration) {
	if least := l.roundTrip.Load(); took > 0 && (least == 0 || int64(took) < least) {
		l.roundTrip.Store(int64(took))
	}
}

// bounding reports whether there is a limit that a request may have to keep to.
func (l *limits) bounding() bool { return l.idleTime.Load() != 0 || l.requests.Load() != 0 }

// learn calls note with the teacher of the peer, and then puts the limits in force that follow.
func (r *route) learn(note func(t *teacher, now time.Duration)) {
	l := &r.learned.limits
	if r.t.DisableLearning {
		return
	}
	s := l.shown.Load()
	if s == nil {
		l.shown.CompareAndSwap(nil, new(teacher))
		s = l.shown.Load()
	}
	now := time.Since(epoch)
	s.mu.Lock()
	note(s, now)
	shown := l.publish(s, now)
	tell := !alike(s.told, shown)
	if tell {
		s.told = shown
	}
	s.mu.Unlock()
	if o := r.t.Observer; tell && o != nil && o.LimitsChange != nil {
		o.LimitsChange(LimitsChange{r.identity(), shown})
	}
}

// publish stores the limits where requests read them. The caller holds the teacher's mu.
func (l *limits) publish(s *teacher, now time.Duration) LearnedLimits {
	s.due.Store(int64(min(s.idle.Review(now), s.requests.Review(now))))
	use := s.idle.Use(time.Duration(l.roundTrip.Load()))
	shown, before := LearnedLimits{Requests: s.requests.Limit()}, l.bounding()
	if shown.IdleClose = s.idle.Limit(); shown.IdleClose != 0 {
		shown.IdleTime = use
		shown.IdleSince = epoch.Add(s.idle.Since())
	}
	if shown.Requests != 0 {
		shown.RequestsSince = epoch.Add(s.requests.Since())
	}
	l.idleTime.Store(int64(use))
	l.idleClose.Store(int64(shown.IdleClose))
	l.requests.Store(int64(shown.Requests))
	s.suspect.Store(int64(s.requests.Suspect()))
	if l.bounding() != before {
		lessons.Add(1)
	}
	return shown
}

// alike reports whether a and b differ so little that the Observer need not be told.
func alike(a, b LearnedLimits) bool {
	differ := max(a.IdleTime, b.IdleTime) - min(a.IdleTime, b.IdleTime)
	return a.Requests == b.Requests && differ <= a.IdleTime/10 && (a.IdleTime == 0) == (b.IdleTime == 0)
}

// bound adds the learned idle times of the peer, or of the addresses of a host, to the terms of a request.
func (r *route) bound(terms *pool.Terms, req *http.Request) {
	if r.host == nil {
		r.boundByOwn(terms, req)
		return
	}
	for _, m := range r.host.lessons().bounding {
		m.boundByOwn(terms, req)
	}
}

func (r *route) boundByOwn(terms *pool.Terms, req *http.Request) {
	l := &r.learned.limits
	if !l.bounding() {
		return
	}
	if time.Since(epoch) >= time.Duration(l.shown.Load().due.Load()) {
		r.learn(func(*teacher, time.Duration) {})
	}
	if idle := time.Duration(l.idleTime.Load()); idle != 0 && !sendsAgain(req) {
		terms.MaxIdleTime = lower(terms.MaxIdleTime, idle)
	}
}

// tick is the resolution of the clock of most kernels. Other kernels have a longer or a shorter one.
const tick = 4 * time.Millisecond

// unclear stands for an idle time that shows nothing.
const unclear time.Duration = -1

// longer returns the longer one of two idle times of a connection: idle from the pool and silent from the kernel. The
// kernel's time counts only if it is longer by more than the inaccuracy of the kernel's clock. If the time is too short for
// that clock, longer returns unclear.
func longer(idle, silent time.Duration) time.Duration {
	switch {
	case silent <= idle+2*tick:
		return idle
	case silent < 50*tick:
		return unclear
	}
	return silent
}

// longest returns how long a connection may have been idle, given its idle times from the pool and from the kernel.
func longest(idle, silent time.Duration) time.Duration {
	if silent <= idle+tick {
		return idle
	}
	return silent + tick
}

// outlived reports whether nothing may have arrived on the connection for longer than the terms allow. The pool cannot see
// that if the last response was read late, or if the request was delayed after the pool had given it the connection.
func (a *attempt) outlived(terms *pool.Terms) bool {
	a.silent = 0
	c, ok := a.lease.Conn().(*http1Conn)
	if !ok || !a.lease.Reused() || c.route.learned.limits.shown.Load() == nil || sendsAgain(a.req) {
		return false
	}
	limit := terms.MaxIdleTime
	if idle := time.Duration(c.route.learned.limits.idleTime.Load()); idle != 0 {
		limit = lower(limit, idle)
	}
	a.silent = c.SinceReceived()
	return limit != 0 && longest(a.lease.IdleTime(), a.silent) >= limit
}

// lower returns the lower one of two limits. If the first is zero or less, there is no first limit.
func lower[N int | time.Duration](limit, other N) N {
	if limit <= 0 {
		return other
	}
	return min(limit, other)
}

// sendsAgain reports whether the request is sent again if its connection turns out to be stale.
func sendsAgain(req *http.Request) bool {
	again := replayOf(req, true)
	return again.idempotent && again.body
}

// learnFromClose is called when the pool has closed the connection, and learns from how it was closed.
func (c *http1Conn) learnFromClose(closing pool.Closing) {
	uses, l := int(closing.Uses), &c.route.learned.limits
	idle := longer(closing.Idle, time.Duration(c.mute)*time.Millisecond)
	switch {
	case uses == 0, idle == unclear: // the limit on the time to the first request may differ from that on the idle time
	case closing.Reason == pool.ReasonPeerClosed && idle < youngClose:
		c.route.learn(func(t *teacher, now time.Duration) { t.requests.End(uses, false, now) })
	case closing.Reason == pool.ReasonPeerClosed:
		c.route.learn(func(t *teacher, now time.Duration) { t.idle.Close(idle, now) })
	case !l.bounding():
	case closing.Reason == pool.ReasonMaxReuse:
		c.route.learn(func(t *teacher, _ time.Duration) { t.requests.Exceed(uses) })
	case closing.Reason == pool.ReasonIdleTimeout && c.Watching == http1.BeingWatched:
		c.route.learn(func(t *teacher, now time.Duration) { t.idle.Outlive(closing.Idle, now) })
	}
}

// learnFromLoss is called when an attempt has failed on a reused connection before anything of a response had come.
func (c *http1Conn) learnFromLoss(a *attempt) {
	if a.lease.Uses() == 0 {
		return // the limit on the time to the first request may differ
	}
	idle := longer(a.lease.IdleTime(), a.silent)
	exact := idle != unclear
	if !exact {
		idle = a.silent - tick
	}
	if idle < youngClose {
		return // the idle time did not end the connection
	}
	roundTrip := time.Duration(c.route.learned.limits.roundTrip.Load())
	c.route.learn(func(t *teacher, now time.Duration) { t.idle.Lose(idle, exact, now, roundTrip) })
}

// learnFromEnd is called when the peer has announced the end of the connection with the attempt's response.
func (c *http1Conn) learnFromEnd(a *attempt) {
	if !a.req.Close && !httpguts.HeaderValuesContainsToken(a.req.Header["Connection"], "close") {
		c.route.learn(func(t *teacher, now time.Duration) { t.requests.End(a.lease.Uses()+1, true, now) })
	}
}

// learnFromAnswer is called when an attempt has got its response and the connection can serve another one, if a close of the
// identity has been seen.
func (c *http1Conn) learnFromAnswer(a *attempt) {
	l, served, idle := &c.route.learned.limits, a.lease.Uses()+1, a.lease.IdleTime()
	shown := l.shown.Load()
	if n := int(shown.suspect.Load()); n != 0 && served > n {
		c.route.learn(func(t *teacher, _ time.Duration) { t.requests.Exceed(served) })
	}
	if limit := l.idleTime.Load(); limit != 0 && int64(idle) > limit {
		c.route.learn(func(t *teacher, now time.Duration) { t.idle.Outlive(idle, now) })
	}
	if a.begun != 0 && l.idleClose.Load() != 0 {
		if quickest, slowest, ok := shown.answers.add(time.Since(epoch) - a.begun); ok {
			c.route.learn(func(t *teacher, _ time.Duration) { t.idle.Answers(quickest, slowest) })
		}
	}
}

// answers holds how long the latest requests have taken. The zero answers holds none. It is safe for concurrent use.
type answers struct {
	n                 atomic.Int32
	quickest, slowest atomic.Int64 // nanoseconds; 0 if there are none
}

// add adds the time of a request. For every 16 requests, it returns the times of the quickest and of the slowest, and
// forgets them. If requests end at the same moment, a time may count for the next 16 requests, or not at all.
func (s *answers) add(took time.Duration) (quickest, slowest time.Duration, ok bool) {
	took = max(1, took)
	if d := s.quickest.Load(); d == 0 || int64(took) < d {
		s.quickest.Store(int64(took))
	}
	if int64(took) > s.slowest.Load() {
		s.slowest.Store(int64(took))
	}
	if s.n.Add(1)%16 != 0 {
		return 0, 0, false
	}
	return time.Duration(s.quickest.Swap(0)), time.Duration(s.slowest.Swap(0)), true
}

// limits returns the learned limits of all identities that have one.
func (m *memory) limits() []PeerLimits {
	m.mu.Lock()
	limited := make(map[unique.Handle[Identity]]*limits)
	for _, generation := range []map[unique.Handle[Identity]]*learned{m.aged, m.young} {
		for id, l := range generation {
			if l.limits.bounding() {
				limited[id] = &l.limits
			}
		}
	}
	m.mu.Unlock()
	all := make([]PeerLimits, 0, len(limited))
	now := time.Since(epoch)
	for id, l := range limited {
		s := l.shown.Load()
		s.mu.Lock()
		known := l.publish(s, now)
		s.mu.Unlock()
		if known != (LearnedLimits{}) {
			all = append(all, PeerLimits{id.Value(), known})
		}
	}
	return all
}
