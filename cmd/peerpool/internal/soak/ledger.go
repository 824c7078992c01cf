package soak

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// maxAttempts is the largest number of attempts at a request: see docs/retries.md.
const maxAttempts = 3

// remembered is the number of requests that the ledger remembers after their end, because some arrive at a server later.
const remembered = 1 << 16

// entry holds what the ledger knows about a request.
type entry struct {
	lane       string
	upload     int  // bytes of its body
	idempotent bool // it may be executed twice, and the rules of retries save it
	replayable bool // it has no body, or GetBody
	canceled   bool // the caller cancels it
	rude       bool // servers send unexpected data, which may cross it on the wire
	ended      bool

	arrivals   int // how many times it has arrived at a server
	executed   int // of these, how many times to its last byte
	unanswered int // of these, how many times it got no byte of an answer
	refused    int // of these, how many times the server said that it did not process it
	begun      bool
	failure    error // its error, if it seems that it must not fail; judged again when the entry is forgotten
}

// A Violation is something that must not happen.
type Violation string

const (
	WrongAnswer   Violation = "answers that belong to another request, or to none"
	Lost          Violation = "requests that failed although they could have been sent again"
	ExecutedTwice Violation = "requests executed twice although they must not be"
	Corrupted     Violation = "uploads that arrived changed"
	Mixed         Violation = "connections shared by tenants"
	Leaked        Violation = "goroutines, descriptors or leases left over"
)

// Violations lists all kinds.
var Violations = []Violation{WrongAnswer, Lost, ExecutedTwice, Corrupted, Mixed, Leaked}

// ledger holds what servers and callers report. It is safe for concurrent use.
type ledger struct {
	mu      sync.Mutex // guards what follows; nothing is called under it
	entries map[token]*entry
	ended   []token // the last ones, in a ring buffer
	at      int
	report  Report
}

// Report is the sum of a ledger.
type Report struct {
	Requests   int               // that have ended
	Answered   int               // of these, with their answer
	Failed     int               // of these, with an error that the rules allow
	Executions int               // requests that a server has read to their end
	Reused     int               // arrivals on connections that had served before
	Faults     map[string]int    // what servers did, by kind
	Counts     map[Violation]int // all of them must be zero
	Examples   []string          // of violations
}

func newLedger() *ledger {
	return &ledger{
		entries: make(map[token]*entry), ended: make([]token, 0, remembered),
		report: Report{Faults: make(map[string]int), Counts: make(map[Violation]int)},
	}
}

// Bad returns the number of violations.
func (r *Report) Bad() int {
	n := 0
	for _, count := range r.Counts {
		n += count
	}
	return n
}

// String returns the report as text of several lines.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d requests: %d answered, %d failed where the rules allow it; %d executions, %d arrivals on used connections\n",
		r.Requests, r.Answered, r.Failed, r.Executions, r.Reused)
	for _, fault := range slices.Sorted(maps.Keys(r.Faults)) {
		fmt.Fprintf(&b, "%9d  %s\n", r.Faults[fault], fault)
	}
	b.WriteString("violations of the rules:\n")
	for _, v := range Violations {
		fmt.Fprintf(&b, "%9d  %s\n", r.Counts[v], v)
	}
	for _, example := range r.Examples {
		fmt.Fprintf(&b, "  %s\n", example)
	}
	return b.String()
}

func (l *ledger) violateLocked(v Violation, format string, args ...any) {
	l.report.Counts[v]++
	if len(l.report.Examples) < 20 {
		l.report.Examples = append(l.report.Examples, string(v)+": "+fmt.Sprintf(format, args...))
	}
}

func (l *ledger) violate(v Violation, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.violateLocked(v, format, args...)
}

// begin adds a request that is about to be sent.
func (l *ledger) begin(t token, e entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries[t] = &e
}

