package http2

import (
	"context"
	"sync/atomic"
	"time"

	xhttp2 "golang.org/x/net/http2"
)

// A connection whose server has disappeared without a word looks like one whose server is slow. Probes tell the two apart.
// While streams are open and nothing has come for a while, a probe is sent, and the connection ends if nothing comes then
// either. Before an exchange on a connection that has been quiet, a probe with a shorter time limit is sent.
//
// A probe is a PING (RFC 9113 section 6.7). A server of gRPC counts the PINGs before which it has not sent anything, and ends
// the connection if a client sends more than one of these in five minutes. So we send no second PING in that time, unless
// HEADERS or DATA have come since the server answered the first one. A probe in that time is an empty SETTINGS instead, which
// the server must acknowledge at once, too (section 6.5.3).

const (
	// checkTimeout limits the probe before a reuse, because a request waits for it.
	checkTimeout = 2 * time.Second

	// pingDistance is the distance that servers of gRPC ask for by default, plus a margin for the network's jitter.
	pingDistance = 5*time.Minute + 15*time.Second
	// maxPingDistance limits what we learn from servers that ask for more.
	maxPingDistance = time.Hour
)

// pings is what we know about whether the server still answers. Conn.mu guards it, except for probing.
type pings struct {
	probing atomic.Bool // probe is not nil
	probe   *probe      // the probe under way; nil if there is none
	timer   *time.Timer
	armed   bool  // timer is set, or has fired and look has not begun
	since   int64 // when the first of the open streams began
	active  bool  // a stream has been opened since look last ran

	pinged   int64         // when the last PING was sent; 0 if none was
	acked    bool          // the server has answered the last PING
	fresh    bool          // HEADERS or DATA have come since that answer
	distance time.Duration // the least time between two PINGs without HEADERS or DATA between them
	strict   bool          // distance holds for all PINGs: on an earlier connection the server said that there were too many
	learned  time.Duration // see Conn.PingDistance
}

// probe is a probe under way.
type probe struct {
	sent int64         // when it was sent
	done chan struct{} // closed at its end
	ok   bool          // something has come; valid when done is closed
}

func (p *pings) init(known time.Duration) {
	p.distance, p.strict = pingDistance, known > 0
	if known > 0 {
		p.distance = known
	}
}

// calmLocked is called when the server has said that there were too many PINGs. Later connections send them at twice the
// distance.
func (p *pings) calmLocked() { p.learned = min(2*p.distance, maxPingDistance) }

// beganLocked notes that a stream has been opened.
func (p *pings) beganLocked(c *Conn) {
	if len(c.streams) == 1 {
		p.since = c.now()
	}
	p.active = true
	p.armLocked(c)
}

// armLocked sets the timer if it is not set and there is something for it to do.
func (p *pings) armLocked(c *Conn) {
	if p.armed || c.failed != nil {
		return
	}
	wait := c.engine.pingAfter
	if c.alarm != nil && (wait < 0 || wait > linger) {
		wait = linger
	}
	if wait < 0 || c.alarm == nil && len(c.streams) == 0 {
		return
	}
	p.setLocked(c, wait)
}

func (p *pings) setLocked(c *Conn, wait time.Duration) {
	p.armed = true
	if p.timer == nil {
		p.timer = time.AfterFunc(wait, c.look)
	} else {
		p.timer.Reset(wait)
	}
}

// endLocked is called when the connection has failed.
func (p *pings) endLocked() {
	if p.timer != nil {
		p.timer.Stop()
	}
	p.concludeLocked(false)
}

func (p *pings) concludeLocked(ok bool) {
	if p.probe != nil {
		p.probe.ok = ok
		close(p.probe.done)
		p.probe = nil
		p.probing.Store(false)
	}
}

// look probes the connection or makes it rest, if either is due. The timer calls it, on a goroutine that ends with this call.
func (c *Conn) look() {
	c.mu.Lock()
	p := &c.pings
	p.armed = false
	if c.failed != nil {
		c.mu.Unlock()
		return
	}
	c.solo.lookLocked()
	if len(c.streams) == 0 {
		c.restIfQuiet()
		return
	}
	if !p.active && c.reading == vacant {
		c.startReadingLocked() // nobody has waited for long
	}
	p.active = false
	next, lost := c.watchOverLocked()
	if lost {
		c.mu.Unlock()
		c.fail(ErrLost, ReasonPingTimeout)
		c.hangUp()
		return
	}
	if c.alarm != nil && (next < 0 || next > linger) {
		next = linger
	}
	if next >= 0 {
		p.setLocked(c, next)
	}
	c.unlockAndFlush()
}

