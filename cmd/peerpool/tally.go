package main

import "sync"

// tally counts the results of requests. Its size does not grow with their number: it holds at most a thousand statuses, a
// few texts of errors, and a histogram. The zero value is ready to use, and safe for concurrent use.
type tally struct {
	mu         sync.Mutex // guards the fields below
	statuses   map[int]uint64
	errors     errorTexts
	failed     uint64
	unfinished uint64
	givenUpAt  map[hop]uint64
	bytes      int64
	latencies  histogram // of the answered requests
}

func (t *tally) add(r result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.givenUpAt != "" {
		if t.givenUpAt == nil {
			t.givenUpAt = make(map[hop]uint64)
		}
		t.givenUpAt[r.givenUpAt]++
	}
	switch {
	case r.unfinished:
		t.unfinished++
	case r.err != nil:
		t.failed++
		if t.errors == nil {
			t.errors = errorTexts{}
		}
		t.errors.add(r.err)
	default:
		if t.statuses == nil {
			t.statuses = make(map[int]uint64)
		}
		t.statuses[r.status]++
		t.bytes += r.bytes
		t.latencies.add(r.latency)
	}
}
