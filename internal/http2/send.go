package http2

import (
	"encoding/binary"
	"errors"
	"net"
	"runtime"
	"sync"
	"time"

	"github.com/peerpool/peerpool/internal/exchange"
	xhttp2 "golang.org/x/net/http2"
)

// Sending. A goroutine appends its frames to the pending ones under Conn.mu, in the order in which they are to be sent. If no
// other goroutine is flushing, it then has the pending frames flushed. Frames that are appended in the meantime are sent with
// the next write.
//
// So frames that come at the same time need one write, one record of TLS and one wake-up of the server. That happens, for
// example, when many responses have come in one piece and all their callers send the next request.

const (
	frameHead = 9 // bytes of a frame before its payload

	pendingSize = 4 << 10  // bytes that are usually pending
	keptPending = 64 << 10 // a larger buffer is not used again

	// maxReplies limits how many answers to frames of the server are pending because the server does not read them.
	maxReplies = 8192
	// maxPending limits the bytes that are pending while the server reads nothing. If more are, no exchange begins.
	maxPending = 1 << 20

	// drainWait is how long we read from a connection that can no longer be written to. The server may have sent something,
	// perhaps a GOAWAY, that is still on its way.
	drainWait = 250 * time.Millisecond

	// closeWait is how long closing may take if the server does not read our last bytes.
	closeWait = 250 * time.Millisecond
)

var (
	errNotRead = errors.New("peerpool: the server does not read what the Transport sends")

	// errUnwritten stands for output.err, with which writing to the connection has failed.
	errUnwritten = errors.New("peerpool: the connection cannot be written to")
)

// output is what is to be written. Conn.mu guards it.
type output struct {
	pending  *[]byte // frames; nil if there are none
	replies  int     // how many of the pending frames answer frames of the server
	flushing bool    // a goroutine writes or is about to write; no other one may
	uploads  int     // how many uploads wait for their turn to write
	turn     sync.Cond
	err      error // the error with which writing has failed
}

// buffers holds buffers for pending frames. A connection that idles has none.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, pendingSize); return &b }}

func giveBuffer(b *[]byte) {
	if cap(*b) > keptPending {
		return
	}
	*b = (*b)[:0]
	buffers.Put(b)
}

// bytes returns the pending frames, so that the caller can append to them.
func (o *output) bytes() *[]byte {
	if o.pending == nil {
		o.pending = buffers.Get().(*[]byte)
	}
	return o.pending
}

// Write appends p to the pending frames. The HPACK encoder writes here.
func (o *output) Write(p []byte) (int, error) {
	b := o.bytes()
	*b = append(*b, p...)
	return len(p), nil
}

// frame appends a frame with a payload.
func (o *output) frame(t xhttp2.FrameType, flags xhttp2.Flags, stream uint32, payload []byte) {
	b := o.bytes()
	*b = append(appendFrame(*b, len(payload), t, flags, stream), payload...)
}

// reset, windowUpdate and goAway append frames of these kinds.
func (o *output) reset(stream uint32, code xhttp2.ErrCode) {
	b := o.bytes()
	*b = appendUint32Frame(*b, xhttp2.FrameRSTStream, stream, uint32(code))
}

func (o *output) windowUpdate(stream uint32, n int64) {
	b := o.bytes()
	*b = appendUint32Frame(*b, xhttp2.FrameWindowUpdate, stream, uint32(n))
}

func (o *output) goAway(code xhttp2.ErrCode) {
	o.frame(xhttp2.FrameGoAway, 0, 0, binary.BigEndian.AppendUint32(make([]byte, 4, 8), uint32(code)))
}

// appendFrame appends the head of a frame (RFC 9113 section 4.1).
func appendFrame(b []byte, payload int, t xhttp2.FrameType, flags xhttp2.Flags, stream uint32) []byte {
	b = append(b, byte(payload>>16), byte(payload>>8), byte(payload), byte(t), byte(flags))
	return binary.BigEndian.AppendUint32(b, stream)
}

// appendUint32Frame appends a frame whose payload is a number.
func appendUint32Frame(b []byte, t xhttp2.FrameType, stream, n uint32) []byte {
	return binary.BigEndian.AppendUint32(appendFrame(b, 4, t, 0, stream), n)
}

// unlockAndFlush unlocks Conn.mu and has the pending frames written. It does not wait for the server.
func (c *Conn) unlockAndFlush() {
	if c.out.pending == nil || c.out.flushing || c.out.err != nil || c.failed != nil {
		c.mu.Unlock()
		return
	}
	c.out.flushing = true
	alone := len(c.streams) <= 1
	c.mu.Unlock()
	if c.outlet.idle() {
		if !alone {
			runtime.Gosched() // goroutines that are about to append frames run first
		}
		c.flush(false)
	} else {
		go c.flush(true)
	}
}

