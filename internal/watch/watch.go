// Package watch tells when a peer closes a connection that idles, or sends on one, without a goroutine per connection
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

// Socket is a connection that can be watched, and is told of what its peer does. An interface rather than a function,
// so that a connection can stand for itself without a closure.
type Socket interface {
	// Conn shows the socket: SyscallConn is called by Add, and again when the watch ends.
	syscall.Conn
	// Notify is called at most once for each Add, on the goroutine of the Watcher: it must not
	// block, and the sockets watched beside this one wait for it. It holds no lock of the Watcher
	// and may call its methods.
	Notify()
}

// Watcher watches sockets for the peer's close. The zero value is ready. It is safe for concurrent use
// and must not be copied after first use.
type Watcher struct {
	// Off has Add watch nothing, as on a system that cannot: for tests. Set it before the first Add.
	Off bool

	mu  sync.Mutex // guards set; no connection is called and nothing closed under it
	set *set       // nil before the first Add; retired when all it watched is gone
}

// Registration stands for one successful [Watcher.Add]. It is never used again for another, even if
// the descriptor of the socket is. The zero Registration stands for none.
type Registration struct {
	set   *set
	token uint64
}

// Add calls Notify once when the peer closes or resets the socket or closes its sending half, or when
// the socket is shut down on this side. A peer that closed before is noticed too, so the call may come before
// Add has returned. Data arriving has no effect.
//
// It returns false, and will not call, where the connection cannot be watched: it is no socket, it is closed or
// watched already, the process has no descriptors left, the system is not Linux, or the Watcher is Off.
//
// Who closes the socket removes its registration first: closing alone is not noticed, and keeps the Watcher
// waiting for a socket that is gone.
func (w *Watcher) Add(socket Socket) (Registration, bool) { return w.add(socket, gone) }

// AddInput is Add for a socket that nobody reads from: Notify is called also when there is something to read. That may
// have arrived before, too.
func (w *Watcher) AddInput(socket Socket) (Registration, bool) { return w.add(socket, gone|input) }

func (w *Watcher) add(socket Socket, events uint32) (Registration, bool) {
	if !supported || w.Off {
		return Registration{}, false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return Registration{}, false
	}
	r, err := w.enroll(socket)
	if err != nil {
		return Registration{}, false
	}
	if err := r.set.poller.add(raw, events, r.token); err != nil {
		r.set.drop(r.token)
		return Registration{}, false
	}
	return r, true
}

// enroll gives the socket a place in the current set, or in a new one if that is retired.
func (w *Watcher) enroll(socket Socket) (Registration, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.set != nil {
		if token, ok := w.set.enroll(socket); ok {
			return Registration{w.set, token}, nil
		}
	}
	p, err := newPoller()
	if err != nil {
		return Registration{}, err
	}
	w.set = &set{poller: p}
	token, _ := w.set.enroll(socket)
	go w.set.run()
	return Registration{w.set, token}, nil
}

// Remove ends what Add began and reports whether it came before the peer's close was noticed. If so,
// Notify has not been called and will not be. If not, it was called, or is being called now on
// another goroutine, or will be in a moment: Remove does not wait for it, so that it may be called
// under locks that Notify needs. It also returns false if the registration was removed before, and
// for the zero Registration.
func (w *Watcher) Remove(r Registration) bool {
	if r.set == nil {
		return false
	}
	socket := r.set.take(r.token)
	if socket == nil {
		return false
	}
	r.set.poller.remove(socket)
	r.set.drop(r.token)
	return true
}
