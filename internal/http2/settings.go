package http2

import (
	"context"
	"math"

	xhttp2 "golang.org/x/net/http2"
)

// Settings (RFC 9113 section 6.5).

// peerSettings is what the server has set. Conn.mu guards it.
type peerSettings struct {
	seen       bool // the first SETTINGS have come
	streams    uint32
	maxFrame   uint32
	window     int64  // the window that a stream begins with
	headerList uint64 // bytes; math.MaxUint64 if the server has not set it
	connect    bool   // extended CONNECT (RFC 8441)
	acks       int    // how many acknowledgments of our SETTINGS are still to come
	roundTrip  int64  // nanoseconds until the first acknowledgment of our SETTINGS; 0 if it has not come
	waiting    []*Exchange
	arrived    chan struct{} // closed when the first SETTINGS have come, or never will; nil if nobody waits
}

func newPeerSettings(streams uint32) peerSettings {
	return peerSettings{
		streams: streams, maxFrame: defaultMaxFrame, window: initialWindow, headerList: math.MaxUint64, acks: 1,
	}
}

// settings handles a SETTINGS frame. The pool learns about fewer streams before the settings apply, and about more streams
// after that, so that it sends no exchange that we would have to turn away.
func (c *Conn) settings(f *xhttp2.SettingsFrame) error {
	if f.IsAck() {
		return c.settingsAcked()
	}
	if err := f.ForeachSetting(func(s xhttp2.Setting) error { return s.Valid() }); err != nil {
		return err
	}
	if capacity, less := c.willShrink(f); less {
		c.tellCapacity(capacity)
	}
	c.mu.Lock()
	err := c.applyLocked(f)
	first := !c.peer.seen
	c.peer.seen = true
	waiting := c.peer.waiting
	c.peer.waiting = nil
	for _, x := range waiting {
		x.cond.Broadcast()
	}
	c.peer.arriveLocked()
	if first && c.peer.streams == 0 && !c.engine.strict {
		c.turnAwayLocked()
	}
	c.grantLocked()
	capacity := c.capacityLocked()
	c.out.frame(xhttp2.FrameSettings, xhttp2.FlagSettingsAck, 0, nil)
	c.out.replies++
	c.unlockAndFlush()
	if err == nil {
		c.tellCapacity(capacity)
	}
	return err
}

// willShrink reports whether f lowers the number of streams. It returns how many exchanges the connection will then serve.
func (c *Conn) willShrink(f *xhttp2.SettingsFrame) (capacity int, less bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was, now := c.peer.streams, c.streamsAfterLocked(f)
	c.peer.streams = now
	capacity = c.capacityLocked()
	c.peer.streams = was
	return capacity, now < was
}

// streamsAfterLocked returns how many streams the server allows once f applies.
func (c *Conn) streamsAfterLocked(f *xhttp2.SettingsFrame) uint32 {
	if n, ok := f.Value(xhttp2.SettingMaxConcurrentStreams); ok {
		return n
	}
	if !c.peer.seen {
		return defaultStreams
	}
	return c.peer.streams
}

// applyLocked applies the settings of f, in their order.
func (c *Conn) applyLocked(f *xhttp2.SettingsFrame) error {
	if !c.peer.seen {
		c.peer.streams = defaultStreams
	}
	return f.ForeachSetting(func(s xhttp2.Setting) error {
		switch s.ID {
		case xhttp2.SettingMaxConcurrentStreams:
			c.peer.streams = s.Val
		case xhttp2.SettingMaxFrameSize:
			c.peer.maxFrame = s.Val
		case xhttp2.SettingMaxHeaderListSize:
			c.peer.headerList = uint64(s.Val)
		case xhttp2.SettingHeaderTableSize:
			c.encoder.setTableSize(s.Val)
		case xhttp2.SettingEnableConnectProtocol:
			// Only the first SETTINGS count, as with net/http: an exchange that needs extended CONNECT waits only for these.
			c.peer.connect = c.peer.connect || !c.peer.seen && s.Val == 1
		case xhttp2.SettingInitialWindowSize:
			return c.resizeWindowsLocked(int64(s.Val))
		}
		return nil
	})
}

// resizeWindowsLocked sets the window that streams begin with. It changes the windows of the open streams, too (section
// 6.9.2).
func (c *Conn) resizeWindowsLocked(n int64) error {
	delta := n - c.peer.window
	c.peer.window = n
	for _, x := range c.streams {
		if !x.window.add(delta) {
			return xhttp2.ConnectionError(xhttp2.ErrCodeFlowControl)
		}
	}
	c.wakeUploadsLocked()
	return nil
}

// settingsAcked handles the server's acknowledgment of our SETTINGS.
func (c *Conn) settingsAcked() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.peer.acks == 0 {
		return xhttp2.ConnectionError(xhttp2.ErrCodeProtocol)
	}
	c.peer.acks--
	if c.peer.roundTrip == 0 {
		c.peer.roundTrip = max(c.now(), leastRoundTrip)
	}
	return nil
}

// leastRoundTrip is the shortest round trip, in nanoseconds, that we assume. If a round trip is shorter, larger windows are
// worth their memory, because fewer frames open them.
const leastRoundTrip = 1e6

// tellCapacity tells the pool how many exchanges the connection serves at a time, if that has changed. Only the reading
// goroutine calls it.
func (c *Conn) tellCapacity(n int) {
	c.mu.Lock()
	resize, changed := c.resize, n != c.told
	if resize != nil {
		c.told = n
	}
	c.mu.Unlock()
	if resize != nil && changed {
		resize(n)
	}
}

// capacityLocked returns how many exchanges the connection serves at a time.
func (c *Conn) capacityLocked() int {
	n := int(min(c.peer.streams, math.MaxInt32))
	if c.engine.strict {
		n = math.MaxInt32
	}
	if limit := c.engine.maxStreams; limit > 0 {
		n = min(n, limit)
	}
	return n
}

// noneLocked reports whether the server allows no streams at all, so that requests would wait forever.
func (c *Conn) noneLocked() bool { return c.peer.seen && c.peer.streams == 0 && !c.engine.strict }

// AwaitSettings waits for the server's first SETTINGS, which say how many streams the server allows. If the connection fails
// first, AwaitSettings returns why. If it fails later, Ended tells. If ctx ends first, AwaitSettings returns the cause of ctx.
func (c *Conn) AwaitSettings(ctx context.Context) error {
	c.mu.Lock()
	if c.peer.seen || c.failed != nil {
		defer c.mu.Unlock()
		return c.unsettledLocked()
	}
	if c.peer.arrived == nil {
		c.peer.arrived = make(chan struct{})
	}
	arrived := c.peer.arrived
	c.mu.Unlock()
	select {
	case <-arrived:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.unsettledLocked()
}

// unsettledLocked returns why the connection has failed before the server's SETTINGS came, or nil if they did.
func (c *Conn) unsettledLocked() error {
	if c.peer.seen {
		return nil
	}
	return c.failed
}

func (p *peerSettings) arriveLocked() {
	if p.arrived != nil {
		close(p.arrived)
		p.arrived = nil
	}
}
