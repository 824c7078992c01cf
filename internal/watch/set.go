package watch

import (
	"sync"
	"syscall"
)

// set is the sockets watched together, from the first to come until the last is gone. It does not know
// its Watcher, so that a goroutine waiting for a socket keeps no more alive than that socket's owner.
type set struct {
	poller *poller

	mu      sync.Mutex        // guards all below; nothing is called under it
	last    uint64            // the token given out last
	entries map[uint64]*entry // nil once retired; an entry that is taken has left a nil until it is dropped
}

// entry is one socket in a set. While it is in entries the poller is open.
type entry struct {
	set   *set
	token uint64
	raw   syscall.RawConn
	to    Notified
}

// enroll takes e in; false if the set is retired.
func (s *set) enroll(e *entry) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries == nil {
		return false
	}
	s.last++
	e.set, e.token = s, s.last
	s.entries[e.token] = e
	return true
}

// take returns the entry with this token to the first who ends it, Remove or the goroutine that saw the peer close,
// and nil to all others.
func (s *set) take(token uint64) *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[token]
	if e != nil {
		s.entries[token] = nil
	}
	return e
}

// drop forgets e. The last one retires the set and closes the poller, which ends run.
func (s *set) drop(e *entry) {
	s.mu.Lock()
	delete(s.entries, e.token)
	retired := len(s.entries) == 0
	if retired {
		s.entries = nil
	}
	s.mu.Unlock()
	if retired {
		s.poller.close()
	}
}

// run tells the owners of sockets that their peers have closed. The set owns this goroutine; it ends
// when the set retires.
func (s *set) run() {
	var tokens [batch]uint64
	for {
		n, err := s.poller.wait(&tokens)
		if err != nil {
			return
		}
		for _, token := range tokens[:n] {
			s.closed(token)
		}
	}
}

// closed handles one event. A token that is not there belongs to a socket that was removed meanwhile.
func (s *set) closed(token uint64) {
	e := s.take(token)
	if e == nil {
		return
	}
	s.poller.remove(e.raw)
	s.drop(e)
	e.to.PeerClosed()
}
