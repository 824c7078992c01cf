package inflight

import "time"

// arm ensures that there is a sweep in a moment. It makes a new timer each time: a Transport may be used in a synctest
// bubble first and outside of it later.
func (l *List) arm() {
	if !l.due.Load() && l.due.CompareAndSwap(false, true) {
		time.AfterFunc(moment, l.sweep)
	}
}

// sweep is called by the timer.
func (l *List) sweep() {
	if l.pass() {
		time.AfterFunc(moment, l.sweep)
		return
	}
	l.due.Store(false)
	if l.waited() { // attempts that came before the Store set no timer
		l.arm()
	}
}

// pass begins to listen to what can cancel the attempts whose first moment is over. It returns whether there are
// younger ones.
func (l *List) pass() (more bool) {
	now := l.sweeps.Add(1)
	var room [16]Exchange
	for i := range l.shards {
		grown, left := l.shards[i].pass(l, now, room[:0])
		for _, x := range grown {
			x.Heed()
		}
		more = more || left
	}
	return more
}

// pass returns the exchanges that are to heed their contexts from now on, and whether attempts are left that are too
// young: those that came after the previous sweep.
func (s *shard) pass(l *List, now uint32, grown []Exchange) (_ []Exchange, left bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.unheard
	for ; e != nil && (!e.late || now-e.born > 1); e = e.next {
		if !e.late {
			continue
		}
		if x := e.listen(l); x != nil {
			grown = append(grown, x)
		}
	}
	s.unheard = e
	return grown, e != nil
}

// waited reports whether an attempt waits for a sweep.
func (l *List) waited() bool {
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		waits := s.unheard != nil
		s.mu.Unlock()
		if waits {
			return true
		}
	}
	return false
}

// ByHand is for tests. From now on no sweep comes by itself; the function that it returns sweeps once.
func (l *List) ByHand() (sweep func()) {
	l.due.Store(true)
	return func() { l.pass() }
}

// Sweeping reports whether a sweep is to come, or is running.
func (l *List) Sweeping() bool { return l.due.Load() }

// Len returns the number of attempts that are listed.
func (l *List) Len() int {
	n := 0
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		for e := s.first; e != nil; e = e.next {
			n++
		}
		s.mu.Unlock()
	}
	return n
}
