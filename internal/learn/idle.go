package learn

import (
	"cmp"
	"slices"
	"time"
)

const (
	remembered = 8                // how many closes are remembered
	recent     = 10 * time.Minute // older closes do not teach

	// Closes teach a limit if the idle times of at least tight of them differ by at most one part in tightParts, or those of
	// at least loose of them by at most one part in looseParts.
	tight, tightParts = 3, 20
	loose, looseParts = 5, 4

	gapParts = 100 // closes that are apart by less than one part of their idle time count as one
	minGap   = 5 * time.Millisecond

	marginParts = 20
	minMargin   = 10 * time.Millisecond
	longestWary = 5 * time.Second        // the longest time for which a loss is remembered
	minWiden    = 100 * time.Millisecond // the shortest time between two losses that widen the margin

	raiseAfter = 10 * time.Minute // the limit first rises after this time without a confirmation
	raiseEvery = time.Minute
	raises     = 7 // how often it rises, by a quarter each time, to 4.8 times what was learned
	outlasting = 4 // so many connections that have outlived the limit raise it
)

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
	since     time.Duration // when limit was first learned
	confirmed time.Duration // when limit was last confirmed
	raised    int           // how often the limit has risen since then
	widened   uint          // how often the margin has doubled
	lost      time.Duration // when the margin last doubled

	wary  time.Duration // the shortest idle time at which a request was lost lately; 0 if none was
	until time.Duration // when wary is forgotten

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
	return idle - min(max(idle/marginParts, min(idle/8, minMargin))+max(0, roundTrip), idle/4*3)
}

func (l *Idle) use(roundTrip time.Duration) time.Duration {
	margin := l.limit - less(l.limit, roundTrip)
	for range l.widened {
		margin *= 2
	}
	return l.limit - min(margin, l.limit/4*3)
}

// Close notes that the peer has closed a connection that had been idle for the given time.
func (l *Idle) Close(idle, now time.Duration) {
	if l.limit != 0 && idle > l.limit+l.limit/looseParts {
		l.Outlive(idle, now)
	}
	l.note(idle, now, true)
}

// Lose notes that a request was lost on a connection that had been idle for the given time.
func (l *Idle) Lose(idle, now, roundTrip time.Duration) {
	if use := l.use(roundTrip); l.limit != 0 && idle >= use/2 && idle <= use && now-l.lost >= max(l.limit, minWiden) {
		l.widened, l.lost = min(l.widened+1, 8), now
	}
	if l.wary == 0 || idle < l.wary {
		l.wary, l.until = idle, now+min(2*idle, longestWary)
	}
	l.note(idle, now, false)
}

func gap(idle time.Duration) time.Duration { return max(minGap, idle/gapParts) }

func (l *Idle) note(idle, now time.Duration, seen bool) {
	if n := l.next - 1; n >= 0 {
		if last := &l.closes[n%remembered]; now-last.at < gap(idle) {
			last.idle, last.seen = min(last.idle, idle), last.seen || seen
			l.confirm(idle, now)
			return
		}
	}
	l.closes[l.next%remembered] = closing{at: now, idle: idle, seen: seen}
	l.next++
	l.confirm(idle, now)
	l.infer(now)
}

// confirm notes a close, and counts it as a confirmation if its idle time is near the limit.
func (l *Idle) confirm(idle, now time.Duration) {
	if l.limit != 0 && idle >= l.limit-l.limit/tightParts && idle <= l.limit+l.limit/looseParts {
		l.confirmed, l.raised, l.outlived = now, 0, 0
	}
}

// infer looks for a limit in the closes that are remembered.
func (l *Idle) infer(now time.Duration) {
	var found []closing
	for i := max(0, l.next-remembered); i < l.next; i++ {
		if c := l.closes[i%remembered]; now-c.at < recent {
			found = append(found, c)
		}
	}
	slices.SortFunc(found, func(a, b closing) int { return cmp.Compare(a.idle, b.idle) })
	limit := min(agreed(found, tight, tightParts), agreed(found, loose, looseParts))
	switch {
	case limit == none || limit >= l.limit && l.limit != 0:
	case l.limit == 0:
		l.limit, l.since, l.confirmed = limit, now, now
	default:
		l.limit, l.confirmed, l.raised, l.outlived = limit, now, 0, 0
	}
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
	if l.limit == 0 || idle <= l.limit+l.limit/looseParts || now-l.outlast < gap(idle) {
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
	l.limit, l.confirmed, l.outlived, l.next = limit, now, 0, 0
}

// Review raises a limit that has not been confirmed for a long time, and finally forgets it. It returns when to review
// again.
func (l *Idle) Review(now time.Duration) time.Duration {
	if now >= l.until {
		l.wary, l.until = 0, none
	}
	if l.widened > 0 && now-l.lost >= raiseAfter {
		l.widened, l.lost = l.widened-1, now
	}
	for l.limit != 0 && now >= l.due() {
		if l.raised++; l.raised > raises {
			*l = Idle{wary: l.wary, until: l.until}
			break
		}
		l.limit += l.limit / 4
		l.next = 0
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
