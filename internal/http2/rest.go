package http2

import (
	"errors"
	"time"
)

// When there is a reading goroutine: while there are streams, and for a moment longer. Then it ends and gives back its
// buffers, if there is an Alarm that tells when there is something to read.

// linger is for how long a connection without streams is read from before it rests: once or twice that.
const linger = 100 * time.Millisecond

// Alarm tells when there is something to read on a connection that nobody reads from. Its methods are called by the
// reading goroutine.
type Alarm interface {
	// Set has [Conn.Wake] called once when there is something to read, the end included, also where that has come
	// already. It returns false if there is no way to tell.
	Set() bool
	// Clear undoes Set. Wake may still be called, and has no effect then.
	Clear()
}

// readingState says whether there is a reading goroutine. Conn.mu guards it.
type readingState uint8

const (
	resting  readingState = iota // there is none
	reading                      // there is one
	settling                     // it is about to end
	roused                       // it was about to end, and must go on
)

// errRest is what a Read returns between frames when the connection may rest.
var errRest = errors.New("peerpool: nothing to read")

// SetAlarm lets the connection rest while there is nothing to do.
func (c *Conn) SetAlarm(a Alarm) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.alarm = a
	c.pings.armLocked(c)
}

// Wake is called when there is something to read.
func (c *Conn) Wake() {
	c.mu.Lock()
	c.startReadingLocked()
	c.mu.Unlock()
}

func (c *Conn) startReadingLocked() {
	switch c.reading {
	case resting:
		c.reading = reading
		c.pings.armLocked(c)
		go c.read()
	case settling:
		c.reading = roused
	}
}

// rest ends the reading if there is nothing to do. It returns false if the goroutine must go on.
func (c *Conn) rest() bool {
	c.mu.Lock()
	alarm := c.alarm
	if alarm == nil || !c.quietLocked() {
		c.mu.Unlock()
		c.readOn()
		return false
	}
	c.reading = settling
	c.mu.Unlock()
	c.in.end()
	ok := alarm.Set()
	c.mu.Lock()
	if ok && c.reading == settling && c.failed == nil {
		c.reading = resting
		c.mu.Unlock()
		return true
	}
	c.reading = reading
	if !ok {
		c.alarm = nil
	}
	c.mu.Unlock()
	if ok {
		alarm.Clear()
	}
	c.readOn()
	c.in.begin(c)
	return false
}

// quietLocked says that nothing is expected on the connection.
func (c *Conn) quietLocked() bool {
	return len(c.streams) == 0 && c.pings.probe == nil && c.peer.seen && c.failed == nil && c.out.err == nil
}
