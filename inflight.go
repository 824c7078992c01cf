package peerpool

import (
	"hash/maphash"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// moment is how long a request goes on before anybody listens to its context: twice that at most. Most are over by
// then, and listening would have cost each a registration with the context, under its lock, or a goroutine. It is
// short beside what it takes to notice that nobody answers, and long beside what most answers take.
const moment = time.Millisecond

// shards is how many lists share the requests, so that callers seldom wait for each other. A power of two.
const shards = 16

// inflight lists the attempts of the requests under way, for CancelRequest, and for the sweep that begins to listen
// to what can cancel those which are not over at once.
//
// A sweep runs on the goroutine of a timer, which is set only while there is somebody to begin to listen to.
type inflight struct {
	shards [shards]shard
	due    atomic.Bool   // a sweep is to come, or is running
	sweeps atomic.Uint32 // so far: the age of an attempt is counted in them
	door   door
}

// shard is one of the lists, in the order of their coming.
type shard struct {
	// mu guards the list, and the enlisted part of every attempt in it. Nothing that blocks and nobody else's code is
	// called under it. An attempt's own mu may be taken under it, never the other way round.
	mu          sync.Mutex
	first, last *attempt
	unheard     *attempt // those before it need no sweep any more; nil: none does
	_           [32]byte // or neighbors would share a cache line
}

// enlisted is the part of an attempt that its shard guards.
type enlisted struct {
	prev, next *attempt
	done       chan struct{} // closed as it leaves the list; nil if nobody listens
	born       uint32        // sweeps before it came
	listed     bool
	late       bool // a sweep is to begin to listen; never changed
	turnedAway bool // it came when the door was shut, and is not listed; never changed
}

var seed = maphash.MakeSeed()

func (f *inflight) shard(req *http.Request) *shard {
	return &f.shards[maphash.Comparable(seed, req)%shards]
}

// add lists an attempt, in place of another one at the same request if that is given, which may have been canceled. It
// does not list the first attempt at a request that comes when the door is shut.
func (f *inflight) add(a, after *attempt) {
	s := f.shard(a.orig)
	s.mu.Lock()
	if after == nil && f.door.shut.Load() {
		a.late, a.turnedAway = false, true
		s.mu.Unlock()
		return
	}
	if after != nil {
		a.because = after.canceled()
		s.removeLocked(after)
	}
	a.born, a.listed, a.prev = f.sweeps.Load(), true, s.last
	if s.last != nil {
		s.last.next = a
	} else {
		s.first = a
	}
	s.last = a
	if a.late && s.unheard == nil {
		s.unheard = a
	}
	s.mu.Unlock()
	if a.late {
		f.arm()
	}
}

// remove takes an attempt off its list, if it is still there. From then on nobody else knows it, but for the goroutine
// that may watch its Cancel channel.
func (f *inflight) remove(a *attempt) (watched bool) {
	s := f.shard(a.orig)
	s.mu.Lock()
	s.removeLocked(a)
	watched = a.done != nil
	s.mu.Unlock()
	f.door.left()
	return watched
}

func (s *shard) removeLocked(a *attempt) {
	if !a.listed {
		return
	}
	if a.prev != nil {
		a.prev.next = a.next
	} else {
		s.first = a.next
	}
	if a.next != nil {
		a.next.prev = a.prev
	} else {
		s.last = a.prev
	}
	if s.unheard == a {
		s.unheard = a.next
	}
	a.prev, a.next, a.listed = nil, nil, false
	if a.done != nil {
		close(a.done)
	}
}

// cancel ends every attempt at req.
func (f *inflight) cancel(req *http.Request, err error) {
	var victims []victim
	s := f.shard(req)
	s.mu.Lock()
	for a := s.first; a != nil; a = a.next {
		if a.orig == req {
			victims = append(victims, a.mark(err))
		}
	}
	s.mu.Unlock()
	for _, v := range victims {
		v.end()
	}
}

// cancelOne ends one attempt, if it is still under way.
func (f *inflight) cancelOne(a *attempt, err error) {
	var v victim
	s := f.shard(a.orig)
	s.mu.Lock()
	if a.listed {
		v = a.mark(err)
	}
	s.mu.Unlock()
	v.end()
}

// arm sees to it that there is a sweep in a moment. The timer is a new one each time: it may be set in a synctest
// bubble now and outside of it then.
func (f *inflight) arm() {
	if !f.due.Load() && f.due.CompareAndSwap(false, true) {
		time.AfterFunc(moment, f.sweep)
	}
}

// sweep is the timer's.
func (f *inflight) sweep() {
	if f.pass() {
		time.AfterFunc(moment, f.sweep)
		return
	}
	f.due.Store(false)
	if f.waited() { // those who came before the Store rely on us
		f.arm()
	}
}

// pass begins to listen to what can cancel the attempts whose first moment is over. It returns whether there are
// younger ones.
func (f *inflight) pass() (more bool) {
	now := f.sweeps.Add(1)
	var room [16]interruptible
	for i := range f.shards {
		grown, left := f.shards[i].pass(now, room[:0])
		for _, x := range grown {
			x.Heed()
		}
		more = more || left
	}
	return more
}

// pass returns the exchanges whose contexts are to be heeded from now on, and whether some are left that are too
// young: those that came after the sweep before this one.
func (s *shard) pass(now uint32, grown []interruptible) (_ []interruptible, left bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.unheard
	for ; a != nil && (!a.late || now-a.born > 1); a = a.next {
		if !a.late {
			continue
		}
		if x := a.listen(); x != nil {
			grown = append(grown, x)
		}
	}
	s.unheard = a
	return grown, a != nil
}

// waited says whether somebody waits for a sweep.
func (f *inflight) waited() bool {
	for i := range f.shards {
		s := &f.shards[i]
		s.mu.Lock()
		waits := s.unheard != nil
		s.mu.Unlock()
		if waits {
			return true
		}
	}
	return false
}
