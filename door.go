package peerpool

import (
	"context"
	"sync"
	"sync/atomic"
)

// door is what requests enter RoundTrip by. Shutdown shuts it and waits until those inside have left: with a response
// or with an error.
type door struct {
	shut atomic.Bool // one-way

	mu   sync.Mutex    // guards turn; nothing is called under it
	turn chan struct{} // closed when somebody leaves after the door was shut
}

func (d *door) close() {
	d.mu.Lock()
	if d.turn == nil {
		d.turn = make(chan struct{})
	}
	d.mu.Unlock()
	d.shut.Store(true)
}

// left is called when a request has left: after that is to be seen in the list of requests under way. Before the door
// is shut it costs one load.
func (d *door) left() {
	if !d.shut.Load() {
		return
	}
	d.mu.Lock()
	close(d.turn)
	d.turn = make(chan struct{})
	d.mu.Unlock()
}

// next returns a channel that is closed when the next one leaves.
func (d *door) next() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.turn
}

// emptied waits, after the door has been shut, until no request is inside RoundTrip or ctx has ended.
func (f *inflight) emptied(ctx context.Context) {
	for i := range f.shards {
		for {
			turn := f.door.next()
			if !f.shards[i].inside() { // nobody comes in again: a retry takes the place of the attempt before it
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

// inside says whether a request of the list has neither a response nor an error.
func (s *shard) inside() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for a := s.first; a != nil; a = a.next {
		if !a.answered.Load() {
			return true
		}
	}
	return false
}
