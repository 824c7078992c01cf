package learn

import "time"

const (
	alike     = 4                     // connections that have served the same number of requests teach
	alikeGap  = 20 * time.Millisecond // of those that end within that time one counts
	forgetted = 10 * time.Minute      // after how long without a confirmation the limit is forgotten
)

// Requests learns how many requests a peer serves on a connection. The zero Requests has learned nothing. Moments are
// durations since any fixed time. A Requests is not safe for concurrent use.
type Requests struct {
	latest int // number that the latest connection had served
	alike  int // connections in a row that had served as many
	at     time.Duration

	announced bool // by the peer, with the last response

	limit            int // 0: none
	since, confirmed time.Duration
}

// Limit returns the number of requests after which the peer ends a connection, or 0 if that is unknown.
func (r *Requests) Limit() int { return r.limit }

// Since returns when the limit was learned.
func (r *Requests) Since() time.Duration { return r.since }

// End notes that the peer has ended a connection after it had served so many requests. announced: it has said so with the
// last response.
func (r *Requests) End(served int, announced bool, now time.Duration) {
	if announced && served == 1 {
		return // there is nothing to know in advance
	}
	r.announced = announced
	if served == r.limit && r.limit != 0 {
		r.confirmed = now
	}
	switch {
	case served != r.latest || r.alike == 0:
		r.latest, r.alike, r.at = served, 1, now
	case now-r.at >= alikeGap:
		r.alike++
		r.at = now
	}
	if r.alike >= alike && r.limit != served {
		r.limit, r.since, r.confirmed = served, now, now
	}
}

// Suspect returns the number of requests that the latest connection had served which the peer has ended, or 0. One that
// serves more is to be told of by Exceed.
func (r *Requests) Suspect() int {
	if r.alike == 0 {
		return 0
	}
	return r.latest
}

// Exceed notes that a connection has served so many requests, and that the peer has not ended it. That shows that there is
// no such limit if the connection has served more, or if the peer has announced the end of the others.
func (r *Requests) Exceed(served int) {
	if served > r.latest {
		r.alike = 0
	}
	if r.limit != 0 && (served > r.limit || served == r.limit && r.announced) {
		*r = Requests{}
	}
}

// Review forgets a limit that has not been confirmed for long. It returns when to review again.
func (r *Requests) Review(now time.Duration) time.Duration {
	if r.limit != 0 && now >= r.confirmed+forgetted {
		*r = Requests{}
	}
	if r.limit == 0 {
		return none
	}
	return r.confirmed + forgetted
}
