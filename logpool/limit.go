package logpool

import (
	"sync"
	"time"

	"github.com/peerpool/peerpool"
)

// limit limits the number of records in a second.
type limit struct {
	mu         sync.Mutex // guards the fields below; nothing is called under it
	since      time.Time  // when the second began
	written    int        // records written in that second
	suppressed int        // records not written since the last one that was
}

// take reports whether another record may be written, and how many records have not been written since the last one.
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

// occasion is a kind of event that is worth a record. There are few occasions, because a kind is an error.type, a
// reason or a hop.
type occasion struct {
	message message
	kind    string
}

// digest lets one record of each occasion through in an interval.
type digest struct {
	mu   sync.Mutex // guards the fields below; nothing is called under it
	seen map[occasion]*sighting
}

// backlog holds what has been worst about the requests that MaxConnsPerHost has made wait since the latest record.
type backlog struct {
	mu    sync.Mutex           // guards worst; nothing is called under it
	worst peerpool.AcquireWait // when the most requests waited; Longest is the longest wait for that host
}

// add notes that a request begins to wait.
func (b *backlog) add(w peerpool.AcquireWait) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w.Host == b.worst.Host {
		w.Longest = max(w.Longest, b.worst.Longest)
		b.worst.Longest = w.Longest
	}
	if w.Waiting > b.worst.Waiting {
		b.worst = w
	}
}

// ended notes that a request for that host has waited for d.
func (b *backlog) ended(host string, d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if host == b.worst.Host {
		b.worst.Longest = max(b.worst.Longest, d)
	}
}

func (b *backlog) get() peerpool.AcquireWait {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.worst
}

func (b *backlog) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.worst = peerpool.AcquireWait{}
}

// sighting says when an occasion was last written, and how often it has happened since.
type sighting struct {
	written time.Time
	times   int
}

// take reports whether a record may be written, and how many events it stands for.
func (d *digest) take(o occasion, interval time.Duration) (times int, ok bool) {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.seen[o]
	if s == nil {
		if d.seen == nil {
			d.seen = make(map[occasion]*sighting)
		}
		s = &sighting{written: now.Add(-interval)}
		d.seen[o] = s
	}
	s.times++
	if now.Sub(s.written) < interval {
		return 0, false
	}
	times, s.written, s.times = s.times, now, 0
	return times, true
}