// flush writes the pending frames, and those that are appended meanwhile. It ends early if an upload waits for its turn, if
// writing fails, or if it must not block and the outlet does not take more at once. If it may block, it runs on a goroutine
// of its own, which ends when flush does, or when the connection is closed.
func (c *Conn) flush(mayBlock bool) {
	c.mu.Lock()
	c.outlet.block(mayBlock)
	for c.out.pending != nil && c.out.err == nil && c.out.uploads == 0 && (mayBlock || c.outlet.idle()) {
		c.writePendingLocked()
	}
	c.passOnLocked()
	c.mu.Unlock()
}

// passOnLocked ends the flushing. An upload that waits for its turn writes next. If none waits and frames are pending,
// passOnLocked starts another goroutine that flushes.
func (c *Conn) passOnLocked() {
	c.outlet.block(false)
	c.out.flushing = false
	if c.failed != nil {
		c.out.turn.Broadcast()
	} else if c.out.uploads > 0 {
		c.out.turn.Signal()
	} else if c.out.pending != nil && c.out.err == nil {
		c.out.flushing = true
		go c.flush(true)
	}
}

// writePendingLocked writes the pending frames. It releases the lock while it writes.
func (c *Conn) writePendingLocked() {
	batch := c.out.pending
	if batch == nil {
		return
	}
	c.out.pending, c.out.replies = nil, 0
	c.mu.Unlock()
	err := c.write(*batch)
	giveBuffer(batch)
	c.mu.Lock()
	c.wroteLocked(err)
}

// writeData writes one DATA frame of an upload. The frame has room for its head, which writeData fills in. writeData waits
// for its turn to write, and may block. If the exchange is over, it writes nothing of the frame. It returns errUnwritten if
// the connection can no longer be written to; the exchanges on the connection end a little later.
func (c *Conn) writeData(x *Exchange, frame []byte, last bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.out.flushing && x.over == nil && c.out.err == nil {
		c.out.uploads++
		c.out.turn.Wait()
		c.out.uploads--
	}
	if err := x.over; err != nil || c.out.err != nil {
		if err == nil {
			err = errUnwritten
		}
		c.window += sendWindow(len(frame) - frameHead)
		c.wakeUploadsLocked() // one of them may wait for the window that this frame gives back
		if !c.out.flushing {
			c.passOnLocked()
		}
		return err
	}
	c.out.flushing = true
	c.outlet.block(true)
	c.writePendingLocked()
	if c.out.err == nil && x.over == nil {
		var flags xhttp2.Flags
		if last {
			flags = xhttp2.FlagDataEndStream
			x.sentLocked()
		}
		appendFrame(frame[:0], len(frame)-frameHead, xhttp2.FrameData, flags, x.id)
		c.mu.Unlock()
		err := c.write(frame)
		c.mu.Lock()
		c.wroteLocked(err)
	}
	c.passOnLocked()
	switch {
	case x.over != nil:
		return x.over
	case c.out.err != nil:
		return errUnwritten
	}
	return nil
}

// wroteLocked notes how writing has gone.
func (c *Conn) wroteLocked(err error) {
	if err == nil || c.out.err != nil {
		return
	}
	c.out.err = err
	c.out.turn.Broadcast()
	c.wakeUploadsLocked()
	go c.writeFailed() // ends when the owner knows
}

// writeFailed retires a connection that can no longer be written to. Reading continues for drainWait, because the server may
// already have sent something. Then the connection ends.
func (c *Conn) writeFailed() {
	c.over(ReasonPeerClosed)
	c.nc.SetReadDeadline(time.Now().Add(drainWait))
	c.Wake()
}

// write writes all of p. WriteByteTimeout ends it only if not a single byte gets written in that time.
func (c *Conn) write(p []byte) error {
	timeout := c.engine.writeTimeout
	for {
		if timeout > 0 {
			c.nc.SetWriteDeadline(time.Now().Add(timeout))
		}
		n, err := c.w.Write(p)
		if err == nil || n == 0 || timeout == 0 || !exchange.IsTimeout(err) {
			return err
		}
		p = p[n:]
	}
}

// hangUp closes a connection that has failed. It writes the pending frames first, and lets TLS say goodbye, for closeWait at
// most.
func (c *Conn) hangUp() error {
	if c.hung.Swap(true) {
		return nil
	}
	below := c.nc
	if t, ok := below.(interface{ NetConn() net.Conn }); ok {
		below = t.NetConn()
	}
	defer time.AfterFunc(closeWait, func() { below.Close() }).Stop()
	c.farewell()
	return c.nc.Close()
}

// farewell writes the pending frames, once no other goroutine writes.
func (c *Conn) farewell() {
	c.nc.SetWriteDeadline(time.Now().Add(closeWait))
	defer c.outlet.await()
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.out.flushing {
		c.out.turn.Wait()
	}
	c.out.flushing = true
	if c.out.err == nil {
		c.outlet.block(true)
		c.writePendingLocked()
	}
}
