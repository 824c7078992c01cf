package http2

import (
	"errors"
	"sync/atomic"
	"time"
)

// A caller that is alone on its connection reads by itself. A small request then needs no switch to the reading goroutine and
// back, which takes more time than the rest of our work for it.
//
// If some streams of a connection have been open one after the other, the reading goroutine steps aside. The
// connection is then vacant: nobody reads from it. An exchange that waits for its response on a vacant connection reads until
// something has come. If others depend on the connection by then, the reading goroutine starts again. It also starts again if
// nobody waits while a stream is open.

const (
	// soloStreams is how many streams must have been open, one after the other, since look last ran, so that the reading
	// goroutine steps aside.
	soloStreams = 8
	// hearBatches limits how often Hear reads, so that a server which keeps sending does not hold up a caller.
	hearBatches = 8
)

// errTakeOver is returned by readArriving if the reading goroutine must continue.
var errTakeOver = errors.New("peerpool: a caller cannot read this by itself")

// Looker reads what has arrived on a connection, and does not wait for more. If nothing has arrived, its methods return an error
// that is a timeout.
type Looker interface {
	Read(p []byte) (int, error)
	// ReadHeld reads only what a layer above the socket holds.
	ReadHeld(p []byte) (int, error)
}

// solo says whether callers should read by themselves. Conn.mu guards it.
type solo struct {
	looker Looker // nil if the reading goroutine never steps aside
	opened int    // how many streams have been opened since look last ran
	shared bool   // two streams have been open at the same time since then
	aside  bool   // the reading goroutine should step aside

	on     atomic.Bool // the reading goroutine has stepped aside; changed with the lock held, and read without
	reader *Exchange   // the exchange whose caller reads; nil if there is none
	cut    bool        // a read deadline in the past has been set to interrupt the reader
}

// SetLooker lets callers read by themselves, if the connection also has an Alarm. Call it before the first exchange. The
// connection's SetReadDeadline must not block.
func (c *Conn) SetLooker(l Looker) {
	c.mu.Lock()
	c.solo.looker = l
	c.mu.Unlock()
}

// openedLocked notes that a stream has been opened.
func (s *solo) openedLocked(streams int) {
	s.opened++
	s.shared = s.shared || streams > 1
}

// closedLocked asks the reading goroutine to step aside if the streams are open one after the other. It is called when no stream
// is open any more.
func (s *solo) closedLocked(c *Conn) {
	if s.looker == nil || c.reading != reading || s.opened < soloStreams || s.shared || c.alarm == nil || !c.freeLocked() {
		return
	}
	s.aside = true
	c.nc.SetReadDeadline(longAgo)
}

// lookLocked is called by look: what was before does not count any more.
func (s *solo) lookLocked() { s.opened, s.shared = 0, false }

// stepAsideLocked leaves the reading to the callers, if closedLocked has asked for it and nobody else depends on the connection.
// Only the reading goroutine calls it, between two frames. If it returns true, the goroutine ends and leaves its buffers.
func (c *Conn) stepAsideLocked() bool {
	if !c.solo.aside {
		return false
	}
	c.solo.aside = false
	if c.alarm == nil || !c.peer.seen || c.reading != reading || c.solo.shared || !c.freeLocked() {
		return false
	}
	for _, x := range c.streams {
		if len(c.streams) > 1 || x.upload != nil && !x.sent {
			return false
		}
		x.cond.Broadcast() // if it waits, it reads now
	}
	c.nc.SetReadDeadline(time.Time{})
	c.reading = vacant
	c.solo.on.Store(true)
	return true
}

// freeLocked reports whether the connection has nothing to do but serve its streams.
func (c *Conn) freeLocked() bool {
	return c.failed == nil && c.out.err == nil && c.pings.probe == nil && len(c.queue) == 0 && c.granted == 0
}

// waitLocked waits until something may have changed for the exchange. If nobody reads from the connection, it reads what comes
// next. It releases the lock while it waits.
func (x *Exchange) waitLocked() {
	c := x.c
	if c.reading != vacant {
		x.cond.Wait()
		return
	}
	c.reading, c.solo.reader = lent, x
	c.mu.Unlock()
	err := c.readArriving()
	c.deliver()
	c.mu.Lock()
	c.returnLocked(x, err)
}

// Hear handles what has arrived on a connection from which nobody reads. Call it before an exchange, so that the exchange does
// not begin on a connection that its server has ended. The request's body has not been touched by then, so another connection can
// serve the request. Hear does not wait for the server. It returns an error if the connection has failed.
func (c *Conn) Hear() error {
	if !c.solo.on.Load() {
		return nil
	}
	c.mu.Lock()
	if c.reading != vacant {
		defer c.mu.Unlock()
		return c.failed
	}
	c.reading = lent
	c.mu.Unlock()
	err := c.readArrived()
	c.deliver()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.returnLocked(nil, err)
	return c.failed
}

// readArrived handles what has arrived, and does not wait. It returns the error with which readArriving has ended: errRest if
// there is nothing more to read.
func (c *Conn) readArrived() error {
	c.in.from = whatHasArrived
	var err error
	for n := 0; n < hearBatches && err == nil; n++ {
		err = c.readArriving()
	}
	c.in.from = whatComes
	if err == nil {
		return errTakeOver
	}
	return err
}

// readArriving waits for a complete frame, and handles all complete frames. It returns errRest if a read deadline has passed,
// and errTakeOver if the next frame does not fit into the buffer. After either, another goroutine can continue to read.
func (c *Conn) readArriving() error {
	br := c.in.br
	for !c.in.whole() {
		if c.in.exceeds() {
			return errTakeOver
		}
		if _, err := br.Peek(br.Buffered() + 1); err != nil {
			return err
		}
	}
	return c.readBatch()
}

// exceeds reports whether the buffer begins with a frame that is larger than the buffer.
func (in *input) exceeds() bool {
	return in.br.Buffered() >= frameHead && in.frameSize() > in.br.Size()
}

// returnLocked is called when a caller has stopped to read because of err, or because something has come. x is its exchange, or
// nil if the caller is in Hear. If others depend on the connection, the reading goroutine starts. If reading has failed,
// returnLocked releases the lock for a moment.
func (c *Conn) returnLocked(x *Exchange, err error) {
	c.solo.reader = nil
	if c.solo.cut || err == errRest && x != nil {
		c.solo.cut = false
		c.nc.SetReadDeadline(time.Time{})
	}
	switch err {
	case nil, errRest, errTakeOver:
	default:
		c.reading = reading // and nobody reads again
		c.solo.on.Store(false)
		c.mu.Unlock()
		c.failReading(err)
		c.in.end()
		go c.hangUp() // ends after closeWait at the latest
		c.mu.Lock()
		return
	}
	others := len(c.streams)
	if x != nil && c.streams[x.id] == x && (x.sent || x.upload == nil) {
		others--
	}
	c.reading = vacant
	switch {
	case err == errTakeOver || others > 0 || c.alarm == nil || !c.freeLocked():
		c.startReadingLocked()
	case x != nil:
		x.cond.Broadcast() // if another goroutine waits for the same exchange, it reads now
	}
}

// interruptLocked ends the wait of x if x reads.
func (c *Conn) interruptLocked(x *Exchange) {
	if c.solo.reader == x && !c.solo.cut {
		c.solo.cut = true
		c.nc.SetReadDeadline(longAgo)
	}
}
