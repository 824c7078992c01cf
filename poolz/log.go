package poolz

import (
	"slices"
	"sync"
	"time"

	"github.com/peerpool/peerpool"
)

// logKept is the largest number of events that a log keeps.
const logKept = 200

// event is a close or a miss, or several with the same reason.
type event struct {
	At       time.Time
	Reason   string
	identity peerpool.Identity // the zero Identity if it is not known
	Count    uint64
	Waited   time.Duration // of a miss: how long the request waited for its connection
	HeldBack bool          // of a miss: MaxConnsPerHost made the request wait
	Failure  string        // of a miss without a connection: what failed
}

// log holds the latest events. The zero value is empty. A log is safe for concurrent use.
type log struct {
	mu     sync.Mutex // guards what follows
	events []event    // a ring buffer once it is full
	oldest int
}

func (l *log) add(e event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.events) < logKept {
		l.events = append(l.events, e)
		return
	}
	l.events[l.oldest] = e
	l.oldest = (l.oldest + 1) % logKept
}

// latest returns at most n events that match, the newest first.
func (l *log) latest(n int, match func(*event) bool) []event {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []event
	for i := range l.events {
		newest := (l.oldest + len(l.events) - 1 - i) % len(l.events)
		if len(found) == n {
			break
		}
		if e := &l.events[newest]; match(e) {
			found = append(found, *e)
		}
	}
	return found
}

// addNew adds an event for each counter that has grown between two snapshots, in the order of the reasons.
func addNew[R ~string](l *log, at time.Time, before, after map[R]uint64) {
	var reasons []R
	for reason, n := range after {
		if n > before[reason] {
			reasons = append(reasons, reason)
		}
	}
	slices.Sort(reasons)
	for _, reason := range reasons {
		l.add(event{At: at, Reason: string(reason), Count: after[reason] - before[reason]})
	}
}
