package learn

import "time"

const (
	alike     = 4                     // so many connections that have served the same number of requests teach
	alikeGap  = 20 * time.Millisecond // of several connections that end within this time, one counts
	forgetted = 10 * time.Minute      // how long a limit lasts without a confirmation
)

// Requests learns how many requests a peer serves on a connection. The zero Requests has learned nothing. Moments are
// durations since any fixed time. A Requests is not safe for concurrent use.
type Requests struct {
	latest int // number of requests that the latest connection had served
	alike  int // number of connections in a row that had served as many
	at     time.Duration

	announced bool // the peer announced that end with the last response

	limit            int // 0 if there is none
	since, confirmed time.Duration
}

// Limit returns the number of requests after which the peer ends a connection, or 0 if that is unknown.
func (r *Requests) Limit() int { return r.limit }

// Since returns when the limit was learned.
func (r *Requests) Since() time.Duration { return r.since }

// End notes that the peer has ended a connection after the connection had served that many requests. announced says
// whether the peer announced the end with the last response.
func (r *Requests) End(served int, announced bool, now time.Duration) {
	if announced && served == 1 {
		return // such a peer serves one request each time, so there is nothing to foresee
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

// Suspect returns how many requests the latest connection that the peer ended had served, or 0. The caller must report
// a connection that serves more to Exceed.
func (r *Requests) Suspect() int {
	if r.alike == 0 {
		return 0
	}
	return r.latest
}

// Exceed notes that a connection has served that many requests, and that the peer has not ended it. There is no limit
// if the connection has served more than the limit, or if it has served as many and the peer had announced the end of
// the others.
func (r *Requests) Exceed(served int) {
	if served > r.latest {
		r.alike = 0
	}
	if r.limit != 0 && (served > r.limit || served == r.limit && r.announced) {
		*r = Requests{}
	}
}

// Keep notes that a connection has served that many requests, and that the peer has kept it open for a while after the last
// of them. A peer with that limit would have closed it.
func (r *Requests) Keep(served int) { r.Exceed(served + 1) }

// Review forgets a limit that has not been confirmed for a long time. It returns when to review again.
func (r *Requests) Review(now time.Duration) time.Duration {
	if r.limit != 0 && now >= r.confirmed+forgetted {
		*r = Requests{}
	}
	if r.limit == 0 {
		return none
	}
	return r.confirmed + forgetted
}