// restIfQuiet makes a connection without streams rest, if it has had none for a while. The caller holds Conn.mu, and
// restIfQuiet releases it.
func (c *Conn) restIfQuiet() {
	p := &c.pings
	if c.alarm == nil || c.reading != reading && c.reading != vacant && c.reading != lent {
		c.mu.Unlock()
		return
	}
	if p.active || p.probe != nil || !c.peer.seen || c.reading == lent {
		p.active = false
		p.setLocked(c, linger)
		c.mu.Unlock()
		return
	}
	if c.reading == vacant {
		c.reading = reading
		c.solo.on.Store(false)
		c.mu.Unlock()
		go c.settle()
		return
	}
	c.mu.Unlock()
	c.nc.SetReadDeadline(longAgo)
}

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// watchOverLocked probes a server that has been quiet while streams are open. It returns how long to wait before it is called
// again, negative for never. It returns true if the connection is lost.
func (c *Conn) watchOverLocked() (next time.Duration, lost bool) {
	after, timeout := c.engine.pingAfter, c.engine.pingTimeout
	if after < 0 {
		return -1, false
	}
	now := c.now()
	quietSince := max(c.heard.Load(), c.pings.since)
	if left := after - time.Duration(now-quietSince); left > 0 {
		return left, false
	}
	if c.pings.probe == nil {
		c.probeLocked()
	}
	left := max(timeout-time.Duration(now-c.pings.probe.sent), after+timeout-time.Duration(now-quietSince))
	return left, left <= 0
}

// probeLocked begins a probe. The caller flushes the frame that it appends.
func (c *Conn) probeLocked() *probe {
	p := &c.pings
	now := c.now()
	if c.mayPingLocked(now) {
		p.pinged, p.acked, p.fresh = max(now, 1), false, false
		c.out.frame(xhttp2.FramePing, 0, 0, pingPayload[:])
	} else {
		c.peer.acks++
		c.out.frame(xhttp2.FrameSettings, 0, 0, nil)
	}
	p.probe = &probe{sent: now, done: make(chan struct{})}
	p.probing.Store(true)
	return p.probe
}

// mayPingLocked reports whether the server accepts a PING now.
func (c *Conn) mayPingLocked(now int64) bool {
	p := &c.pings
	return p.pinged == 0 || p.fresh && !p.strict || time.Duration(now-p.pinged) >= p.distance
}

var pingPayload = [8]byte{'p', 'e', 'e', 'r', 'p', 'o', 'o', 'l'}

// answered is called when something has come while a probe is under way. That may be anything, not only the answer to the
// probe.
func (c *Conn) answered() {
	c.mu.Lock()
	c.pings.concludeLocked(true)
	c.mu.Unlock()
	c.suspect.Store(0)
}

// ping handles a PING of the server, or the server's answer to ours.
func (c *Conn) ping(f *xhttp2.PingFrame) error {
	c.mu.Lock()
	if f.IsAck() {
		if f.Data == pingPayload {
			c.pings.acked = true
		}
		c.mu.Unlock()
		return nil
	}
	c.out.frame(xhttp2.FramePing, xhttp2.FlagPingAck, 0, f.Data[:])
	c.out.replies++
	c.unlockAndFlush()
	return c.checkReplies()
}

// sawDataLocked notes that HEADERS or DATA have come.
func (p *pings) sawDataLocked() { p.fresh = p.acked }

// Quiet reports whether the connection should be probed before it is used again, because nothing has come for SendPingTimeout
// or since an exchange failed.
func (c *Conn) Quiet() bool {
	if c.engine.pingAfter < 0 {
		return false
	}
	heard := c.heard.Load()
	return c.suspect.Load() == heard+1 || time.Duration(c.now()-heard) >= c.engine.pingAfter
}

// Check probes the connection and returns true if the server answers soon. If the server does not, the connection accepts no
// new streams. The streams that are open get the time that look gives them, because the server may only be slow. If ctx ends
// first, Check returns the cause of ctx, and the probe continues.
func (c *Conn) Check(ctx context.Context) (bool, error) {
	c.mu.Lock()
	if c.failed != nil {
		c.mu.Unlock()
		return false, nil
	}
	p := c.pings.probe
	if p == nil {
		p = c.probeLocked()
	}
	c.startReadingLocked()
	left := min(checkTimeout, c.engine.pingTimeout) - time.Duration(c.now()-p.sent)
	c.unlockAndFlush()
	giveUp := time.NewTimer(max(0, left))
	defer giveUp.Stop()
	select {
	case <-p.done:
	case <-giveUp.C:
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	select {
	case <-p.done:
		if p.ok {
			return true, nil
		}
	default:
	}
	c.over(ReasonPingTimeout)
	return false, nil
}
