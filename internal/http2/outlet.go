package http2

import (
	"net"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/peerpool/peerpool/internal/socket"
)

// outlet is a TCP socket whose Write does not wait. The system takes as many bytes at once as it can. If the server does not
// read, the system does not take all of them, and a goroutine writes the rest. So a caller may write the frames of all
// others, and a server that does not read does not hold it up. If the connection uses TLS, the outlet lies below TLS.
//
// Only the goroutine that flushes calls Write, so there is only one Write at a time.
type outlet struct {
	*net.TCPConn
	blocking bool // Write waits for the system, as usual; only the goroutine that flushes uses it

	raw     syscall.RawConn
	attempt func(fd uintptr) bool // the method try, bound once
	p       []byte                // what try writes
	n       int                   // how many bytes of p the system has taken
	failed  error                 // the error of try

	draining atomic.Bool // drain is running; changed with mu held

	mu    sync.Mutex // guards the fields below; not held while writing
	queue []byte     // bytes that the system has not taken yet
	err   error      // the error of drain
	done  sync.Cond  // broadcast when drain ends
}

// newOutlet returns an outlet for tcp, or nil if the system cannot write without waiting.
func newOutlet(tcp *net.TCPConn) *outlet {
	if !socket.Supported {
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

// Write writes p. It does not wait unless block has been called: drain writes the bytes that the system does not take at
// once.
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

// try writes as many bytes as the system takes at once.
func (o *outlet) try(fd uintptr) (done bool) {
	for o.n < len(o.p) {
		n, err := socket.Send(fd, o.p[o.n:])
		if n <= 0 {
			o.failed = err
			break
		}
		o.n += n
	}
	return true
}

// drain writes the bytes that the system has not taken. It ends when it has written them, or when writing fails, as it does
// when the socket is closed.
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

// idle reports whether there is an outlet and the system has taken everything.
func (o *outlet) idle() bool { return o != nil && !o.draining.Load() }

// await waits until the system has taken everything, or until writing has failed. It returns at once if there is no outlet.
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

// block sets whether Write waits for the system.
func (o *outlet) block(yes bool) {
	if o != nil {
		o.blocking = yes
	}
}
