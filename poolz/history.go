package poolz

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	sampleEvery = 5 * time.Second
	samplesKept = 181 // a quarter of an hour if each is taken in time
)

// sample is what had been counted at one moment. Both counters only grow.
type sample struct {
	at           time.Time
	hits, misses uint64
}

// history is the latest samples. They are taken when something happens or is looked at, so that no goroutine
// has to: in between nothing has been missed, as counters lose nothing. Its zero value is empty, and safe for
// concurrent use.
type history struct {
	due atomic.Int64 // the earliest moment of the next sample, in nanoseconds of Unix time

	mu      sync.Mutex // guards samples
	samples []sample   // the oldest first
}

// tick takes a sample if the last one is old enough. count is called only then.
func (h *history) tick(now time.Time, count func() (hits, misses uint64)) {
	if now.UnixNano() < h.due.Load() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if now.UnixNano() < h.due.Load() {
		return // somebody else has just done it
	}
	hits, misses := count()
	if len(h.samples) == samplesKept {
		h.samples = append(h.samples[:0], h.samples[1:]...)
	}
	h.samples = append(h.samples, sample{now, hits, misses})
	h.due.Store(now.Add(sampleEvery).UnixNano())
}

// span is what happened between two samples.
type span struct {
	from, to     time.Time
	hits, misses uint64
}

func (s span) attempts() uint64 { return s.hits + s.misses }

// perSecond is the rate of attempts.
func (s span) perSecond() float64 {
	if d := s.to.Sub(s.from); d > 0 {
		return float64(s.attempts()) / d.Seconds()
	}
	return 0
}

// spans returns what happened between the samples, the oldest first, and up to now.
func (h *history) spans(now time.Time, hits, misses uint64) []span {
	h.mu.Lock()
	defer h.mu.Unlock()
	var spans []span
	for i, s := range h.samples {
		next := sample{now, hits, misses}
		if i+1 < len(h.samples) {
			next = h.samples[i+1]
		}
		if next.at.After(s.at) { // two clocks may have been read in one order and used in the other
			spans = append(spans, span{s.at, next.at, less(next.hits, s.hits), less(next.misses, s.misses)})
		}
	}
	return spans
}

// less is a - b, or zero where what is later was counted before: the counters are not read at one moment.
func less(a, b uint64) uint64 {
	if a < b {
		return 0
	}
	return a - b
}
