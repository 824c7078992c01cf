package http2

import (
	"errors"
	"math"
	"slices"

	xhttp2 "golang.org/x/net/http2"
)

// Streams (RFC 9113 section 5): how they are opened, how many a connection may have, and how they end.

// maxStreamID is the stream number beyond which the connection retires. It leaves some of the 2^31 numbers for requests that
// are already on their way to the connection.
const maxStreamID = math.MaxInt32 - 1<<16

// maxLingering is how many streams may stay open after their exchanges are over. The server can send only the end of such a
// stream. If it does not send the ends, so that there are more of these streams, we reset them.
const maxLingering = 16

// noReset is passed to abortLocked to send no RST_STREAM.
const noReset xhttp2.ErrCode = math.MaxUint32

// ErrNoStreams is the error of an exchange if the server allows no streams at all.
var ErrNoStreams = errors.New("peerpool: the server allows no streams on the connection")

var (
	errFewStreams  = errors.New("peerpool: the server allows no further streams on the connection")
	errUnusable    = errors.New("http2: client conn not usable")
	errGoneAway    = errors.New("http2: Transport received Server's graceful shutdown GOAWAY")
	errNotExtended = errors.New("net/http: extended connect not supported by peer")
)

// admitLocked returns nil once the exchange may open a stream. If there is no room, it returns an error, except that in
// strict mode it waits. It releases the lock while it waits. If it returns an error, nothing has been sent.
func (c *Conn) admitLocked(x *Exchange) error {
	if err := c.openableLocked(x); err != nil {
		return err
	}
	if c.roomLocked() {
		return nil
	}
	if c.resetLingeringLocked(); c.roomLocked() {
		return nil
	}
	switch {
	case c.engine.strict:
	case c.peer.streams == 0:
		return ErrNoStreams
	default:
		return errFewStreams
	}
	c.queue = append(c.queue, x)
	c.startReadingLocked()
	for x.over == nil && !x.granted {
		x.cond.Wait()
	}
	if !x.granted {
		if i := slices.Index(c.queue, x); i >= 0 {
			c.queue = slices.Delete(c.queue, i, i+1)
		}
		return x.over
	}
	c.granted--
	if x.over != nil {
		c.grantLocked()
		return x.over
	}
	return c.openableLocked(x)
}

// roomLocked reports whether an exchange can open a stream without waiting.
func (c *Conn) roomLocked() bool {
	return uint64(len(c.streams)+c.granted) < uint64(c.peer.streams) && len(c.queue) == 0
}

// openableLocked returns the reason why the connection opens no stream for x, apart from the number of open streams. It
// returns nil if it opens one.
func (c *Conn) openableLocked(x *Exchange) error {
	switch {
	case x.over != nil:
		return x.over
	case c.away.Load() != nil:
		return errGoneAway
	case c.failed != nil:
		return c.failed
	case c.out.err != nil:
		return c.out.err
	case c.nextID > math.MaxInt32:
		return errUnusable
	case c.out.pending != nil && len(*c.out.pending) > maxPending:
		return errNotRead
	}
	return nil
}

// grantLocked gives the free streams to the exchanges that wait, in the order in which they came.
func (c *Conn) grantLocked() {
	for len(c.queue) > 0 && uint64(len(c.streams)+c.granted) < uint64(c.peer.streams) {
		x := c.queue[0]
		c.queue = c.queue[1:]
		if x.over == nil {
			x.granted = true
			c.granted++
			x.cond.Broadcast()
		}
	}
}

// turnAwayLocked ends the exchanges that wait for streams, because the server allows none.
func (c *Conn) turnAwayLocked() {
	for _, x := range c.queue {
		x.abortLocked(ErrNoStreams, noReset)
	}
	c.queue = nil
}

// addLocked opens a stream for the exchange.
func (c *Conn) addLocked(x *Exchange) {
	x.id = c.nextID
	c.nextID += 2
	x.window = sendWindow(c.peer.window)
	size := c.engine.firstWindow()
	x.unread = recvWindow{size: size, left: size}
	c.streams[x.id] = x
	c.solo.openedLocked(len(c.streams))
	if c.reading != vacant {
		c.startReadingLocked()
	}
	c.pings.beganLocked(c)
}

// removeLocked removes a stream that is closed.
func (c *Conn) removeLocked(x *Exchange) {
	if c.streams[x.id] != x {
		return
	}
	delete(c.streams, x.id)
	if len(c.lingering) > 0 {
		c.lingering = slices.DeleteFunc(c.lingering, func(l *Exchange) bool { return l == x })
	}
	c.grown -= x.grown
	x.grown = 0
	c.grantLocked()
	if len(c.streams) == 0 {
		c.solo.closedLocked(c)
	}
}

// sentLocked notes that the whole request has been sent.
func (x *Exchange) sentLocked() {
	x.sent = true
	if x.received {
		x.c.removeLocked(x)
	}
}

// receivedLocked notes that the whole response has come.
func (x *Exchange) receivedLocked() {
	x.received = true
	if x.sent {
		x.c.removeLocked(x)
	}
}

// abortLocked ends a stream before its proper end. It sends RST_STREAM unless code is noReset. If the whole response has
// come, the response stays valid, and only the rest of the request is not sent.
func (x *Exchange) abortLocked(err error, code xhttp2.ErrCode) {
	if x.over != nil || x.received && x.sent {
		return
	}
	x.over = err
	x.c.interruptLocked(x)
	if x.id != 0 {
		if code != noReset {
			x.c.out.reset(x.id, code)
		}
		x.c.removeLocked(x)
	}
	x.cond.Broadcast()
	if x.upload != nil {
		x.c.out.turn.Broadcast()
	}
}

// lingerLocked leaves a stream open on which the server can send only the end. The end is probably on its way.
func (c *Conn) lingerLocked(x *Exchange) {
	c.lingering = append(c.lingering, x)
	if len(c.lingering) > maxLingering || len(c.queue) > 0 {
		c.resetLingeringLocked()
	}
}

func (c *Conn) resetLingeringLocked() {
	lingering := c.lingering
	c.lingering = nil
	for _, x := range lingering {
		x.abortLocked(errEnded, xhttp2.ErrCodeCancel)
	}
}

// wakeUploadsLocked wakes the uploads that wait for a window.
func (c *Conn) wakeUploadsLocked() {
	for _, x := range c.streams {
		if x.upload != nil && !x.sent {
			x.cond.Broadcast()
		}
	}
}

// idleLocked reports whether a stream has never been opened (section 5.1). The server must not send anything on such a
// stream.
func (c *Conn) idleLocked(id uint32) bool { return id&1 == 0 || id >= c.nextID }
