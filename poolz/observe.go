package poolz

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/peerpool/peerpool"
)

// reasonNoConnection is the reason of a miss that ended without a connection. The pool's own reasons are for attempts that
// got one.
const reasonNoConnection = "no_connection"

// watching holds what a Page counts while it observes.
type watching struct {
	on           atomic.Bool
	hits, misses atomic.Uint64
}

func (w *watching) counts() (hits, misses uint64) { return w.hits.Load(), w.misses.Load() }

// Observer returns the Observer through which the page receives every close, every miss and every request that has
// failed, and the hit ratio between requests for the page. Set it only on the Transport of this page, before the first
// request. A hit costs two atomic operations and one reading of the clock.
func (p *Page) Observer() *peerpool.Observer {
	if !p.watching.on.Swap(true) {
		p.history.tick(time.Now(), p.watching.counts)
	}
	return &peerpool.Observer{AcquireDone: p.acquired, RequestDone: p.failures.ended, ConnClosed: p.closed}
}

func (p *Page) acquired(_ context.Context, a peerpool.AcquireDone) {
	now := time.Now()
	if a.Err == nil && a.Miss == "" {
		p.watching.hits.Add(1)
	} else {
		p.watching.misses.Add(1)
		e := event{At: now, Reason: string(a.Miss), identity: a.Identity, Count: 1, Waited: a.Waited, HeldBack: a.HeldBack}
		if a.Err != nil {
			e.Reason, e.Failure = reasonNoConnection, failureOf(a)
		}
		p.misses.add(e)
	}
	p.history.tick(now, p.watching.counts)
}

func (p *Page) closed(c peerpool.ConnClosed) {
	p.closes.add(event{At: time.Now(), Reason: string(c.Reason), identity: c.Identity, Count: 1})
}

// failureOf says in a word or two why an attempt got no connection. The page does not show the text of the error, because
// it may hold secrets: for example, a Proxy function may quote credentials in its error.
func failureOf(a peerpool.AcquireDone) string {
	switch {
	case a.Hop != "" && a.ErrorType == "timeout":
		return a.Hop + ", timed out"
	case a.Hop != "":
		return a.Hop
	case errors.Is(a.Err, context.DeadlineExceeded):
		return "timed out"
	case errors.Is(a.Err, context.Canceled):
		return "given up"
	case errors.Is(a.Err, peerpool.ErrClosed):
		return "shut down"
	}
	return ""
}

// look takes a snapshot of the pool. If the Page does not observe, look compares the snapshot with the previous one.
func (p *Page) look(now time.Time) (peerpool.Stats, []span) {
	p.looking.Lock()
	defer p.looking.Unlock()
	stats := p.pool.Stats()
	hits, misses := stats.Hits, total(stats.Misses)
	if p.watching.on.Load() {
		hits, misses = p.watching.counts()
	} else if p.last != nil { // without a previous snapshot there is nothing to compare
		addNew(&p.closes, now, p.last.Closes, stats.Closes)
		addNew(&p.misses, now, p.last.Misses, stats.Misses)
	}
	p.last = &stats
	p.history.tick(now, func() (uint64, uint64) { return hits, misses })
	return stats, p.history.spans(now, hits, misses)
}

func total[R ~string](counts map[R]uint64) uint64 {
	var sum uint64
	for _, n := range counts {
		sum += n
	}
	return sum
}
