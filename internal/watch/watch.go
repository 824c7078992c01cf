// Package watch tells the owner of an idle connection when its peer closes the connection or sends on it. It needs no
// goroutine for each connection and no system call for each request.
//
// On Linux, a [Watcher] has one epoll set and one goroutine for all its connections. The set is itself a descriptor
// that Go's poller can wait for, so the goroutine does not occupy a thread. Both exist only while there is something to
// watch. On other systems, a Watcher watches nothing.
package watch

import (
	"sync"
	"syscall"
)

// Socket is a connection that can be watched. Its Notify method learns what the peer does. Socket is an interface and
// not a function, so that a connection can be used without a closure.
type Socket interface {
	// Conn shows the socket. Add calls SyscallConn, and the Watcher calls it again when the watch ends.
	syscall.Conn
	// Notify is called at most once for each Add, on the goroutine of the Watcher. It must not block, because the other
	// sockets of the Watcher wait for it. No lock of the Watcher is held during the call, so Notify may call its
	// methods.
	Notify()
}

// Watcher watches sockets for a close by the peer. The zero value is ready to use. A Watcher is safe for concurrent use
// and must not be copied after first use.
type Watcher struct {
	// Off, if true, makes Add watch nothing, as on a system that cannot watch sockets. It is for tests. Set it before
	// the first Add.
	Off bool

	mu  sync.Mutex // guards set; during a call of a connection or a close, it is not held
	set *set       // nil before the first Add; retired when all its sockets are gone
}

// Registration stands for one successful [Watcher.Add], and never for a second one, even if another socket gets the
// same descriptor. The zero Registration stands for none.
type Registration struct {
	set   *set
	token uint64
}

// Add makes the Watcher call Notify once when the peer closes or resets the socket or closes its sending half, or when
// the socket is shut down on this side. The Watcher also notices a peer that closed before, so it may call Notify
// before Add has returned. Data that arrives has no effect.
//
// Add returns false, and Notify is not called, if the connection cannot be watched: it is not a socket, it is closed or
// already watched, the process has no descriptors left, the system is not Linux, or the Watcher is Off.
//
// Remove the registration before you close the socket. The Watcher does not notice a close on this side, and would go
// on waiting for a socket that is gone.
func (w *Watcher) Add(socket Socket) (Registration, bool) { return w.add(socket, gone) }

// AddInput does what Add does, for a socket that no goroutine reads from. The Watcher also calls Notify if there is
// something to read, even if that arrived before the call.
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

// enroll gives the socket a place in the current set. If there is no set, or it is retired, enroll makes a new one.
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

// Remove ends what Add began, and reports whether it did so before the peer's close was noticed. If it returns true,
// Notify has not been called and will not be called. If it returns false, Notify was called, is being called on another
// goroutine, or will be called in a moment. Remove does not wait for that call, so it may be called under locks that
// Notify needs. Remove also returns false if the registration was removed before, or if it is the zero Registration.
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
