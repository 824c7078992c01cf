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
	window     int64  // of a stream, to begin with
	headerList uint64 // bytes; math.MaxUint64: it has not said
	connect    bool   // extended CONNECT (RFC 8441)
	acks       int    // of our SETTINGS, that are still to come
	roundTrip  int64  // nanoseconds, by the acknowledgment of ours; 0: not known yet
	waiting    []*Exchange
	arrived    chan struct{} // closed when the first SETTINGS have come, or never will; nil: nobody waits for that
}

func newPeerSettings(streams uint32) peerSettings {
	return peerSettings{
		streams: streams, maxFrame: defaultMaxFrame, window: initialWindow, headerList: math.MaxUint64, acks: 1,
	}
}

// settings is a SETTINGS frame that has come. The pool learns first that there is less room, and last that there is
// more, so that nobody comes who has to be turned away.
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

// willShrink says whether SETTINGS lower the number of streams, and to what.
func (c *Conn) willShrink(f *xhttp2.SettingsFrame) (capacity int, less bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was, now := c.peer.streams, c.streamsAfterLocked(f)
	c.peer.streams = now
	capacity = c.capacityLocked()
	c.peer.streams = was
	return capacity, now < was
}

// streamsAfterLocked returns how many streams the server allows once f is in force.
func (c *Conn) streamsAfterLocked(f *xhttp2.SettingsFrame) uint32 {
	if n, ok := f.Value(xhttp2.SettingMaxConcurrentStreams); ok {
		return n
	}
	if !c.peer.seen {
		return defaultStreams
	}
	return c.peer.streams
}

// applyLocked puts SETTINGS into force, in their order.
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
			c.encoder.SetMaxDynamicTableSize(s.Val)
		case xhttp2.SettingEnableConnectProtocol:
			// Only the first SETTINGS count, as with net/http: an exchange that needs to know waits for those.
			c.peer.connect = c.peer.connect || !c.peer.seen && s.Val == 1
		case xhttp2.SettingInitialWindowSize:
			return c.resizeWindowsLocked(int64(s.Val))
		}
		return nil
	})
}

// resizeWindowsLocked changes what the server takes on each stream, also on those that are open (section 6.9.2).
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

// settingsAcked is the server's acknowledgment of ours.
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

// leastRoundTrip is what no round trip is taken to be shorter than, in nanoseconds: windows that bound what the server
// sends in so short a time are worth being larger, as fewer frames open them.
const leastRoundTrip = 1e6

// tellCapacity tells the pool how many exchanges the connection serves at a time.
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

// capacityLocked is how many exchanges the connection serves at a time.
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

// noneLocked says that the server allows no streams at all, so that requests would wait for ever.
func (c *Conn) noneLocked() bool { return c.peer.seen && c.peer.streams == 0 && !c.engine.strict }

// AwaitSettings waits for the server's first SETTINGS, which say how many streams it allows. It returns why the connection
// has failed, or the cause of ctx, if that comes first.
func (c *Conn) AwaitSettings(ctx context.Context) error {
	c.mu.Lock()
	if c.peer.seen || c.failed != nil {
		defer c.mu.Unlock()
		return c.failed
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
	return c.failed
}

func (p *peerSettings) arriveLocked() {
	if p.arrived != nil {
		close(p.arrived)
		p.arrived = nil
	}
}
