package watch

import "sync"

// set holds the sockets that are watched together, from the first socket until the last one is gone. It does not refer
// to its Watcher, so a goroutine that waits for a socket keeps only the owner of that socket alive.
type set struct {
	poller *poller

	mu      sync.Mutex // guards all fields below; nothing is called under it
	retired bool       // all sockets are gone, and slots is nil
	slots   []*block
	fresh   uint32 // number of slots that have been used so far, and the index of the next new one
	free    uint32 // the first slot that can be used again, counted from 1; 0 if there is none
	held    int    // number of slots in use
}

// slot is the place of one socket in a set. It is small, because there is one for every idle connection. While a slot
// is in use, the poller is open.
type slot struct {
	socket Socket // nil if the slot watches nothing, or if its watch has ended but the slot was not dropped yet
	uses   uint32 // the number of this use of the slot
	next   uint32 // the free slot behind this one, counted like set.free
}

// block is an array of slots. A slot never moves, because growing one slice would leave the memory of smaller slices
// behind.
type block [blockSize]slot

const blockSize = 64

// token returns a name for one use of a slot. No other use of a slot of the set has the same token, until the slot has
// been used four billion times more.
func token(index, use uint32) uint64 { return uint64(use)<<32 | uint64(index) }

// slotLocked returns the slot that a token was made for.
func (s *set) slotLocked(token uint64) *slot {
	index := uint32(token)
	return &s.slots[index/blockSize][index%blockSize]
}

// enroll adds a socket and returns its token. It returns false if the set is retired.
func (s *set) enroll(socket Socket) (uint64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.retired {
		return 0, false
	}
	index := s.free - 1
	if s.free == 0 {
		index = s.fresh
		s.fresh++
		if index%blockSize == 0 {
			s.slots = append(s.slots, new(block))
		}
	}
	to := s.slotLocked(uint64(index))
	s.free, to.next = to.next, 0
	to.uses++
	to.socket = socket
	s.held++
	return token(index, to.uses), true
}

// take returns the socket with this token to the first caller that ends its watch, which is Remove or the goroutine
// that saw an event. It returns nil to all other callers.
func (s *set) take(token uint64) Socket {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.retired {
		return nil
	}
	from := s.slotLocked(token)
	if from.uses != uint32(token>>32) {
		return nil
	}
	socket := from.socket
	from.socket = nil
	return socket
}

// drop frees the slot of a token that was taken. If that was the last one, drop retires the set and closes the poller,
// which ends run.
func (s *set) drop(token uint64) {
	s.mu.Lock()
	from := s.slotLocked(token)
	from.socket = nil
	from.next, s.free = s.free, uint32(token)+1
	s.held--
	retired := s.held == 0
	if retired {
		s.retired, s.slots = true, nil
	}
	s.mu.Unlock()
	if retired {
		s.poller.close()
	}
}

// run tells the owners of sockets what their peers have done. The set owns the goroutine of run, which ends when the
// set retires.
func (s *set) run() {
	var tokens [batch]uint64
	for {
		n, err := s.poller.wait(&tokens)
		if err != nil {
			return
		}
		for _, token := range tokens[:n] {
			s.notify(token)
		}
	}
}

// notify handles one event. If there is no socket with the token, the socket was removed meanwhile.
func (s *set) notify(token uint64) {
	socket := s.take(token)
	if socket == nil {
		return
	}
	s.poller.remove(socket)
	s.drop(token)
	socket.Notify()
}
