package http2

import (
	"errors"
	"math"
	"slices"

	xhttp2 "golang.org/x/net/http2"
)

// Streams (RFC 9113 section 5): how they are opened, how many there may be, and how they end.

// maxStreamID leaves some of the 2^31 stream numbers to requests that are on their way.
const maxStreamID = math.MaxInt32 - 1<<16

// maxLingering is how many streams may be open whose exchanges are over, because nothing but their end can come on them.
// A server that doesn't end them has them reset.
const maxLingering = 16

// noReset says that the server is not told of a stream's end.
const noReset xhttp2.ErrCode = math.MaxUint32

var (
	errNoStreams   = errors.New("peerpool: the server allows no streams on the connection")
	errFewStreams  = errors.New("peerpool: the server allows no further streams on the connection")
	errUnusable    = errors.New("http2: client conn not usable")
	errGoneAway    = errors.New("http2: Transport received Server's graceful shutdown GOAWAY")
	errNotExtended = errors.New("net/http: extended connect not supported by peer")
)

// admitLocked returns once the exchange may open a stream: at once, unless the connection is one on which exchanges wait
// for that. It lets go of the lock while it waits. An error says that there will be none, and nothing has been sent.
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
		return errNoStreams
	default:
		return errFewStreams
	}
	c.queue = append(c.queue, x)
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

// roomLocked says that an exchange need not wait for a stream.
func (c *Conn) roomLocked() bool {
	return uint64(len(c.streams)+c.granted) < uint64(c.peer.streams) && len(c.queue) == 0
}

// openableLocked says why the connection opens no stream, however many there may be.
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

// grantLocked lets exchanges that wait have the streams that there are, in the order of their coming.
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

// turnAwayLocked ends the exchanges that wait for streams where there will be none.
func (c *Conn) turnAwayLocked() {
	for _, x := range c.queue {
		x.abortLocked(errNoStreams, noReset)
	}
	c.queue = nil
}

// addLocked gives the exchange a stream.
func (c *Conn) addLocked(x *Exchange) {
	x.id = c.nextID
	c.nextID += 2
	x.window = sendWindow(c.peer.window)
	size := c.engine.firstWindow()
	x.unread = recvWindow{size: size, left: size}
	c.streams[x.id] = x
	c.startReadingLocked()
	c.pings.beganLocked(c)
}

// removeLocked forgets a stream that is closed.
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
}

// sentLocked notes that the request has been sent to its end.
func (x *Exchange) sentLocked() {
	x.sent = true
	if x.received {
		x.c.removeLocked(x)
	}
}

// receivedLocked notes that the response has come to its end.
func (x *Exchange) receivedLocked() {
	x.received = true
	if x.sent {
		x.c.removeLocked(x)
	}
}

// abortLocked ends a stream before its proper end, and has the server told so unless code is noReset. A response that
// has come to its end stands, and only the rest of the request is not sent.
func (x *Exchange) abortLocked(err error, code xhttp2.ErrCode) {
	if x.over != nil || x.received && x.sent {
		return
	}
	x.over = err
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

// lingerLocked leaves a stream open on which nothing but its end can come, and that is probably on its way.
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

// wakeUploadsLocked wakes those who wait for a window.
func (c *Conn) wakeUploadsLocked() {
	for _, x := range c.streams {
		if x.upload != nil && !x.sent {
			x.cond.Broadcast()
		}
	}
}

// idleLocked says that a stream has never been opened (section 5.1): nothing may come on it.
func (c *Conn) idleLocked(id uint32) bool { return id&1 == 0 || id >= c.nextID }
