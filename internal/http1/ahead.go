package http1

import (
	"runtime"
	"sync/atomic"
	"time"
)

// readAhead is a read that is pending while a veiled connection idles. Nothing else works for every net.Conn: some set a deadline
// of their own in each Read, and others cannot be used after a deadline has passed. The next exchange receives its first bytes
// through the read. Its goroutine belongs to the Conn. It ends with the first bytes, or when the connection is closed.
type readAhead struct {
	claimed atomic.Bool // by the next exchange, or by the goroutine of the read when it has ended
	begun   chan struct{}
	done    chan struct{}
	since   time.Time
	b       [peeked]byte
	r, n    int
	err     error
}

func (c *Conn) newReadAhead() *readAhead {
	a := &readAhead{begun: make(chan struct{}), done: make(chan struct{}), since: time.Now()}
	go func() {
		close(a.begun)
		a.n, a.err = c.veil.top.Read(a.b[:])
		close(a.done)
		if ended := c.veil.idleEnded; ended != nil && !a.claimed.Swap(true) {
			ended(a.found())
		}
	}()
	return a
}

// restVeiled looks at a veiled connection as far as that takes no read from a layer of unknown type, and then begins the pending
// read.
func (c *Conn) restVeiled() Condition {
	if c.veil.ahead == nil {
		if lowest(c.nc) != nil && !c.decrypted {
			switch found := c.lookInto(looking{is: true}, time.Time{}); {
			case found != inPart:
				c.found = found
			case c.traits&used != 0:
				c.found = Unexpected
			default: // it may be a session ticket, of which the pending read takes the rest
			}
			if c.found != Quiet {
				return c.found
			}
		}
		if inside := c.veil.tls; inside != nil && inForeignRecord(inside) {
			return Unexpected
		}
		c.veil.tap.observe()
		c.veil.ahead = c.newReadAhead()
		return Quiet
	}
	if a := c.veil.ahead; a.over() {
		return a.found()
	}
	return Quiet
}

// probeVeiled waits until the pending read has had its turn, and returns what it has found.
func (c *Conn) probeVeiled() Condition {
	a := c.veil.ahead
	<-a.begun
	start := time.Now()
	for n := 0; !a.over(); n++ {
		waits, known := c.veil.tap.waits()
		if !known {
			return c.probeOpaque()
		}
		inPart := partial(c.nc) != nil
		if waits && !inPart {
			return Quiet
		}
		if past := time.Since(start); past >= maxSettle || waits && past >= c.restTime() {
			return Unexpected
		}
		pause(n)
	}
	return a.found()
}

// probeOpaque is probeVeiled over a layer of which nobody can tell whether it holds something.
func (c *Conn) probeOpaque() Condition {
	a := c.veil.ahead
	if !a.settle(c.veil) {
		return Unexpected
	}
	if c.veil.tap.arrived() { // and the read has not returned it: a session ticket, or the layer is at work on it
		for start := time.Now(); !a.over() && time.Since(start) < maxWork; {
			time.Sleep(longTime)
		}
	}
	for n, start := 0, time.Now(); c.under != nil && !a.over(); n++ {
		returned, inPart := c.veil.tap.reading.Load(), partial(c.nc) != nil // to the layer, from crypto/tls
		if returned && !inPart {
			break
		}
		if past := time.Since(start); past >= maxSettle || returned && past >= c.restTime() {
			return Unexpected
		}
		pause(n)
	}
	if a.over() {
		return a.found()
	}
	return Quiet
}

const (
	// A pending read gets as much time as the scheduler needs to let it return what the layers hold. It gets more if it has just
	// begun, or if the socket cannot be seen.
	shortYields, longYields = 20, 200
	longTime                = 100 * time.Microsecond
	maxYields               = 2000 // where no time passes: in a bubble of testing/synctest

	// settled is how long a read must have been pending until it certainly waits for the peer.
	settled = time.Millisecond

	// maxWork is how long to wait for a layer to return what it has got. A layer of TLS returns nothing for a session ticket.
	maxWork = 10 * time.Millisecond

	// maxSettle is how long to wait for what has certainly arrived. Only a program that is very short of processor time, or a
	// layer that delays what it gets, takes so long.
	maxSettle = 500 * time.Millisecond
)

// settle waits until the read has had its turn. It returns false if the read has not taken what is in the socket.
func (a *readAhead) settle(over *veil) (waits bool) {
	start := time.Now()
	a.yield(over.raw != nil && over.tls == nil && start.Sub(a.since) >= settled)
	for n := 0; !a.over() && holds(over.raw); n++ {
		if time.Since(start) >= maxSettle {
			return false
		}
		pause(n)
		a.yield(false)
	}
	return true
}

// pause lets other goroutines run. It gives the processor up if that has not helped so far.
func pause(n int) {
	if n < shortYields {
		runtime.Gosched()
	} else {
		time.Sleep(longTime)
	}
}

// yield lets other goroutines run, that of the read among them.
func (a *readAhead) yield(short bool) {
	start := time.Now()
	for n := 0; !a.over(); n++ {
		switch {
		case short && n >= shortYields, n >= longYields && time.Since(start) >= longTime, n >= maxYields:
			return
		}
		runtime.Gosched()
	}
}

// over reports whether the read has ended.
func (a *readAhead) over() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

// found returns what has ended the read. Call it when the read is over.
func (a *readAhead) found() Condition { return conditionOf(a.b[:a.n]) }

// conditionOf returns what bytes that answer no request mean. No bytes mean that the connection has ended.
func conditionOf(b []byte) Condition {
	if len(b) == 0 || isRequestTimeout(b) {
		return PeerClosed // a 408 on an idle connection announces its end (RFC 9110 section 15.5.9)
	}
	return Unexpected
}

// readingAhead returns the read that is pending, or nil.
func (c *Conn) readingAhead() *readAhead {
	if c.veil == nil {
		return nil
	}
	return c.veil.ahead
}

// claim makes the pending read part of an exchange.
func (c *Conn) claim() {
	if ahead := c.readingAhead(); ahead != nil {
		ahead.claimed.Store(true)
	}
}

// take waits for the read, and returns what it has got. more reports whether there is more than p has room for.
func (a *readAhead) take(p []byte) (n int, more bool, err error) {
	<-a.done
	n = copy(p, a.b[a.r:a.n])
	if a.r += n; a.r < a.n {
		return n, true, nil
	}
	return n, false, a.err
}
