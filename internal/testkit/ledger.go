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

// ledger holds what was reported to an Observer, in order.
type ledger struct {
	mu       sync.Mutex // guards the fields below
	acquired []peerpool.AcquireDone
	dialed   []peerpool.DialDone
	retried  []peerpool.RequestRetry
	done     []peerpool.AttemptDone
	closed   []peerpool.ConnClosed
	started  []peerpool.RequestStart
	resolved []peerpool.ResolveDone
	ended    []peerpool.RequestDone
	hooks    []string // names of the hooks that were called
}

func NewLedger() *ledger { return new(ledger) }

func (l *ledger) Observer() *peerpool.Observer {
	return &peerpool.Observer{
		AcquireDone:  func(_ context.Context, e peerpool.AcquireDone) { note(l, &l.acquired, e) },
		DialDone:     func(_ context.Context, e peerpool.DialDone) { note(l, &l.dialed, e) },
		RequestRetry: func(_ context.Context, e peerpool.RequestRetry) { note(l, &l.retried, e) },
		AttemptDone:  func(_ context.Context, e peerpool.AttemptDone) { note(l, &l.done, e) },
		ConnClosed:   func(e peerpool.ConnClosed) { note(l, &l.closed, e) },
		RequestStart: func(_ context.Context, e peerpool.RequestStart) { note(l, &l.started, e) },
		ResolveDone:  func(_ context.Context, e peerpool.ResolveDone) { note(l, &l.resolved, e) },
		RequestDone:  func(_ context.Context, e peerpool.RequestDone) { note(l, &l.ended, e) },
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

func (l *ledger) Acquisitions() []peerpool.AcquireDone { return read(l, &l.acquired) }

func (l *ledger) Dials() []peerpool.DialDone { return read(l, &l.dialed) }

func (l *ledger) Retries() []peerpool.RequestRetry { return read(l, &l.retried) }

func (l *ledger) Ends() []peerpool.AttemptDone { return read(l, &l.done) }

func (l *ledger) Closings() []peerpool.ConnClosed { return read(l, &l.closed) }

func (l *ledger) Requests() []peerpool.RequestStart { return read(l, &l.started) }

func (l *ledger) Lookups() []peerpool.ResolveDone { return read(l, &l.resolved) }

func (l *ledger) Outcomes() []peerpool.RequestDone { return read(l, &l.ended) }

func (l *ledger) Story() string { return strings.Join(read(l, &l.hooks), " ") }

// WantRetries checks that there were exactly these retries, by their reasons.
func (l *ledger) WantRetries(t testing.TB, reasons ...string) {
	t.Helper()
	var got []string
	for _, r := range l.Retries() {
		got = append(got, string(r.Reason))
	}
	if !slices.Equal(got, reasons) {
		t.Errorf("retries: %q, want %q", got, reasons)
	}
}
