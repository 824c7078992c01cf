package http2

import (
	"errors"
	"time"
)

// When there is a reading goroutine: while there are streams, and for a moment longer, except if callers read by themselves. If
// the connection has an Alarm, the goroutine then ends and gives its buffers back. The Alarm starts it again when there is
// something to read.

// linger is how long a connection without streams is read from before it rests. It can take up to twice as long.
const linger = 100 * time.Millisecond

// Alarm calls [Conn.Wake] when there is something to read on a connection from which nobody reads. The reading goroutine and
// [Conn.Close] call its methods.
type Alarm interface {
	// Set makes the Alarm call [Conn.Wake] once when there is something to read, or has been before Set. The end of the
	// connection counts, too. Set returns false if the Alarm cannot find out.
	Set() bool
	// Clear undoes Set. The Alarm may still call Wake, which has no effect then.
	Clear()
}

// readingState says whether there is a reading goroutine. Conn.mu guards it.
type readingState uint8

const (
	resting  readingState = iota // there is none
	reading                      // there is one
	settling                     // it is about to end
	roused                       // it was about to end, and must continue
	vacant                       // there is none, and an exchange that waits reads; see callers.go
	lent                         // there is none, and a caller reads
)

// errRest is what input.Read returns between frames when the connection may rest.
var errRest = errors.New("peerpool: nothing to read")

// SetAlarm lets the connection rest while it has nothing to do.
func (c *Conn) SetAlarm(a Alarm) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.alarm = a
	c.pings.armLocked(c)
}

// Wake starts the reading goroutine if the connection rests. It is called when there is something to read.
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
	case vacant:
		c.reading = reading
		c.solo.on.Store(false)
		go c.read()
	case settling:
		c.reading = roused
	}
}

// rest ends the reading if there is nothing to do. It returns false if the goroutine must continue.
func (c *Conn) rest() bool {
	c.mu.Lock()
	if c.stepAsideLocked() {
		c.mu.Unlock()
		return true
	}
	alarm := c.alarm
	if alarm == nil || !c.quietLocked() {
		c.mu.Unlock()
		c.readOn()
		return false
	}
	c.reading = settling
	c.encoder.forget()
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

// quietLocked reports whether we expect nothing on the connection.
func (c *Conn) quietLocked() bool {
	return len(c.streams) == 0 && c.pings.probe == nil && c.peer.seen && c.failed == nil && c.out.err == nil
}
