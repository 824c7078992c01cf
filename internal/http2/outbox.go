package http2

import (
	"net"
	"runtime"
	"sync"
	"time"

	"github.com/peerpool/peerpool/internal/exchange"
)

const (
	// maxHeld is the length in bytes of the longest write that is held: x/net's buffer. What is longer is the body of
	// a request, which gains nothing from company.
	maxHeld = 4 << 10

	// maxPending bounds what is held, in bytes: beyond it a write waits, as it would in front of a slow socket.
	maxPending = 64 << 10

	// drainWait is how long a connection may be read from that can no longer be written to: what the server has
	// said, a GOAWAY perhaps, may still be on its way.
	drainWait = 250 * time.Millisecond
)

// outbox writes to a connection on a goroutine of its own. Writes that come at the same time, as when many responses
// have come in one piece and their callers all go on to the next request, go out as one: one TLS record, one system
// call, one wake-up of the server. Writes must not be concurrent, as x/net's are not.
type outbox struct {
	nc net.Conn

	mu      sync.Mutex // guards what follows; nc is not called under it
	more    sync.Cond  // pending is not nil, or closed is true
	done    sync.Cond  // what was held is being written, or has been, or could not be
	pending *[]byte    // what is held; nil: nothing
	writing bool       // what was held is being written
	running bool       // there is a goroutine: from the first hold on
	closed  bool
	err     error // what writing has failed with
}

// buffers holds the memory of what is held: a connection that idles has none.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, maxHeld); return &b }}

func (o *outbox) init(nc net.Conn) {
	o.nc = nc
	o.more.L, o.done.L = &o.mu, &o.mu
}

// failure returns what writing has failed with, behind the back of who wrote.
func (o *outbox) failure() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// hold has p written soon, and returns what an earlier write has failed with.
func (o *outbox) hold(p []byte) (int, error) {
	if len(p) > maxHeld {
		return o.write(p)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.pending != nil && len(*o.pending)+len(p) > maxPending && o.err == nil {
		o.done.Wait()
	}
	if err := o.failedLocked(); err != nil {
		return 0, err
	}
	if o.pending == nil {
		o.pending = buffers.Get().(*[]byte)
	}
	*o.pending = append(*o.pending, p...)
	if !o.running {
		o.running = true
		go o.run()
	}
	o.more.Signal()
	return len(p), nil
}

// write writes p after all that is held.
func (o *outbox) write(p []byte) (int, error) {
	o.mu.Lock()
	o.drainLocked()
	err := o.failedLocked()
	o.mu.Unlock()
	if err != nil {
		return 0, err
	}
	n, err := o.nc.Write(p)
	if err != nil && !exchange.IsTimeout(err) {
		o.nc.SetReadDeadline(time.Now().Add(drainWait))
		o.mu.Lock()
		o.err = err
		o.mu.Unlock()
	}
	return n, err
}

// close ends the goroutine, and returns when what was held has been written. nc must be closed before it returns if
// that takes too long.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.more.Signal()
	o.drainLocked()
}

func (o *outbox) drainLocked() {
	for (o.pending != nil || o.writing) && o.err == nil {
		o.done.Wait()
	}
}

func (o *outbox) failedLocked() error {
	if o.err == nil && o.closed {
		return net.ErrClosed
	}
	return o.err
}

// run is the goroutine. It belongs to the connection, and ends when that is closed or a write fails.
func (o *outbox) run() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.err == nil {
		if o.pending != nil {
			o.flushLocked()
			continue
		}
		if o.closed {
			return
		}
		o.more.Wait()
	}
}

// flushLocked writes what is held. It lets go of the lock while it does.
func (o *outbox) flushLocked() {
	o.mu.Unlock()
	runtime.Gosched() // those who are about to write go first
	o.mu.Lock()
	batch := o.pending
	o.pending, o.writing = nil, true
	o.done.Broadcast()
	o.mu.Unlock()

	_, err := o.nc.Write(*batch)
	*batch = (*batch)[:0]
	buffers.Put(batch)
	if err != nil { // x/net learns of it from its reader, or when it writes again
		o.nc.SetReadDeadline(time.Now().Add(drainWait))
	}

	o.mu.Lock()
	o.writing, o.err = false, err
	o.done.Broadcast()
}
