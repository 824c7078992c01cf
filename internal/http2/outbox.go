package http2

import (
	"net"
	"runtime"
	"sync"
	"time"
)

const (
	// maxHeld is the length in bytes of the longest write that may wait for others: x/net's buffer. What is longer
	// is the body of a request, which gains nothing from company.
	maxHeld = 4 << 10

	// maxPending bounds what waits, in bytes: beyond it a write waits itself, as it would in front of a slow socket.
	maxPending = 64 << 10

	// drainWait is how long a connection may be read from that can no longer be written to: what the server has
	// said, a GOAWAY perhaps, may still be on its way.
	drainWait = 250 * time.Millisecond
)

// outbox writes to a connection. Of small writes that are about to come at the same time, as when many responses have
// come in one piece and their callers all go on to the next request, it makes one: one TLS record, one system call,
// one wake-up of the server. Writes must not be concurrent, as x/net's are not.
type outbox struct {
	nc net.Conn

	mu      sync.Mutex // guards what follows; nc is not called under it
	done    sync.Cond  // writing has become false, or pending has become empty
	pending *[]byte    // what flush has yet to write; nil: nothing
	writing bool       // flush is at work
	err     error      // what writing has failed with
}

// buffers holds the memory of pending writes: a connection that idles has none.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, maxHeld); return &b }}

func (o *outbox) init(nc net.Conn) {
	o.nc = nc
	o.done.L = &o.mu
}

// write writes p after all that was held before it.
func (o *outbox) write(p []byte) (int, error) {
	o.mu.Lock()
	for o.writing {
		o.done.Wait()
	}
	err := o.err
	o.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return o.nc.Write(p)
}

// failure returns what writing has failed with, behind the back of who wrote.
func (o *outbox) failure() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// hold has p written soon. An error is that of an earlier write.
func (o *outbox) hold(p []byte) (int, error) {
	if len(p) > maxHeld {
		return o.write(p)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.pending != nil && len(*o.pending)+len(p) > maxPending && o.err == nil {
		o.done.Wait()
	}
	if o.err != nil {
		return 0, o.err
	}
	if o.pending == nil {
		o.pending = buffers.Get().(*[]byte)
	}
	*o.pending = append(*o.pending, p...)
	if !o.writing {
		o.writing = true
		go o.flush()
	}
	return len(p), nil
}

// flush writes what is pending. Its goroutine ends when that is nothing, or with an error: at the latest when the
// connection is closed.
func (o *outbox) flush() {
	runtime.Gosched() // those who are about to write go first
	o.mu.Lock()
	for o.pending != nil && o.err == nil {
		batch := o.pending
		o.pending = nil
		o.done.Signal()
		o.mu.Unlock()
		_, err := o.nc.Write(*batch)
		*batch = (*batch)[:0]
		buffers.Put(batch)
		o.mu.Lock()
		o.err = err
	}
	o.writing = false
	failed := o.err != nil
	o.done.Signal()
	o.mu.Unlock()
	if failed { // nobody is told so but the reader
		o.nc.SetReadDeadline(time.Now().Add(drainWait))
	}
}
