package http2

//lint:file-ignore SA1019 GoAwayError is the type that callers know the error by, as net/http's is not exported

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

var (
	// ErrLost is what ends exchanges on a connection that did not answer a ping, in net/http's words.
	ErrLost = errors.New("http2: client connection lost")

	errClosed = errors.New("http2: client connection force closed via ClientConn.Close")
)

// Known is what other connections to the same server have shown.
type Known struct {
	Streams   int           // that it allows at a time; 0: not known
	PingAfter time.Duration // the least distance of pings without data that it bears; 0: not known
}

// Conn is a connection with exchanges on it. It is safe for concurrent use.
type Conn struct {
	engine *Engine
	nc     net.Conn
	tls    *tls.ConnectionState // nil without TLS
	born   time.Time
	outlet *outlet   // under nc, or in its place; nil: a Write may block
	w      io.Writer // nc, or the outlet

	heard   atomic.Int64 // when the last bytes came; see now
	suspect atomic.Int64 // heard when something went wrong, plus one: while that stays, nothing has come since; 0: nothing did
	ended   atomic.Pointer[Reason]
	hung    atomic.Bool                        // nc is closed, or being closed
	away    atomic.Pointer[xhttp2.GoAwayError] // the server's last GOAWAY

	in input // belongs to the reading goroutine

	// mu guards what follows, and the marked fields of every exchange. Nothing that blocks, no function of the
	// connection's owner and nobody's hook is called under it, and no other lock is taken.
	mu        sync.Mutex
	retire    func(Reason)
	resize    func(int)
	told      int                  // resize, last; -1: nothing yet. It is called by the reading goroutine
	failed    error                // why the connection is over; nil: it is not
	reading   readingState         // see receive.go
	alarm     Alarm                // nil: there is always somebody who reads
	streams   map[uint32]*Exchange // those that are open on either side
	nextID    uint32
	lingering []*Exchange // those of streams whose exchanges are over; see lingerLocked
	queue     []*Exchange // that wait for a stream, in strict mode
	granted   int         // of those that have left the queue and have not opened their stream yet
	out       output
	encoder   fieldEncoder // writes to out
	window    sendWindow   // of the connection
	unread    recvWindow   // of the connection
	grown     int64        // by how many bytes windows of streams have grown
	peer      peerSettings
	pings     pings
}

// NewConn starts HTTP/2 on nc, which it then owns. If ctx ends before the first bytes are written, nc is closed and the
// cause returned.
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
	c.encoder.Encoder = hpack.NewEncoder(&c.out)
	c.encoder.SetMaxDynamicTableSizeLimit(e.encoderTable)
	c.in.decoder = hpack.NewDecoder(e.decoderTable, c.in.field)
	if t, ok := nc.(interface{ ConnectionState() tls.ConnectionState }); ok {
		state := t.ConnectionState()
		c.tls = &state
	}
	c.w = nc
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
		c.findOutlet()
	}
	c.mu.Lock()
	c.startReadingLocked()
	c.mu.Unlock()
	return c, nil
}

// findOutlet puts an outlet in the place of a socket that we know.
func (c *Conn) findOutlet() {
	switch nc := c.nc.(type) {
	case *net.TCPConn:
		if c.outlet = newOutlet(nc); c.outlet != nil {
			c.w = c.outlet
		}
	case *tls.Conn:
		under, ok := nc.NetConn().(interface {
			WriteThrough(func(*net.TCPConn) io.Writer)
		})
		if !ok {
			return
		}
		under.WriteThrough(func(tcp *net.TCPConn) io.Writer {
			if c.outlet = newOutlet(tcp); c.outlet != nil {
				return c.outlet
			}
			return nil
		})
	}
}

// Watch has the connection say, at most once each, when it takes no new stream and, whenever that changes, how many
// it serves at a time; it returns the number to start with. The functions may be called on any goroutine and before
// Watch has returned.
func (c *Conn) Watch(retire func(Reason), resize func(int)) int {
	c.mu.Lock()
	c.retire, c.resize = retire, resize
	n := c.capacityLocked()
	c.told = -1
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
	away := c.away.Load()
	return away != nil && away.ErrCode == xhttp2.ErrCodeNo && away.LastStreamID > 0
}

// Retire has the connection take no new stream.
func (c *Conn) Retire(why Reason) { c.over(why) }

// Close closes the connection at once, with whatever goes on there.
func (c *Conn) Close() error {
	c.fail(errClosed, ReasonPeerClosed)
	c.mu.Lock()
	rested, alarm := c.reading == resting, c.alarm
	c.reading = reading // and nobody else begins to
	c.mu.Unlock()
	if rested && alarm != nil {
		alarm.Clear()
	}
	return c.hangUp()
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

// fail ends the connection and every exchange on it. The first error counts. It does not close nc.
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
	c.over(why) // first, so that nobody who is sent away comes back
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

// isNetRead says that reading has failed with an error of the network.
func isNetRead(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "read"
}
