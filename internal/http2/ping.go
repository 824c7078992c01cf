package http2

//lint:file-ignore SA1019 see engine.go

import (
	"context"
	"errors"
	"io"
	"time"

	xhttp2 "golang.org/x/net/http2"
)

// A connection whose peer is gone without a word looks like one whose peer is slow. Two pings tell them apart (RFC
// 9113 section 6.7): while exchanges are open and nothing has come for a while, one that ends the connection if it is
// not answered; and before an exchange on a connection that has been quiet, a short one.

// began counts an exchange, and has the connection monitored while there are any. It returns false if the server
// allows none.
func (c *Conn) began(x *Exchange) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	x.next = c.latest
	if x.next != nil {
		x.next.prev = x
	}
	c.latest = x
	c.open++
	if c.open == 1 {
		c.since = c.now()
	}
	c.armLocked()
	return !c.noneLocked()
}

// armLocked arms the monitor, if it is not armed.
func (c *Conn) armLocked() {
	if c.watching || c.engine.pingAfter < 0 {
		return
	}
	c.watching = true
	if c.monitor == nil {
		c.monitor = time.AfterFunc(c.engine.pingAfter, c.look)
	} else {
		c.monitor.Reset(c.engine.pingAfter)
	}
}

// finished is the end of an exchange.
func (c *Conn) finished(x *Exchange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if x.prev != nil {
		x.prev.next = x.next
	} else {
		c.latest = x.next
	}
	if x.next != nil {
		x.next.prev = x.prev
	}
	x.prev, x.next = nil, nil
	c.open--
}

// look is what the monitor's timer calls, on a goroutine that ends with this call.
func (c *Conn) look() {
	c.mu.Lock()
	if c.open == 0 {
		c.watching = false // the next exchange arms it again
		c.mu.Unlock()
		return
	}
	quiet := time.Duration(c.now() - max(c.heard.Load(), c.since))
	if left := c.engine.pingAfter - quiet; left > 0 {
		c.monitor.Reset(left)
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()
	if !c.ping(c.engine.pingTimeout) {
		c.lost.Store(true)
		c.Close()
		return
	}
	c.mu.Lock()
	c.monitor.Reset(c.engine.pingAfter)
	c.mu.Unlock()
}

// ping returns true if the server has answered in time. Otherwise the connection takes no new stream.
func (c *Conn) ping(timeout time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if c.cc.Ping(ctx) == nil {
		c.suspect.Store(0)
		return true
	}
	c.over(ReasonPingTimeout)
	return false
}

// check is a ping before a reuse, for all exchanges that are about to begin.
type check struct {
	done chan struct{} // closed when ok is set
	ok   bool
}

// Quiet says that the connection should be checked before it is used again.
func (c *Conn) Quiet() bool {
	if c.engine.pingAfter < 0 {
		return false
	}
	heard := c.heard.Load()
	return c.suspect.Load() == heard+1 || time.Duration(c.now()-heard) >= c.engine.pingAfter
}

// Check returns true if the server answers a ping soon. If it does not, the connection takes no new stream; those under
// way have the time that the monitor gives them, as a server may well be slow. When ctx ends first, Check returns its
// cause, and the ping goes on.
func (c *Conn) Check(ctx context.Context) (bool, error) {
	c.mu.Lock()
	p := c.check
	if p == nil {
		p = &check{done: make(chan struct{})}
		c.check = p
		go c.run(p)
	}
	c.mu.Unlock()
	select {
	case <-p.done:
		return p.ok, nil
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}

// run is a check's goroutine; the timeout of the ping ends it.
func (c *Conn) run(p *check) {
	p.ok = c.ping(min(checkTimeout, c.engine.pingTimeout))
	c.mu.Lock()
	c.check = nil
	c.mu.Unlock()
	close(p.done)
}

// lossOf returns ErrLost in place of the error with which x/net ends exchanges when we close the connection: the
// server's own word, that a stream is reset, stands.
func (c *Conn) lossOf(err error) error {
	if !c.lost.Load() || err == io.EOF || err == io.ErrUnexpectedEOF {
		return err
	}
	if _, reset := errors.AsType[xhttp2.StreamError](err); reset {
		return err
	}
	return ErrLost
}
