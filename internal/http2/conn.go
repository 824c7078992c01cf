package http2

//lint:file-ignore SA1019 see engine.go

import (
	"context"
	"crypto/tls"
	"errors"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	xhttp2 "golang.org/x/net/http2"
)

// Reason says why a connection takes no new stream. It is fit for a metric's label.
type Reason string

// The reasons that a connection finds itself.
const (
	ReasonPeerClosed  Reason = "peer_closed"
	ReasonGoAway      Reason = "goaway"       // the server said so
	ReasonPingTimeout Reason = "ping_timeout" // the server did not answer
	ReasonProtocol    Reason = "protocol"     // the server has broken the protocol, or has reset a stream because we had
	ReasonStreamIDs   Reason = "stream_ids"   // there are few left
)

// maxStreamID leaves some of the 2^31 stream numbers to requests that are on their way.
const maxStreamID = math.MaxInt32 - 1<<16

// ErrLost is what ends exchanges on a connection that did not answer a ping, in net/http's words.
var ErrLost = errors.New("http2: client connection lost")

// errNoStreams ends requests that wait in a connection whose server has come to allow none.
var errNoStreams = errors.New("peerpool: the server allows no streams on the connection")

// Conn is a connection with exchanges on it. It is safe for concurrent use.
type Conn struct {
	engine *Engine
	cc     *xhttp2.ClientConn
	nc     net.Conn
	wire   *wire
	born   time.Time

	heard   atomic.Int64 // when the last bytes came; see now
	suspect atomic.Int64 // heard when something went wrong, plus one: while that stays, nothing has come since; 0: nothing did
	lost    atomic.Bool  // the server did not answer a ping
	ended   atomic.Pointer[Reason]
	goAway  atomic.Pointer[goAway]

	// mu guards what follows. No function of x/net, and none of those that Watch was given, is called under it.
	mu       sync.Mutex
	retire   func(Reason)
	resize   func(int)
	allowed  uint32 // streams, by the server
	settled  bool   // its first SETTINGS have come
	open     int    // exchanges
	since    int64  // when open left zero
	monitor  *time.Timer
	watching bool      // monitor is armed, or at work
	latest   *Exchange // head of the list of those open
	check    *check    // under way
}

// goAway is what the server's GOAWAY says.
type goAway struct{ last, code uint32 }

// NewConn starts HTTP/2 on nc, which it then owns. The connection's goroutine belongs to x/net and ends with the
// connection. streams is how many the server is known to allow on such connections, 0 if that is not known. If ctx ends
// before the first bytes are written, nc is closed and the cause returned.
func (e *Engine) NewConn(ctx context.Context, nc net.Conn, streams int) (*Conn, error) {
	if streams <= 0 {
		streams = initialStreams
	}
	c := &Conn{engine: e, nc: nc, born: time.Now(), allowed: uint32(streams)}
	c.wire = newWire(nc, c)
	var seen net.Conn = c.wire
	if t, ok := nc.(interface{ ConnectionState() tls.ConnectionState }); ok {
		seen = tlsWire{c.wire, t.ConnectionState()}
	}
	stop := context.AfterFunc(ctx, func() { c.wire.Close() })
	cc, err := e.t.NewClientConn(seen)
	if !stop() {
		if err == nil {
			cc.Close()
		}
		return nil, context.Cause(ctx)
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	c.cc = cc
	return c, nil
}

// Watch has the connection say, at most once each, when it takes no new stream and, whenever that changes, how many
// it serves at a time; it returns the number to start with. The functions may be called on any goroutine and before
// Watch has returned.
func (c *Conn) Watch(retire func(Reason), resize func(int)) int {
	c.mu.Lock()
	c.retire, c.resize = retire, resize
	n := c.capacityLocked()
	none := c.noneLocked()
	c.mu.Unlock()
	if r := c.ended.Load(); r != nil {
		retire(*r)
	}
	if none {
		resize(0) // which is known
	}
	return n
}

// NetConn returns the connection below, with TLS if there is TLS.
func (c *Conn) NetConn() net.Conn { return c.nc }

// Ended returns why the connection takes no new stream, or "" if it does.
func (c *Conn) Ended() Reason {
	if r := c.ended.Load(); r != nil {
		return *r
	}
	return ""
}

// TurnedOver says that the server, having served the connection for a while, has said that it takes no more streams.
func (c *Conn) TurnedOver() bool {
	away := c.goAway.Load()
	return away != nil && away.code == codeNo && away.last > 0
}

// Retire has the connection take no new stream.
func (c *Conn) Retire(why Reason) { c.over(why) }

// Close closes the connection at once, with whatever goes on there.
func (c *Conn) Close() error {
	c.mu.Lock()
	if c.monitor != nil {
		c.monitor.Stop()
	}
	c.mu.Unlock()
	return c.cc.Close()
}

// now is the connection's clock, in nanoseconds.
func (c *Conn) now() int64 { return int64(time.Since(c.born)) }

// over says that the connection takes no new stream. The first reason counts.
func (c *Conn) over(why Reason) {
	if !c.ended.CompareAndSwap(nil, &why) {
		return
	}
	c.mu.Lock()
	retire := c.retire
	c.mu.Unlock()
	if retire != nil {
		retire(why)
	}
}

// saw is told of the frames that are looked at.
func (c *Conn) saw(f frame) {
	switch f.kind {
	case frameSettings:
		if f.flags&flagAck == 0 {
			c.sawSettings(f)
		}
	case frameGoAway:
		if last, code, ok := f.goAway(); ok {
			c.goAway.Store(&goAway{last, code})
			c.over(ReasonGoAway)
		}
	case frameRSTStream:
		if code, ok := f.code(); ok && code == codeProtocol {
			c.over(ReasonProtocol) // as x/net does: who is wrong is hard to say
		}
	}
}

// sawSettings learns how many streams the server allows (RFC 9113 section 6.5.2).
func (c *Conn) sawSettings(f frame) {
	var stuck []*Exchange
	c.mu.Lock()
	allowed, ok := f.setting(settingMaxConcurrentStreams)
	switch {
	case ok:
		c.allowed = allowed
	case !c.settled:
		c.allowed = defaultStreams
	}
	c.settled = true
	if c.noneLocked() {
		for x := c.latest; x != nil; x = x.next {
			if x.stream.Load() == 0 {
				stuck = append(stuck, x)
			}
		}
	}
	capacity, resize := c.capacityLocked(), c.resize
	c.mu.Unlock()
	if resize != nil {
		resize(capacity)
	}
	for _, x := range stuck {
		x.Cancel(errNoStreams)
	}
}

// capacityLocked is how many exchanges the connection serves at a time.
func (c *Conn) capacityLocked() int {
	n := int(min(c.allowed, math.MaxInt32))
	if c.engine.strict {
		n = math.MaxInt32
	}
	if limit := c.engine.maxStreams; limit > 0 {
		n = min(n, limit)
	}
	return n
}

// noneLocked says that the server allows no streams at all, so that requests would wait for ever.
func (c *Conn) noneLocked() bool { return c.settled && c.allowed == 0 && !c.engine.strict }
