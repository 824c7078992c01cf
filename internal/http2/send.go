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

// Sending. Frames are appended to the pending ones under Conn.mu, in the order in which they are to go out, and
// whoever has appended some and finds nobody flushing has them flushed. What is appended meanwhile goes out with the
// next write. So frames that come at the same time, as when many responses have come in one piece and their callers
// all go on to the next request, are one write, one TLS record, one wake-up of the server.

const (
	frameHead = 9 // bytes of a frame before its payload

	pendingSize = 4 << 10  // bytes, of what is usually pending
	keptPending = 64 << 10 // a larger one is not used again

	// maxReplies bounds the frames that answer the server's and that it does not read.
	maxReplies = 8192
	// maxPending bounds what is pending, in bytes, while the server reads nothing: beyond it no exchange begins.
	maxPending = 1 << 20

	// drainWait is how long a connection may be read from that can no longer be written to: what the server has
	// said, a GOAWAY perhaps, may still be on its way.
	drainWait = 250 * time.Millisecond

	// closeWait is how long closing may take to say goodbye to a server that does not listen.
	closeWait = 250 * time.Millisecond
)

var (
	errNotRead = errors.New("peerpool: the server does not read what it is sent")

	// errUnwritten stands for the error that writing to the connection has failed with.
	errUnwritten = errors.New("peerpool: the connection cannot be written to")
)

// output is what is to be written. Conn.mu guards it.
type output struct {
	pending  *[]byte // frames; nil: none
	replies  int     // of the pending ones, those that answer the server's
	flushing bool    // somebody writes, or is about to; only that one does
	uploads  int     // those who wait for their turn to write
	turn     sync.Cond
	err      error // what writing has failed with
}

// buffers holds what is pending: a connection that idles has none.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, pendingSize); return &b }}

func giveBuffer(b *[]byte) {
	if cap(*b) > keptPending {
		return
	}
	*b = (*b)[:0]
	buffers.Put(b)
}

// bytes returns the pending frames, to be appended to.
func (o *output) bytes() *[]byte {
	if o.pending == nil {
		o.pending = buffers.Get().(*[]byte)
	}
	return o.pending
}

// Write appends to the pending frames: it is where the HPACK encoder writes.
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

// unlockAndFlush unlocks Conn.mu and sees to it that what is pending is written. It does not wait for that.
func (c *Conn) unlockAndFlush() {
	if c.out.pending == nil || c.out.flushing || c.out.err != nil || c.failed != nil {
		c.mu.Unlock()
		return
	}
	c.out.flushing = true
	c.mu.Unlock()
	if c.outlet.idle() {
		c.flush(false)
	} else {
		go c.flush(true)
	}
}

// flush writes what is pending until nothing is, or there is an outlet that does not take more at once. Where it may
// block, it runs on a goroutine of its own, which ends then, or when the connection is closed.
func (c *Conn) flush(mayBlock bool) {
	runtime.Gosched() // those who are about to append go first
	c.mu.Lock()
	c.outlet.block(mayBlock)
	for c.out.pending != nil && c.out.err == nil && c.out.uploads == 0 && (mayBlock || c.outlet.idle()) {
		c.writePendingLocked()
	}
	c.passOnLocked()
	c.mu.Unlock()
}

// passOnLocked ends the flushing, or leaves it to an upload that has waited for its turn.
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

// writePendingLocked writes what is pending. It lets go of the lock meanwhile.
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

// writeData writes one DATA frame of an upload: frame has its head too, which is filled in here. It waits for its turn
// to write, and may block in that. Nothing is written of an exchange that is over. errUnwritten says that the connection can
// no longer be written to, which ends its exchanges a little later.
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
		c.wakeUploadsLocked() // one of them may wait for just that
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
	go c.writeFailed() // ends when that is told
}

// writeFailed ends the connection, but for what the server may have said already.
func (c *Conn) writeFailed() {
	c.over(ReasonPeerClosed)
	c.nc.SetReadDeadline(time.Now().Add(drainWait))
	c.Wake()
}

// write writes all of p. A time limit holds for as long as nothing at all gets written.
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

// hangUp closes the connection, which has failed. What is pending is written first, and goodbye said, but not for longer
// than closeWait.
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

// farewell writes what is pending, once whoever is writing is done.
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
