package watch

import "sync"

// set is the sockets watched together, from the first to come until the last is gone. It does not know
// its Watcher, so that a goroutine waiting for a socket keeps no more alive than that socket's owner.
type set struct {
	poller *poller

	mu      sync.Mutex // guards all below; nothing is called under it
	retired bool       // everything is gone; slots has been given up
	slots   []*block
	fresh   uint32 // slots that have been used so far: this one is the next
	free    uint32 // the first of those that can be used again, counted from 1; 0: none
	held    int    // slots that are in use
}

// slot is the place of one socket in a set: little, since there is one for every idle connection. While it is in use
// the poller is open.
type slot struct {
	socket Socket // nil: nobody is watched, or whoever ended that has not dropped it yet
	uses   uint32 // which use of the slot this is
	next   uint32 // behind this one among the free, as set.free
}

// block is some slots. A slot stays where it is, as growing one slice would leave the memory of smaller ones behind.
type block [blockSize]slot

const blockSize = 64

// token names one use of a slot: no other use of any slot of the set has the same, unless one has been used four
// billion times since.
func token(index, use uint32) uint64 { return uint64(use)<<32 | uint64(index) }

// slotLocked returns the slot that a token was made for.
func (s *set) slotLocked(token uint64) *slot {
	index := uint32(token)
	return &s.slots[index/blockSize][index%blockSize]
}

// enroll takes a socket in; false if the set is retired.
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

// take returns the socket with this token to the first who ends its watch, Remove or the goroutine that saw an
// event, and nil to all others.
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

// drop frees the slot of a token that has been taken. The last one retires the set and closes the poller, which ends
// run.
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

// run tells the owners of sockets what their peers have done. The set owns this goroutine; it ends
// when the set retires.
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

// notify handles one event. A token that is not there belongs to a socket that was removed meanwhile.
func (s *set) notify(token uint64) {
	socket := s.take(token)
	if socket == nil {
		return
	}
	s.poller.remove(socket)
	s.drop(token)
	socket.Notify()
}
