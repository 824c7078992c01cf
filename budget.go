package peerpool

import (
	"sync"
	"time"
)

const (
	// budgetWindow is how long a request and a retry count, in steps of a second.
	budgetWindow = 10 * time.Second

	// budgetFloor is how many retries there may be in that time however few requests there are.
	budgetFloor = 10

	// staleWithin is how soon a connection that was idle must break to count as one that was dead before: longer than any
	// round trip, and shorter than what overload takes.
	staleWithin = time.Second
)

// retryBudget counts the requests of the last seconds, and those retries of them that the server may have to serve twice. It
// is used only if Transport.RetryBudget is set.
type retryBudget struct {
	mu    sync.Mutex // guards what follows; nothing is called under it
	slots [budgetWindow / time.Second]budgetSlot
}

// budgetSlot is one second.
type budgetSlot struct {
	second            int64 // since epoch; what is older is over
	requests, retries uint64
}

// slot returns that of the present. The caller holds mu.
func (b *retryBudget) slot(second int64) *budgetSlot {
	n := int64(len(b.slots))
	s := &b.slots[(second%n+n)%n] // the clock of a bubble of testing/synctest may be behind
	if s.second != second {
		*s = budgetSlot{second: second}
	}
	return s
}

// request counts a request.
func (b *retryBudget) request() {
	now := int64(time.Since(epoch) / time.Second)
	b.mu.Lock()
	b.slot(now).requests++
	b.mu.Unlock()
}

// take counts a retry if there may be one more: if not more than that share of the requests have been retried.
func (b *retryBudget) take(share float64) bool {
	now := int64(time.Since(epoch) / time.Second)
	b.mu.Lock()
	defer b.mu.Unlock()
	var requests, retries uint64
	for _, s := range b.slots {
		if now-s.second < int64(len(b.slots)) {
			requests += s.requests
			retries += s.retries
		}
	}
	if float64(retries+1) > max(budgetFloor, share*float64(requests)) {
		return false
	}
	b.slot(now).retries++
	return true
}

// count is called before an exchange if there is a budget.
func (a *attempt) count() {
	if a.number == 1 {
		a.t.core.budget.request()
	}
	a.begun = time.Since(epoch)
}

// afford returns the verdict, or giveUp if the budget does not allow it.
func (a *attempt) afford(v verdict, o *outcome) verdict {
	share := a.t.retryBudget()
	if share <= 0 || !v.repeats() || v == retryStale && a.wasStale() || a.t.core.budget.take(share) {
		return v
	}
	a.overBudget = true
	a.t.core.counters.overBudget.Add(1)
	a.report.overBudget()
	return giveUp
}

// wasStale says that the connection broke so soon after it had been idle that it was dead before, as the connections to a
// server are after a restart. There are only so many of them, and the server has not seen the request.
func (a *attempt) wasStale() bool {
	return a.lease.IdleTime() > 0 && time.Since(epoch)-a.begun < staleWithin
}

// repeats says that the server may have processed the request before, so that sending it again may double its load.
func (v verdict) repeats() bool { return v == retryStale || v == retryLost || v == retryAddress }
