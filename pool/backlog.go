package pool

import (
	"context"
	"time"
)

// Backlog describes the Acquires that wait, at the moment when MaxConns makes another one wait: see Config.OnHeldBack.
type Backlog struct {
	MaxConns int           // Terms.MaxConns of the new Acquire
	Dialing  int           // dials under way: some of the connections that MaxConns allows
	Waiting  int           // Acquires that wait for the key or the Host, including the new one
	Longest  time.Duration // how long the oldest of them has waited
}

// heldBack notes the backlog if MaxConns holds the want back, which has just joined. It does if there would be no room
// for a dial of the want even after the dials that older wants still wait for. A want that waits for the place that
// another dial brings is not held back.
func (p *Pool[K, C]) heldBack(w *want[K, C]) {
	h, limit := w.host, w.terms.maxConns()
	if w.over || w.dial != nil || h.busy()+h.unasked.len-1 < limit || h.covers(w, h.shown()) {
		return
	}
	oldest := older(h.plain.first(), h.own.first())
	w.backlog = &Backlog{MaxConns: limit, Dialing: h.reserved(), Waiting: h.waiting(), Longest: w.since - oldest.since}
}

// tellHeldBack calls the hook for a want that MaxConns holds back. The caller does not hold the lock.
func (p *Pool[K, C]) tellHeldBack(ctx context.Context, w *want[K, C]) {
	if w.backlog != nil {
		p.config.OnHeldBack(ctx, *w.backlog)
	}
}
