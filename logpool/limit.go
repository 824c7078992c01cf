package logpool

import (
	"sync"
	"time"
)

// limit lets through a number of records in a second.
type limit struct {
	mu         sync.Mutex // guards what follows; nothing is called under it
	since      time.Time  // when the second began
	written    int        // in it
	suppressed int        // since the last one written
}

// take says whether one more record may be written, and how many were not since the last one.
func (l *limit) take(rate int) (suppressed int, ok bool) {
	if rate < 0 {
		return 0, true
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.since) >= time.Second {
		l.since, l.written = now, 0
	}
	if l.written >= rate {
		l.suppressed++
		return 0, false
	}
	l.written++
	suppressed, l.suppressed = l.suppressed, 0
	return suppressed, true
}
