package testkit

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/peerpool/peerpool"
)

// ledger is what an Observer was told, in order.
type ledger struct {
	mu       sync.Mutex // guards what follows
	acquired []peerpool.Acquired
	dialed   []peerpool.Dialed
	retried  []peerpool.Retried
	done     []peerpool.Done
	closed   []peerpool.Closed
	started  []peerpool.Started
	resolved []peerpool.Resolved
	ended    []peerpool.Ended
	hooks    []string // that were called
}

func NewLedger() *ledger { return new(ledger) }

func (l *ledger) Observer() *peerpool.Observer {
	return &peerpool.Observer{
		Acquired: func(_ context.Context, e peerpool.Acquired) { note(l, &l.acquired, e) },
		Dialed:   func(_ context.Context, e peerpool.Dialed) { note(l, &l.dialed, e) },
		Retried:  func(_ context.Context, e peerpool.Retried) { note(l, &l.retried, e) },
		Done:     func(_ context.Context, e peerpool.Done) { note(l, &l.done, e) },
		Closed:   func(e peerpool.Closed) { note(l, &l.closed, e) },
		Started:  func(_ context.Context, e peerpool.Started) { note(l, &l.started, e) },
		Resolved: func(_ context.Context, e peerpool.Resolved) { note(l, &l.resolved, e) },
		Ended:    func(_ context.Context, e peerpool.Ended) { note(l, &l.ended, e) },
	}
}

func note[E any](l *ledger, events *[]E, e E) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*events = append(*events, e)
	l.hooks = append(l.hooks, strings.TrimPrefix(fmt.Sprintf("%T", e), "peerpool."))
}

func read[E any](l *ledger, events *[]E) []E {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(*events)
}

func (l *ledger) Acquisitions() []peerpool.Acquired { return read(l, &l.acquired) }

func (l *ledger) Dials() []peerpool.Dialed { return read(l, &l.dialed) }

func (l *ledger) Retries() []peerpool.Retried { return read(l, &l.retried) }

func (l *ledger) Ends() []peerpool.Done { return read(l, &l.done) }

func (l *ledger) Closings() []peerpool.Closed { return read(l, &l.closed) }

func (l *ledger) Requests() []peerpool.Started { return read(l, &l.started) }

func (l *ledger) Lookups() []peerpool.Resolved { return read(l, &l.resolved) }

func (l *ledger) Outcomes() []peerpool.Ended { return read(l, &l.ended) }

func (l *ledger) Story() string { return strings.Join(read(l, &l.hooks), " ") }

// WantRetries checks that there were just these retries, by their reasons.
func (l *ledger) WantRetries(t testing.TB, reasons ...string) {
	t.Helper()
	var got []string
	for _, r := range l.Retries() {
		got = append(got, r.Reason)
	}
	if !slices.Equal(got, reasons) {
		t.Errorf("retries: %q, want %q", got, reasons)
	}
}
