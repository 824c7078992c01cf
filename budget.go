package peerpool

import (
	"sync"
	"time"
)

const (
	// budgetWindow is how long a request and a retry count. It is divided into steps of one second.
	budgetWindow = 10 * time.Second

	// budgetFloor is how many retries are allowed within budgetWindow, even if there are few requests.
	budgetFloor = 10

	// staleWithin is how soon a connection that was idle must break to count as one that was already dead. It is longer than
	// any round trip, and shorter than the time after which an overloaded server drops connections.
	staleWithin = time.Second
)

// retryBudget counts the requests of the last seconds, and those of their retries that may make the server process a request
// twice. It is used only if Transport.RetryBudget is set.
type retryBudget struct {
	mu    sync.Mutex // guards the fields below; nothing is called while it is held
	slots [budgetWindow / time.Second]budgetSlot
}

// budgetSlot counts the requests and the retries of one second.
type budgetSlot struct {
	second            int64 // since epoch; if it is older than budgetWindow, the slot no longer counts
	requests, retries uint64
}

// slot returns the slot of a second. If the slot still holds an older second, slot clears it. The caller holds mu.
func (b *retryBudget) slot(second int64) *budgetSlot {
	n := int64(len(b.slots))
	s := &b.slots[(second%n+n)%n] // second is negative if the clock of a testing/synctest bubble is behind epoch
	if s.second != second {
		*s = budgetSlot{second: second}
	}
	return s
}

func (b *retryBudget) request() {
	now := int64(time.Since(epoch) / time.Second)
	b.mu.Lock()
	b.slot(now).requests++
	b.mu.Unlock()
}

// take counts a retry and returns true if one more retry is allowed. One more is allowed if not more than the given share of
// the requests have then been retried.
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

// count is called before an exchange if there is a budget. It counts the request once, and notes the time.
func (a *attempt) count() {
	if a.number == 1 {
		a.t.core.budget.request()
	}
	a.begun = time.Since(epoch)
}

// afford returns v, or giveUp if v is a retry that the budget does not allow.
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

// wasStale reports whether the connection broke so soon after it had been idle that it must have been dead before, as the
// connections to a server are after a restart. Retries after that need no budget: there are no more of them than there were
// connections, and the server has not seen the request.
func (a *attempt) wasStale() bool {
	return a.lease.IdleTime() > 0 && time.Since(epoch)-a.begun < staleWithin
}

// repeats reports whether the server may have processed the request already, so that sending it again may double the
// server's load.
func (v verdict) repeats() bool { return v == retryStale || v == retryLost || v == retryAddress }
