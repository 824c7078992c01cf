package httptestutil

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// PipeConn is one end of a connection in memory. It behaves like a TCP
// connection. Writes are buffered. A deadline fails the calls that are
// waiting and later calls. Either direction can be closed alone. The peer
// notices a reset. A PipeConn works inside a testing/synctest bubble if both
// ends belong to the bubble. It is safe for concurrent use.
//
// A PipeConn differs from a TCP connection in three ways. Bytes arrive at
// once, in pieces as large as the reader wants. A write to a peer that has
// closed the connection fails the first time, with EPIPE. Closing a
// connection that has unread bytes does not reset it.
type PipeConn struct {
	in, out       *half
	local, remote net.Addr
}

// Pipe returns the two ends of a connection in memory. Each direction holds
// up to buffer unread bytes. If buffer is 0, the number is not limited.
func Pipe(buffer int) (*PipeConn, *PipeConn) {
	return pipe(buffer, PipeAddr("pipe-a"), PipeAddr("pipe-b"))
}

func pipe(buffer int, a, b PipeAddr) (*PipeConn, *PipeConn) {
	ab, ba := newHalf(buffer), newHalf(buffer)
	return &PipeConn{in: ba, out: ab, local: a, remote: b},
		&PipeConn{in: ab, out: ba, local: b, remote: a}
}

// PipeAddr is the address of an end of a connection in memory: the address
// that was dialed, or the name of the end.
type PipeAddr string

// Network returns "pipe".
func (PipeAddr) Network() string { return "pipe" }

// String returns the address.
func (a PipeAddr) String() string { return string(a) }

// Read returns as many of the bytes that the peer has written as are
// available. It waits only if there are none. After a reset, Read returns the
// bytes that were written before the reset, and then ECONNRESET.
func (c *PipeConn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	return n, c.wrap("read", err)
}

// Write buffers p. It waits only while the buffer is full.
func (c *PipeConn) Write(p []byte) (int, error) {
	n, err := c.out.write(p)
	return n, c.wrap("write", err)
}

// Close closes both directions. The peer can still read the bytes that were
// written before.
func (c *PipeConn) Close() error { return c.end(nil) }

// CloseWrite closes the direction to the peer. The peer reads the bytes that
// were written before, and then io.EOF.
func (c *PipeConn) CloseWrite() error {
	c.out.update(func(h *half) { h.finish(io.EOF) })
	return nil
}

// Reset closes both directions. The peer reads the bytes that were written
// before, and then ECONNRESET. The peer's writes return ECONNRESET at once.
func (c *PipeConn) Reset() error { return c.end(syscall.ECONNRESET) }

func (c *PipeConn) end(reset error) error {
	closed := false
	c.in.update(func(h *half) {
		closed = h.readerErr != nil
		if closed {
			return
		}
		h.readerErr = net.ErrClosed
		h.readBy.stop()
		h.buf.Reset()
		if h.readerGone = reset; reset == nil {
			h.readerGone = syscall.EPIPE
		}
	})
	if closed {
		return c.wrap("close", net.ErrClosed)
	}
	c.out.update(func(h *half) {
		h.writerErr = net.ErrClosed
		h.writeBy.stop()
		if reset != nil {
			h.ended = nil // a reset after CloseWrite is a reset
			h.finish(reset)
		} else {
			h.finish(io.EOF)
		}
	})
	return nil
}

// LocalAddr returns the address of this end.
func (c *PipeConn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the address of the other end.
func (c *PipeConn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets the read deadline and the write deadline. The zero time
// means no deadline.
func (c *PipeConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline makes reads fail with [os.ErrDeadlineExceeded] from t on,
// including reads that are waiting, even if there are bytes to read. The zero
// time means no deadline.
func (c *PipeConn) SetReadDeadline(t time.Time) error {
	return c.wrap("set", c.in.setDeadline(&c.in.readBy, t))
}

// SetWriteDeadline does for writes what SetReadDeadline does for reads.
func (c *PipeConn) SetWriteDeadline(t time.Time) error {
	return c.wrap("set", c.out.setDeadline(&c.out.writeBy, t))
}

func (c *PipeConn) wrap(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "pipe", Source: c.local, Addr: c.remote, Err: err}
}

// A half is one direction of a connection.
type half struct {
	max int // bytes held; 0 for any number

	mu         sync.Mutex // guards the fields below
	moved      sync.Cond  // something below has changed, or a deadline has come
	buf        bytes.Buffer
	ended      error // what the reader gets once buf is empty: io.EOF or ECONNRESET
	writerErr  error // the writer has closed
	readerErr  error // the reader has closed
	readerGone error // what the writer gets once the reader has closed
	readBy     deadline
	writeBy    deadline
}

type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}

func newHalf(buffer int) *half {
	h := &half{max: buffer}
	h.moved.L = &h.mu
	return h
}

func (h *half) update(f func(*half)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f(h)
	h.moved.Broadcast()
}

// finish sets how the bytes end. Only the first call has an effect.
func (h *half) finish(err error) {
	if h.ended == nil {
		h.ended = err
	}
}

func (h *half) read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.readerErr != nil:
			return 0, h.readerErr
		case h.readBy.passed():
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		case h.buf.Len() > 0:
			h.moved.Broadcast()
			return h.buf.Read(p)
		case h.ended != nil:
			return 0, h.ended
		}
		h.moved.Wait()
	}
}

func (h *half) write(p []byte) (n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.writerErr != nil:
			return n, h.writerErr
		case h.writeBy.passed():
			return n, os.ErrDeadlineExceeded
		case h.ended != nil:
			return n, syscall.EPIPE
		case h.readerGone != nil:
			return n, h.readerGone
		case n == len(p):
			return n, nil
		}
		room := len(p) - n
		if h.max > 0 {
			room = min(room, h.max-h.buf.Len())
		}
		if room == 0 {
			h.moved.Wait()
			continue
		}
		h.buf.Write(p[n : n+room])
		n += room
		h.moved.Broadcast()
	}
}

// setDeadline sets d, which is a deadline of h, and wakes the waiting calls
// when it has passed.
func (h *half) setDeadline(d *deadline, t time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if d == &h.readBy && h.readerErr != nil || d == &h.writeBy && h.writerErr != nil {
		return net.ErrClosed
	}
	d.stop()
	d.at = t
	if left := time.Until(t); !t.IsZero() && left > 0 {
		d.timer = time.AfterFunc(left, func() { h.update(func(*half) {}) })
	}
	h.moved.Broadcast()
	return nil
}
