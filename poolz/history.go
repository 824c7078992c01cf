package poolz

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	sampleEvery = 5 * time.Second
	samplesKept = 181 // 15 minutes, if each is taken in time
)

// sample holds the values of two counters at one moment. Both counters only grow.
type sample struct {
	at           time.Time
	hits, misses uint64
}

// history holds the latest samples. A sample is taken when a request is counted or when the page is requested, so no
// goroutine is needed. Nothing is missed in between, because the counters only grow. The zero value is empty. A history is
// safe for concurrent use.
type history struct {
	due atomic.Int64 // the earliest moment of the next sample, in nanoseconds of Unix time

	mu      sync.Mutex // guards samples
	samples []sample   // the oldest first
}

// tick takes a sample if the last one is old enough. It calls count only in that case.
func (h *history) tick(now time.Time, count func() (hits, misses uint64)) {
	if now.UnixNano() < h.due.Load() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if now.UnixNano() < h.due.Load() {
		return // another goroutine has just taken it
	}
	hits, misses := count()
	if len(h.samples) == samplesKept {
		h.samples = append(h.samples[:0], h.samples[1:]...)
	}
	h.samples = append(h.samples, sample{now, hits, misses})
	h.due.Store(now.Add(sampleEvery).UnixNano())
}

// span holds what was counted between two samples.
type span struct {
	from, to     time.Time
	hits, misses uint64
}

func (s span) attempts() uint64 { return s.hits + s.misses }

// perSecond returns the attempts per second.
func (s span) perSecond() float64 {
	if d := s.to.Sub(s.from); d > 0 {
		return float64(s.attempts()) / d.Seconds()
	}
	return 0
}

// spans returns what was counted between the samples, and from the last sample until now. The oldest span is the first.
func (h *history) spans(now time.Time, hits, misses uint64) []span {
	h.mu.Lock()
	defer h.mu.Unlock()
	var spans []span
	for i, s := range h.samples {
		next := sample{now, hits, misses}
		if i+1 < len(h.samples) {
			next = h.samples[i+1]
		}
		if next.at.After(s.at) { // two goroutines may take samples in another order than they read the clock
			spans = append(spans, span{s.at, next.at, less(next.hits, s.hits), less(next.misses, s.misses)})
		}
	}
	return spans
}

// less returns a - b, or zero if b is larger. That can happen because the two counters are not read at the same moment.
func less(a, b uint64) uint64 {
	if a < b {
		return 0
	}
	return a - b
}
