package http2

import (
	"net"
	"sync"
	"sync/atomic"
	"syscall"
)

// outlet is a TCP socket that takes what it is given at once: what the system does not take, as the server does not
// read, is written by a goroutine. So a caller may write for all others, and is not held up by a server that does not
// read. It lies under TLS, if there is TLS.
//
// Write is called by whoever is flushing, and never by two at a time.
type outlet struct {
	*net.TCPConn
	blocking bool // Write waits for the system, as usual; belongs to whoever is flushing

	raw     syscall.RawConn
	attempt func(fd uintptr) bool // the method try, bound once
	p       []byte                // what try writes
	n       int                   // how much of it the system has taken
	failed  error                 // why it takes no more

	draining atomic.Bool // drain runs; changed with mu held

	mu    sync.Mutex // guards what follows; nothing is written under it
	queue []byte     // what the system has not taken yet
	err   error      // what that has failed with
	done  sync.Cond  // drain has ended
}

// newOutlet returns one, or nil where the system cannot be asked like this.
func newOutlet(tcp *net.TCPConn) *outlet {
	if !canTry {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	o := &outlet{TCPConn: tcp, raw: raw}
	o.attempt = o.try
	o.done.L = &o.mu
	return o
}

// Write writes all of p, or sees to that.
func (o *outlet) Write(p []byte) (int, error) {
	o.mu.Lock()
	if o.blocking {
		o.awaitLocked()
	}
	err, draining := o.err, o.draining.Load()
	o.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if o.blocking {
		return o.TCPConn.Write(p)
	}
	rest := p
	if !draining {
		o.p, o.n, o.failed = p, 0, nil
		err := o.raw.Write(o.attempt)
		o.p = nil
		if err == nil {
			err = o.failed
		}
		if err != nil || o.n == len(p) {
			return o.n, err
		}
		rest = p[o.n:]
	}
	o.mu.Lock()
	o.queue = append(o.queue, rest...)
	if !o.draining.Swap(true) {
		go o.drain()
	}
	o.mu.Unlock()
	return len(p), nil
}

// drain writes what the system has not taken. It ends when that is done, or fails, as when the socket is closed.
func (o *outlet) drain() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.queue) > 0 && o.err == nil {
		batch := o.queue
		o.queue = nil
		o.mu.Unlock()
		_, err := o.TCPConn.Write(batch)
		o.mu.Lock()
		o.err = err
	}
	o.draining.Store(false)
	o.done.Broadcast()
}

// idle says that there is an outlet, and that the system has taken everything.
func (o *outlet) idle() bool { return o != nil && !o.draining.Load() }

// await waits until the system has taken everything, or takes no more.
func (o *outlet) await() {
	if o != nil {
		o.mu.Lock()
		o.awaitLocked()
		o.mu.Unlock()
	}
}

func (o *outlet) awaitLocked() {
	for o.draining.Load() {
		o.done.Wait()
	}
}

// block has Write wait for the system or not.
func (o *outlet) block(yes bool) {
	if o != nil {
		o.blocking = yes
	}
}
