package learn

import "time"

const (
	enoughCloses  = 32  // how many closes show how exactly the server keeps to its limit
	windowCloses  = 512 // how many closes fill a window
	windowAnswers = 8   // how many calls of Idle.Answers fill a window
)

// window holds the shortest and the longest of some durations.
type window struct {
	n               int
	least, greatest time.Duration
}

// include includes n durations, of which only the shortest and the longest are given.
func (w *window) include(least, greatest time.Duration, n int) {
	if w.n+n == 0 {
		return
	}
	if w.n == 0 || least < w.least {
		w.least = least
	}
	w.greatest = max(w.greatest, greatest)
	w.n += n
}

// windows are the current window and the last full one.
type windows struct{ current, last window }

// add includes durations in the current window, as one. If that window is then full, add begins a new one and returns true.
func (w *windows) add(least, greatest time.Duration, full int) bool {
	w.current.include(least, greatest, 1)
	if w.current.n < full {
		return false
	}
	w.last, w.current = w.current, window{}
	return true
}

func (w *windows) n() int { return w.current.n + w.last.n }

// spread returns the difference between the longest and the shortest duration.
func (w *windows) spread() time.Duration {
	switch {
	case w.last.n == 0:
		return w.current.greatest - w.current.least
	case w.current.n == 0:
		return w.last.greatest - w.last.least
	}
	return max(w.current.greatest, w.last.greatest) - min(w.current.least, w.last.least)
}

// precision holds what shows how exactly a limit is known, and how late a request may reach the server.
type precision struct {
	closes  windows // idle times of the connections that the server has closed at the limit
	answers windows // how long requests have taken
}

// usual returns the margin that is used until enough is known.
func usual(idle time.Duration) time.Duration { return max(idle/marginParts, min(idle/8, minMargin)) }

// margin returns the margin that the closes and the answers call for, without the time of a round trip.
//
// The shortest of n idle times exceeds the shortest possible one by about one part in n of their spread. That is one
// part of the margin. The other part is for requests that are read late. The answers show how late that may be: if the
// server does the same for each request, nothing else makes some of them take longer than others.
func (p *precision) margin(limit time.Duration) time.Duration {
	n := p.closes.n()
	if n < enoughCloses || p.answers.last.n == 0 {
		return usual(limit)
	}
	late := p.answers.spread() * 3 / 2
	if late > usual(limit) {
		late = max(usual(limit), min(late, limit/4, minMargin))
	}
	return 4*p.closes.spread()/time.Duration(n) + late
}
