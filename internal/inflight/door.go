package inflight

import (
	"context"
	"sync"
	"sync/atomic"
)

// door lets requests into a List until it is shut. Then [List.Emptied] waits until all requests have left.
type door struct {
	shut atomic.Bool // never reset

	mu   sync.Mutex    // guards turn; nothing is called under it
	turn chan struct{} // closed when an attempt leaves after the door was shut
}

// Shut makes the list refuse requests that have no attempt in it. It may be called more than once.
func (l *List) Shut() {
	d := &l.door
	d.mu.Lock()
	if d.turn == nil {
		d.turn = make(chan struct{})
	}
	d.mu.Unlock()
	d.shut.Store(true)
}

// IsShut reports whether Shut was called.
func (l *List) IsShut() bool { return l.door.shut.Load() }

// left is called when an attempt has left after the door was shut, and the list shows that.
func (d *door) left() {
	d.mu.Lock()
	close(d.turn)
	d.turn = make(chan struct{})
	d.mu.Unlock()
}

// next returns a channel that is closed when the next attempt leaves.
func (d *door) next() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.turn
}

// Emptied waits, after Shut, until every request of the list has a response or has ended, or until ctx ends.
func (l *List) Emptied(ctx context.Context) {
	for i := range l.shards {
		for {
			turn := l.door.next()
			if !l.shards[i].inside() { // no request comes in any more; a retry takes the place of the attempt before it
				break
			}
			select {
			case <-turn:
			case <-ctx.Done():
				return
			}
		}
	}
}

// inside reports whether a request of the list has no response and no error yet.
func (s *shard) inside() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for e := s.first; e != nil; e = e.next {
		if !e.answered.Load() {
			return true
		}
	}
	return false
}
