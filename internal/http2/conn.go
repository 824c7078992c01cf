package http2

//lint:file-ignore SA1019 no other exported type holds what a GOAWAY says

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Reason says why a connection accepts no new streams. It can be a metric's label.
type Reason string

// The reasons that a Conn finds by itself. Its owner may pass others to [Conn.Retire].
const (
	ReasonPeerClosed  Reason = "peer_closed"
	ReasonGoAway      Reason = "goaway"       // the server sent GOAWAY
	ReasonPingTimeout Reason = "ping_timeout" // the server did not answer a probe
	ReasonProtocol    Reason = "protocol"     // the server broke the protocol, or reset a stream because we broke it
	ReasonStreamIDs   Reason = "stream_ids"   // few stream numbers are left
)

var (
	// ErrLost ends the exchanges on a connection whose server did not answer a ping. It has the text of net/http's error.
	ErrLost = errors.New("http2: client connection lost")

	errClosed = errors.New("http2: client connection force closed via ClientConn.Close")
)

// Known holds what other connections to the same server have shown.
type Known struct {
	Streams   int           // how many the server allows at a time; 0 if that is not known
	PingAfter time.Duration // how far apart the server wants pings without data; 0 if that is not known
}

// Conn is an HTTP/2 connection that runs exchanges. It is safe for concurrent use.
type Conn struct {
	engine *Engine
	nc     net.Conn
	tls    *tls.ConnectionState // nil without TLS
	born   time.Time
	outlet *outlet   // below nc, or used instead of nc; nil if a Write may block
	r      io.Reader // nc, or an inlet
	w      io.Writer // nc, or the outlet

	heard   atomic.Int64 // when the last bytes came; see now for the clock
	suspect atomic.Int64 // heard plus one when an exchange last failed; 0 if none did; see Quiet
	ended   atomic.Pointer[Reason]
	hung    atomic.Bool                        // nc is closed or is being closed
	away    atomic.Pointer[xhttp2.GoAwayError] // the server's last GOAWAY

	in input // only the reading goroutine uses it

	// mu guards the fields below, and those fields of every Exchange that say so. A goroutine that holds mu does not block,
	// calls no function of the connection's owner and no hook, and takes no other lock.
	mu        sync.Mutex
	retire    func(Reason) // nil before Watch, and after it has been called
	resize    func(int)
	told      int                  // what tellCapacity last passed to resize; -1 before that
	failed    error                // why the connection failed or was closed; nil if it is open
	reading   readingState         // see rest.go
	solo      solo                 // see callers.go
	alarm     Alarm                // nil if the reading goroutine never rests
	streams   map[uint32]*Exchange // the exchanges whose streams are open on either side, by the stream's number
	nextID    uint32
	lingering []*Exchange // exchanges that are over and whose streams are open; see lingerLocked
	queue     []*Exchange // exchanges that wait for a stream, in strict mode
	granted   int         // how many exchanges have left the queue and have not opened their stream yet
	out       output
	encoder   compressor // of fields that are sent
	window    sendWindow // of the connection
	unread    recvWindow // of the connection
	grown     int64      // by how many bytes the windows of all streams have grown
	peer      peerSettings
	pings     pings
}