// arrive records that a server has read the head of a request. It returns how many times the request has arrived by now, and
// the size of its body. It returns zeros if no caller has sent such a request recently.
func (l *ledger) arrive(t token, used bool) (times, upload int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if used {
		l.report.Reused++
	}
	e := l.entries[t]
	if e == nil {
		return 0, 0
	}
	e.arrivals++
	return e.arrivals, e.upload
}

// execute records that a server has read the whole request. whole reports whether its body is what was sent.
func (l *ledger) execute(t token, whole bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.report.Executions++
	if !whole {
		l.violateLocked(Corrupted, "the body of request %v", t)
	}
	e := l.entries[t]
	if e == nil {
		return
	}
	if e.executed++; e.executed > 1 && !e.idempotent {
		l.violateLocked(ExecutedTwice, "request %v, %d times", t, e.executed)
	}
}

// answering records that a byte of the answer may be on its way. From then on, the rules of retries allow a failure.
func (l *ledger) answering(t token) {
	l.update(t, func(e *entry) { e.begun = e.begun || !e.ended })
}

// drop records that a server does not answer a request. refused reports whether it has said that it did not process it.
func (l *ledger) drop(t token, refused bool) {
	l.update(t, func(e *entry) {
		if !e.ended {
			e.unanswered++
		}
		if refused {
			e.refused++
		}
	})
}

func (l *ledger) update(t token, f func(*entry)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[t]; e != nil {
		f(e)
	}
}

// fault counts a fault of a server.
func (l *ledger) fault(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.report.Faults[what]++
}

// outcome is the result that a caller got.
type outcome struct {
	err   error
	wrong string // what is wrong with the answer; "" if nothing is
	late  bool   // a farewell on an idle connection crossed the request
}

// end records the result of a request, and judges it.
func (l *ledger) end(t token, o outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[t]
	e.ended = true
	l.report.Requests++
	switch {
	case o.wrong != "":
		l.violateLocked(WrongAnswer, "request %v: %s", t, o.wrong)
	case o.err == nil && !o.late:
		l.report.Answered++
	case o.err != nil && e.mustBeSaved():
		e.failure = o.err // unless it arrives once more, see judgeLocked
	default:
		l.report.Failed++
	}
	l.forgetLocked(t)
}

// mustBeSaved reports whether the rules of retries save the request, given what the servers have done to it. The servers
// misbehave only when a request arrives for the first time, and only on a connection that has served before.
func (e *entry) mustBeSaved() bool {
	switch {
	case e.rude && e.arrivals == 0: // unexpected data may have looked like the beginning of an answer
		return false
	case e.canceled, e.begun, e.unanswered >= maxAttempts, !e.replayable:
		return false
	case e.idempotent:
		return true
	}
	// A client cannot tell a connection that ends before the request arrives from one that ends while it is executed.
	return e.arrivals > 0 && e.refused == e.arrivals
}

// judgeLocked reports whether a failed request is lost. A server may read only now what the client sent before the connection
// ended. In that case the client could not know that the request was not executed.
func (l *ledger) judgeLocked(t token) {
	e := l.entries[t]
	switch {
	case e.failure == nil:
	case e.mustBeSaved():
		l.violateLocked(Lost, "request %v (%+v): %v", t, *e, e.failure)
	default:
		l.report.Failed++
	}
	e.failure = nil
}

// forgetLocked remembers that t has ended, and forgets the request that ended longest ago.
func (l *ledger) forgetLocked(t token) {
	if len(l.ended) < remembered {
		l.ended = append(l.ended, t)
		return
	}
	l.judgeLocked(l.ended[l.at])
	delete(l.entries, l.ended[l.at])
	l.ended[l.at] = t
	l.at = (l.at + 1) % remembered
}

// sum returns the report. All callers and servers must have ended.
func (l *ledger) sum() *Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range l.ended {
		l.judgeLocked(t)
	}
	r := l.report
	r.Faults, r.Counts, r.Examples = maps.Clone(r.Faults), maps.Clone(r.Counts), slices.Clone(r.Examples)
	return &r
}
