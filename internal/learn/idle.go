package learn

import (
	"cmp"
	"slices"
	"time"
)

const (
	remembered = 8                // how many closes are remembered
	recent     = 10 * time.Minute // older closes do not teach, unless 16 times the idle time is longer

	nearParts = 20 // closes that differ from the limit by one part at most confirm it
	farParts  = 4  // as do closes that come later than the limit by one part at most

	gapParts = 100 // closes that are apart by less than one part of their idle time count as one
	minGap   = 5 * time.Millisecond

	marginParts = 20
	minMargin   = 10 * time.Millisecond
	leastWary   = time.Second            // the shortest time for which requests are wary after a close or a loss
	mostWary    = 5 * time.Second        // the longest time
	minWiden    = 100 * time.Millisecond // the shortest time between two losses that widen the margin
	mostWidened = 8
	broadFor    = 10 * time.Minute // how long the margin is not narrowed after the first loss; it doubles with each
	mostFailed  = 8

	raiseAfter = 10 * time.Minute // the limit first rises after this time without a confirmation
	raiseEvery = time.Minute
	raises     = 7 // how often it rises, by a quarter each time, to 4.8 times what was learned
	outlasting = 4 // so many connections that have outlived the limit raise it
)

// agreements say how many closes teach a limit if their idle times differ by at most one part in parts.
var agreements = []struct{ closes, parts int }{{3, 50}, {4, 20}, {5, 4}}

// closing is one close, or several closes at one moment.
type closing struct {
	at   time.Duration // the moment of the first of them
	idle time.Duration // the shortest idle time of them
	seen bool          // at least one connection was idle; the others were found closed when a request was lost
}

// Idle learns how long a peer keeps an idle connection. The zero Idle has learned nothing. Moments are durations since
// any fixed time. An Idle is not safe for concurrent use.
type Idle struct {
	closes [remembered]closing // the latest one at next-1
	next   int

	limit     time.Duration // 0 if there is none
	agreed    time.Duration // limit as several closes have shown it; single closes may have lowered it a little since
	since     time.Duration // when limit was first learned
	confirmed time.Duration // when limit was last confirmed
	raised    int           // how often the limit has risen since then
	widened   uint          // how often the margin has doubled
	lost      time.Duration // when the margin last doubled

	wary  time.Duration // the shortest idle time that requests avoid after a close or a loss: see beware; 0 if there is none
	until time.Duration // when wary is forgotten

	precision precision
	broad     time.Duration // until when the margin is not narrowed, because a request was lost within it; 0 if none was
	failed    uint          // how often that has happened

	outlived int           // number of connections that have outlived limit since it was confirmed
	outlive  time.Duration // the shortest idle time of these connections
	outlast  time.Duration // when one of them was last seen
}

// Limit returns the idle time at which the peer closes, or 0 if that is unknown.
func (l *Idle) Limit() time.Duration { return l.limit }

// Since returns when the limit was first learned.
func (l *Idle) Since() time.Duration { return l.since }

// Use returns how long a connection may have been idle if a request takes it that cannot be sent again, and if a round
// trip takes that long. It returns 0 if nothing is known.
func (l *Idle) Use(roundTrip time.Duration) time.Duration {
	switch wary := less(l.wary, roundTrip); {
	case l.limit == 0:
		return wary
	case wary == 0:
		return l.use(roundTrip)
	default:
		return min(wary, l.use(roundTrip))
	}
}

// less returns an idle time minus a margin.
func less(idle, roundTrip time.Duration) time.Duration {
	return idle - min(usual(idle)+max(0, roundTrip), idle/4*3)
}

func (l *Idle) use(roundTrip time.Duration) time.Duration {
	margin := l.precision.margin(l.limit)
	if l.broad != 0 {
		margin = max(margin, usual(l.limit))
	}
	margin += max(0, roundTrip)
	return l.limit - min(margin<<l.widened, l.limit/4*3)
}

// Close notes that the peer has closed a connection that had been idle for the given time.
func (l *Idle) Close(idle, now time.Duration) {
	if l.limit != 0 && idle > l.limit+l.limit/farParts {
		l.Outlive(idle, now)
	}
	if l.limit == 0 || idle < l.use(0) {
		l.beware(idle, now)
	}
	l.note(idle, now, true)
}

// beware makes requests avoid connections that have been idle for as long, for a while.
func (l *Idle) beware(idle, now time.Duration) {
	if l.wary == 0 || idle < l.wary {
		l.wary, l.until = idle, now+min(max(2*idle, leastWary), mostWary)
	}
}

// Lose notes that a request was lost on a connection that had been idle for the given time, or for that time at least if
// the time is not exact.
func (l *Idle) Lose(idle time.Duration, exact bool, now, roundTrip time.Duration) {
	if use := l.use(roundTrip); l.limit != 0 && idle >= use/2 && idle <= use && now-l.lost >= max(l.limit, minWiden) {
		if l.broad == 0 && l.precision.margin(l.limit) < usual(l.limit) {
			l.failed = min(l.failed+1, mostFailed)
		} else {
			l.widened = min(l.widened+1, mostWidened)
		}
		l.broad, l.lost = now+broadFor<<l.failed, now
	}
	if l.limit != 0 || l.closesIdle(now) {
		l.beware(idle, now)
	}
	if exact {
		l.note(idle, now, false)
	}
}

// closesIdle reports whether the peer has lately closed a connection that was idle. If it has not, a lost request may have
// been lost for any reason, and to open a connection for each of the next requests might do harm to a peer in trouble.
func (l *Idle) closesIdle(now time.Duration) bool {
	return slices.ContainsFunc(l.teaching(now), func(c closing) bool { return c.seen })
}