// NewConn starts HTTP/2 on nc and takes ownership of nc. If ctx ends before the first bytes are written, NewConn closes nc
// and returns the cause of ctx.
func (e *Engine) NewConn(ctx context.Context, nc net.Conn, known Known) (*Conn, error) {
	if known.Streams <= 0 {
		known.Streams = initialStreams
	}
	c := &Conn{
		engine: e, nc: nc, born: time.Now(),
		streams: make(map[uint32]*Exchange), nextID: 1,
		window: initialWindow,
		unread: recvWindow{size: e.connWindow, left: e.connWindow},
		peer:   newPeerSettings(uint32(min(known.Streams, math.MaxInt32))),
	}
	c.pings.init(known.PingAfter)
	c.out.turn.L = &c.mu
	c.encoder = newCompressor(&c.out, e.encoderTable)
	c.in.decoder = hpack.NewDecoder(e.decoderTable, c.in.field)
	if t, ok := nc.(interface{ ConnectionState() tls.ConnectionState }); ok {
		state := t.ConnectionState()
		c.tls = &state
	}
	c.r, c.w = nc, nc
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	err := c.write(e.preface)
	if !stop() {
		nc.Close()
		return nil, context.Cause(ctx)
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	if e.writeTimeout == 0 {
		c.reachSocket()
	}
	c.mu.Lock()
	c.startReadingLocked()
	c.mu.Unlock()
	return c, nil
}

// reachSocket makes c use its socket through an inlet and an outlet, if it knows the types of nc's layers.
func (c *Conn) reachSocket() {
	switch nc := c.nc.(type) {
	case *net.TCPConn:
		if rw := c.openSocket(nc); rw != nil {
			c.r, c.w = rw, rw
		}
	case *tls.Conn:
		if under, ok := nc.NetConn().(interface {
			GoThrough(func(*net.TCPConn) io.ReadWriter)
		}); ok {
			under.GoThrough(c.openSocket)
		}
	}
}

// openSocket returns what reads from tcp and writes to it, or nil if the system does not support that.
func (c *Conn) openSocket(tcp *net.TCPConn) io.ReadWriter {
	in, out := newInlet(tcp), newOutlet(tcp)
	if in == nil || out == nil {
		return nil
	}
	c.outlet = out
	return struct {
		io.Reader
		io.Writer
	}{in, out}
}

// Watch sets the functions that tell the connection's owner about changes. The connection calls retire when it stops
// accepting new streams, once. It calls resize when it serves another number of exchanges at a time. Watch returns the number to
// start with. The connection may call the functions on any goroutine, and before Watch has returned.
func (c *Conn) Watch(retire func(Reason), resize func(int)) int {
	c.mu.Lock()
	c.retire, c.resize = retire, resize
	n := c.capacityLocked()
	c.told = -1
	none := c.noneLocked()
	c.mu.Unlock()
	c.tellEnd()
	if none {
		resize(0) // the server has already said that it allows none
	}
	return n
}

// NetConn returns the net.Conn below: the TLS connection if the connection uses TLS.
func (c *Conn) NetConn() net.Conn { return c.nc }

// Ended returns why the connection accepts no new streams, or "" if it accepts them.
func (c *Conn) Ended() Reason {
	if r := c.ended.Load(); r != nil {
		return *r
	}
	return ""
}

// TurnedOver reports whether the server has sent GOAWAY(NO_ERROR) after it had served at least one stream. Servers do so to
// end a connection after some time of use.
func (c *Conn) TurnedOver() bool {
	away := c.away.Load()
	return away != nil && away.ErrCode == xhttp2.ErrCodeNo && away.LastStreamID > 0
}

// Failure returns the error of an exchange that would be the first of the connection and begins now. It returns nil if there
// is none, or if the connection has been retired or closed without one.
func (c *Conn) Failure() error {
	if away := c.away.Load(); away != nil {
		return turnedAway(1, away)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed == errClosed { // by its owner, because it had retired
		return nil
	}
	return c.failed
}

// Retire makes the connection accept no new streams.
func (c *Conn) Retire(why Reason) { c.over(why) }

// Close closes the connection at once, and ends all exchanges on it.
func (c *Conn) Close() error {
	c.fail(errClosed, ReasonPeerClosed)
	c.mu.Lock()
	rested, alarm := c.reading == resting, c.alarm
	c.reading = reading // so that nobody starts the reading goroutine again
	c.mu.Unlock()
	if rested && alarm != nil {
		alarm.Clear()
	}
	return c.hangUp()
}

// now returns the time of the connection's clock: nanoseconds since the connection began.
func (c *Conn) now() int64 { return int64(time.Since(c.born)) }

// over makes the connection accept no new streams, and tells its owner why. Only the first reason counts.
func (c *Conn) over(why Reason) {
	if c.ended.CompareAndSwap(nil, &why) {
		c.tellEnd()
	}
}

// tellEnd calls retire if the connection accepts no new streams. Both over and Watch call it, perhaps at the same time, and it
// calls retire only once.
func (c *Conn) tellEnd() {
	c.mu.Lock()
	why, retire := c.ended.Load(), c.retire
	if why != nil {
		c.retire = nil
	}
	c.mu.Unlock()
	if why != nil && retire != nil {
		retire(*why)
	}
}

// fail ends the connection and every exchange on it. Only the first error counts. fail does not close nc.
func (c *Conn) fail(err error, why Reason) {
	c.mu.Lock()
	if c.failed != nil {
		c.mu.Unlock()
		return
	}
	c.failed = err
	if code, ok := err.(xhttp2.ConnectionError); ok {
		c.out.goAway(xhttp2.ErrCode(code))
	}
	c.mu.Unlock()
	c.over(why) // before the exchanges end, so that their next attempts do not get this connection
	if away := c.away.Load(); away != nil && (err == io.ErrUnexpectedEOF || isNetRead(err)) {
		err = *away
	}
	c.mu.Lock()
	for _, x := range c.streams {
		x.protocol = x.protocol || why == ReasonProtocol
		x.abortLocked(err, noReset)
	}
	for _, x := range c.queue {
		x.abortLocked(err, noReset)
	}
	c.queue = nil
	for _, x := range c.peer.waiting {
		x.cond.Broadcast()
	}
	c.peer.arriveLocked()
	c.out.turn.Broadcast()
	c.pings.endLocked()
	c.mu.Unlock()
}

// isNetRead reports whether err is an error of the network while reading.
func isNetRead(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "read"
}
