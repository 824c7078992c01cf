// Package watch tells when a peer closes a connection that idles, without a goroutine per connection
// and without a system call per request.
//
// On Linux a [Watcher] has one epoll set and one goroutine for all its connections. The set is itself
// a descriptor that Go's poller can wait for, so the goroutine costs no thread. Both exist only while
// there is something to watch. On other systems nothing can be watched.
package watch

import (
	"sync"
	"syscall"
)

// Notified is told of the close of a peer. An interface rather than a function, so that a connection
// can stand for itself without a closure.
type Notified interface {
	// PeerClosed is called at most once for each Add, on the goroutine of the Watcher: it must not
	// block, and the sockets watched beside this one wait for it. It holds no lock of the Watcher
	// and may call its methods.
	PeerClosed()
}

// Watcher watches sockets for the peer's close. The zero value is ready. It is safe for concurrent use
// and must not be copied after first use.
type Watcher struct {
	mu  sync.Mutex // guards set; no connection is called and nothing closed under it
	set *set       // nil before the first Add; retired when all it watched is gone
}

// Registration stands for one successful [Watcher.Add]. It is never used again for another, even if
// the descriptor of the socket is. The zero Registration stands for none.
type Registration struct{ entry *entry }

// Add calls to.PeerClosed once when the peer closes or resets conn or closes its sending half, or when
// conn is shut down on this side. A peer that closed before is noticed too, so the call may come before
// Add has returned. Data arriving has no effect.
//
// It returns false, and will not call, where conn cannot be watched: it is no socket, it is closed or
// watched already, the process has no descriptors left, or the system is not Linux.
//
// Who closes conn removes its registration first: closing alone is not noticed, and keeps the Watcher
// waiting for a socket that is gone.
func (w *Watcher) Add(conn syscall.Conn, to Notified) (Registration, bool) {
	if !supported || conn == nil {
		return Registration{}, false
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return Registration{}, false
	}
	e := &entry{raw: raw, to: to}
	if err := w.enroll(e); err != nil {
		return Registration{}, false
	}
	if err := e.set.poller.add(raw, e.token); err != nil {
		e.set.drop(e)
		return Registration{}, false
	}
	return Registration{e}, true
}

// enroll gives e a token in the current set, or in a new one if that is retired.
func (w *Watcher) enroll(e *entry) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.set != nil && w.set.enroll(e) {
		return nil
	}
	p, err := newPoller()
	if err != nil {
		return err
	}
	w.set = &set{poller: p, entries: make(map[uint64]*entry)}
	w.set.enroll(e)
	go w.set.run()
	return nil
}

// Remove ends what Add began and reports whether it came before the peer's close was noticed. If so,
// PeerClosed has not been called and will not be. If not, it was called, or is being called now on
// another goroutine, or will be in a moment: Remove does not wait for it, so that it may be called
// under locks that PeerClosed needs. It also returns false if the registration was removed before, and
// for the zero Registration.
func (w *Watcher) Remove(r Registration) bool {
	e := r.entry
	if e == nil || e.set.take(e.token) == nil {
		return false
	}
	e.set.poller.remove(e.raw)
	e.set.drop(e)
	return true
}