// teaching returns the remembered closes that are not too old to teach.
func (l *Idle) teaching(now time.Duration) (found []closing) {
	for i := max(0, l.next-remembered); i < l.next; i++ {
		if c := l.closes[i%remembered]; now-c.at < max(recent, 2*remembered*c.idle) {
			found = append(found, c)
		}
	}
	return found
}

// Answers notes how long the quickest and the slowest of some requests took, from before they were sent to the end of the
// response. Call it for every 16 requests or so.
func (l *Idle) Answers(quickest, slowest time.Duration) {
	l.precision.answers.add(quickest, slowest, windowAnswers)
}

func gap(idle time.Duration) time.Duration { return max(minGap, idle/gapParts) }

func (l *Idle) note(idle, now time.Duration, seen bool) {
	if n := l.next - 1; n >= 0 {
		if last := &l.closes[n%remembered]; now-last.at < gap(idle) {
			last.idle, last.seen = min(last.idle, idle), last.seen || seen
			if l.confirms(idle, now) {
				l.precision.closes.current.include(idle, idle, 0)
			}
			return
		}
	}
	l.closes[l.next%remembered] = closing{at: now, idle: idle, seen: seen}
	l.next++
	if l.confirms(idle, now) && l.precision.closes.add(idle, idle, windowCloses) {
		l.limit = l.precision.closes.last.least
		l.agreed = l.limit
	}
	l.infer(now)
}

// confirms notes a close, and reports whether it confirms the limit, because its idle time is near the limit.
func (l *Idle) confirms(idle, now time.Duration) bool {
	if l.limit == 0 || idle < l.agreed-l.agreed/nearParts || idle > l.agreed+l.agreed/farParts {
		return false
	}
	l.confirmed, l.raised, l.outlived = now, 0, 0
	l.limit = min(l.limit, idle)
	return true
}

// infer looks for a limit in the closes that are remembered.
func (l *Idle) infer(now time.Duration) {
	found := l.teaching(now)
	slices.SortFunc(found, func(a, b closing) int { return cmp.Compare(a.idle, b.idle) })
	limit := none
	for _, a := range agreements {
		limit = min(limit, agreed(found, a.closes, a.parts))
	}
	if limit == none || limit >= l.limit && l.limit != 0 {
		return
	}
	if l.limit == 0 {
		l.since = now
	}
	l.set(limit, now)
}

// set sets the limit. What the closes have shown of another limit is forgotten.
func (l *Idle) set(limit, now time.Duration) {
	l.limit, l.agreed, l.confirmed, l.raised, l.outlived = limit, limit, now, 0, 0
	l.precision.closes = windows{}
}

const none = time.Duration(1<<63 - 1)

// agreed returns the shortest idle time at which a cluster of closes begins that agree, or none. The cluster must hold
// at least many closes, and three quarters of all. found is sorted by idle time.
func agreed(found []closing, many, parts int) time.Duration {
	most := max(many, (len(found)*3+3)/4)
	for i := 0; i+most <= len(found); i++ {
		cluster := found[i : i+most]
		first, last := cluster[0].idle, cluster[most-1].idle
		idle := slices.ContainsFunc(cluster, func(c closing) bool { return c.seen })
		if idle && last-first <= first/time.Duration(parts) && apart(cluster, max(gap(first), 2*(last-first))) >= many {
			return first
		}
	}
	return none
}

// apart returns how many of the closes can be chosen so that any two are apart by at least by.
func apart(closes []closing, by time.Duration) (n int) {
	closes = slices.SortedFunc(slices.Values(closes), func(a, b closing) int { return cmp.Compare(a.at, b.at) })
	latest := time.Duration(0)
	for _, c := range closes {
		if n == 0 || c.at-latest >= by {
			n++
			latest = c.at
		}
	}
	return n
}

// Outlive notes that a connection was still alive after it had been idle for the given time.
func (l *Idle) Outlive(idle, now time.Duration) {
	if l.limit == 0 || idle <= l.limit+l.limit/farParts || now-l.outlast < gap(idle) {
		return
	}
	l.outlast = now
	if l.outlived == 0 || idle < l.outlive {
		l.outlive = idle
	}
	l.outlived++
	if l.outlived >= outlasting && now-l.confirmed >= max(20*l.limit, 10*time.Second) {
		l.raise(min(l.outlive, 2*l.limit), now)
	}
}

// raise sets the limit to a longer time. It also forgets the closes so far, because they would lower the limit again.
func (l *Idle) raise(limit, now time.Duration) {
	raised := l.raised
	l.set(limit, now)
	l.raised, l.next = raised, 0
}

// Review raises a limit that has not been confirmed for a long time, and finally forgets it. It returns when to review
// again.
func (l *Idle) Review(now time.Duration) time.Duration {
	if now >= l.until {
		l.wary, l.until = 0, none
	}
	if l.broad != 0 && now >= l.broad {
		l.broad = 0
	}
	if l.widened > 0 && now-l.lost >= raiseAfter {
		l.widened, l.lost = l.widened-1, now
	}
	for l.limit != 0 && now >= l.due() {
		if l.raised++; l.raised > raises {
			*l = Idle{wary: l.wary, until: l.until}
			break
		}
		confirmed, raised := l.confirmed, l.raised
		l.set(l.limit+l.limit/4, now)
		l.confirmed, l.raised, l.next = confirmed, raised, 0
	}
	if l.wary != 0 {
		return min(l.due(), l.until)
	}
	return l.due()
}

// due returns when the limit is to be raised next.
func (l *Idle) due() time.Duration {
	if l.limit == 0 {
		return none
	}
	return l.confirmed + raiseAfter + time.Duration(l.raised)*raiseEvery
}
