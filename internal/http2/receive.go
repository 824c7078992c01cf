package http2

import (
	"bufio"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/peerpool/peerpool/internal/exchange"
	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Receiving. One goroutine of the connection reads the frames and handles each of them.

// readBuffer is how many bytes are read at a time: a whole record of TLS.
const readBuffer = 16 << 10

// input is the state that only the goroutine that reads uses: the reading goroutine, or a caller (see callers.go).
type input struct {
	c       *Conn
	br      *bufio.Reader
	framer  *xhttp2.Framer
	decoder *hpack.Decoder
	between bool // the next byte is the first one of a frame
	from    origin
	looker  Looker // nil if there is none
	started bool   // the server's preface, its first SETTINGS, has come
	err     error
	ready   []*Exchange // exchanges to wake, because something has come for them
	block   block
	rest    []byte // fragments of a header block whose end has not come
	names   map[string]string
}

// origin says what Read reads.
type origin uint8

const (
	whatComes      origin = iota // it waits
	whatHasArrived               // it does not wait
	whatIsHeld                   // it does not call the system
)

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, readBuffer) }}

// read is the reading goroutine. It ends when the connection rests, when it steps aside, or when the connection has failed.
func (c *Conn) read() {
	c.mu.Lock()
	alarm := c.alarm
	c.mu.Unlock()
	if alarm != nil {
		alarm.Clear()
	}
	c.readOn()
	c.in.begin(c)
	c.readAll()
}

// settle is a reading goroutine for a connection from which nobody reads and which should rest. It goes on as read does if
// something has arrived.
func (c *Conn) settle() {
	c.nc.SetReadDeadline(longAgo)
	c.readAll()
}

// readAll reads until the reading goroutine is to end.
func (c *Conn) readAll() {
	for {
		err := c.readBatch()
		c.deliver()
		switch {
		case err == nil:
		case err == errRest:
			if c.rest() {
				return
			}
		default:
			c.failReading(err)
			c.hangUp()
			c.in.end()
			return
		}
	}
}

// begin takes buffers from their pools, unless there are some that a caller has read into.
func (in *input) begin(c *Conn) {
	if in.br != nil {
		return
	}
	in.c = c
	in.br = readers.Get().(*bufio.Reader)
	in.br.Reset(in)
	in.framer = xhttp2.NewFramer(nil, in.br)
	in.framer.SetMaxReadFrameSize(c.engine.maxFrame)
	in.framer.SetReuseFrames()
}

// end gives the buffers back.
func (in *input) end() {
	in.br.Reset(nil)
	readers.Put(in.br)
	in.br, in.framer, in.rest, in.ready, in.names = nil, nil, nil, nil, nil
	in.block = block{}
}

// Read reads from the connection. It returns errRest if the read deadline passes between two frames, or while a caller reads.
func (in *input) Read(p []byte) (int, error) {
	c := in.c
	for {
		n, err := in.receive(p)
		if n > 0 {
			c.heard.Store(c.now())
			if c.pings.probing.Load() {
				c.answered()
			}
			return n, nil
		}
		if err == nil {
			continue
		}
		if in.from == whatIsHeld {
			return 0, errRest
		}
		if !exchange.IsTimeout(err) {
			in.err = err
			return 0, err
		}
		c.mu.Lock()
		failed := c.out.err
		if failed == nil {
			failed = c.failed
		}
		byCaller := c.reading == lent
		if c.solo.cut {
			failed = nil // the deadline has ended the wait of one caller, and others may still get a response
		}
		c.mu.Unlock()
		if failed != nil {
			in.err = failed
			return 0, failed
		}
		if byCaller || in.between && in.br.Buffered() == 0 {
			return 0, errRest
		}
		c.readOn()
	}
}

func (in *input) receive(p []byte) (int, error) {
	switch in.from {
	case whatIsHeld:
		return in.looker.ReadHeld(p)
	case whatHasArrived:
		return in.looker.Read(p)
	}
	return in.c.r.Read(p)
}

// readOn removes the read deadline. If the connection can no longer be written to, readOn sets a deadline of drainWait
// instead: that limit must stay when others are removed.
func (c *Conn) readOn() {
	c.nc.SetReadDeadline(time.Time{})
	c.mu.Lock()
	failed := c.out.err != nil
	c.mu.Unlock()
	if failed {
		c.nc.SetReadDeadline(time.Now().Add(drainWait))
	}
}

// failReading ends the connection after reading has failed with err. It does not close nc.
func (c *Conn) failReading(err error) {
	c.engine.countReadError(err)
	why := ReasonPeerClosed
	switch {
	case c.in.err == nil: // the network did not fail: the bytes that came are wrong
		why = ReasonProtocol
		switch err {
		case io.EOF, io.ErrUnexpectedEOF: // the frame is shorter than its fields
			err = xhttp2.ConnectionError(xhttp2.ErrCodeFrameSize)
		}
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	c.fail(err, why)
}

// readBatch reads frames until neither the buffer nor crypto/tls holds a complete one.
func (c *Conn) readBatch() error {
	for {
		if err := c.readFrame(); err != nil {
			return err
		}
		if !c.in.whole() && !c.in.takeHeld() {
			return nil
		}
	}
}

// takeHeld fills the buffer with what crypto/tls holds, up to a complete frame. It returns false if there is none. A server that
// answers several requests often sends several records of TLS, and crypto/tls reads them together.
func (in *input) takeHeld() bool {
	if in.looker == nil || in.exceeds() {
		return false
	}
	before := in.from
	in.from = whatIsHeld
	for !in.whole() && !in.exceeds() {
		if _, err := in.br.Peek(in.br.Buffered() + 1); err != nil {
			break // if it is not that nothing is held, the next Read fails, too
		}
	}
	in.from = before
	return in.whole()
}

// whole reports whether the buffer holds a complete frame.
func (in *input) whole() bool {
	n := in.br.Buffered()
	return n >= frameHead && n >= in.frameSize()
}

// frameSize returns the size of the frame with which the buffer begins. The buffer must hold its head.
func (in *input) frameSize() int {
	p, _ := in.br.Peek(3)
	return frameHead + (int(p[0])<<16 | int(p[1])<<8 | int(p[2]))
}

// readFrame reads one frame and handles it.
func (c *Conn) readFrame() error {
	in := &c.in
	in.between = true
	if _, err := in.br.Peek(1); err != nil {
		return err
	}
	in.between = false
	fh, err := in.framer.ReadFrameHeader()
	if err != nil {
		return err
	}
	if !in.started && fh.Type != xhttp2.FrameSettings {
		return xhttp2.ConnectionError(xhttp2.ErrCodeProtocol)
	}
	if fh.Type == xhttp2.FrameData {
		return c.data(fh)
	}
	f, err := in.framer.ReadFrameForHeader(fh)
	if stream, ok := err.(xhttp2.StreamError); ok {
		if stream.Cause == nil {
			stream.Cause = in.framer.ErrorDetail()
		}
		return c.streamBroken(stream)
	}
	if err != nil {
		return err
	}
	return c.handle(f)
}

// handle handles a frame (RFC 9113 section 6).
func (c *Conn) handle(f xhttp2.Frame) error {
	switch f := f.(type) {
	case *xhttp2.HeadersFrame:
		return c.headers(f)
	case *xhttp2.ContinuationFrame:
		return c.continuation(f)
	case *xhttp2.SettingsFrame:
		c.in.started = true
		if err := c.settings(f); err != nil {
			return err
		}
		return c.checkReplies()
	case *xhttp2.PingFrame:
		return c.ping(f)
	case *xhttp2.WindowUpdateFrame:
		return c.windowUpdate(f)
	case *xhttp2.RSTStreamFrame:
		return c.resetByServer(f)
	case *xhttp2.GoAwayFrame:
		c.goAway(f)
	case *xhttp2.PushPromiseFrame: // our SETTINGS forbid it
		return xhttp2.ConnectionError(xhttp2.ErrCodeProtocol)
	}
	return nil
}

// checkReplies returns an error, which ends the connection, if the server makes us answer many frames and does not read the
// answers.
func (c *Conn) checkReplies() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out.replies > maxReplies {
		return xhttp2.ConnectionError(xhttp2.ErrCodeEnhanceYourCalm)
	}
	return nil
}

// streamBroken ends a stream on which the server broke the protocol.
func (c *Conn) streamBroken(err xhttp2.StreamError) error {
	c.mu.Lock()
	idle := c.idleLocked(err.StreamID)
	if x := c.streams[err.StreamID]; x != nil {
		x.protocol = true
		x.abortLocked(err, err.Code)
	}
	c.unlockAndFlush()
	if idle {
		return xhttp2.ConnectionError(xhttp2.ErrCodeProtocol)
	}
	return nil
}

// windowUpdate handles a WINDOW_UPDATE (section 6.9).
func (c *Conn) windowUpdate(f *xhttp2.WindowUpdateFrame) error {
	c.mu.Lock()
	if f.StreamID == 0 {
		ok := c.window.add(int64(f.Increment))
		c.wakeUploadsLocked()
		c.mu.Unlock()
		if !ok {
			return xhttp2.ConnectionError(xhttp2.ErrCodeFlowControl)
		}
		return nil
	}
	x := c.streams[f.StreamID]
	if x == nil {
		idle := c.idleLocked(f.StreamID)
		c.mu.Unlock()
		if idle {
			return xhttp2.ConnectionError(xhttp2.ErrCodeProtocol)
		}
		return nil
	}
	if !x.window.add(int64(f.Increment)) {
		x.protocol = true
		x.abortLocked(xhttp2.StreamError{StreamID: x.id, Code: xhttp2.ErrCodeFlowControl}, xhttp2.ErrCodeFlowControl)
	} else if x.upload != nil {
		x.cond.Broadcast()
	}
	c.unlockAndFlush()
	return nil
}

// errFromServer is the cause of a StreamError that the server sent.
var errFromServer = errors.New("received from peer")

// resetByServer handles an RST_STREAM (section 6.4).
func (c *Conn) resetByServer(f *xhttp2.RSTStreamFrame) error {
	c.mu.Lock()
	x := c.streams[f.StreamID]
	idle := x == nil && c.idleLocked(f.StreamID)
	c.mu.Unlock()
	if idle {
		return xhttp2.ConnectionError(xhttp2.ErrCodeProtocol)
	}
	if x == nil {
		return nil
	}
	c.engine.count("recv_rststream_" + codeName(f.ErrCode))
	if f.ErrCode == xhttp2.ErrCodeProtocol {
		c.over(ReasonProtocol) // we cannot find out which side is wrong
	}
	c.mu.Lock()
	if c.streams[f.StreamID] == x {
		x.resetCode, x.reset = f.ErrCode, true
		x.abortLocked(xhttp2.StreamError{StreamID: x.id, Code: f.ErrCode, Cause: errFromServer}, noReset)
	}
	c.mu.Unlock()
	return nil
}

// deliver wakes, together, the exchanges for which something has come.
func (c *Conn) deliver() {
	in := &c.in
	if len(in.ready) == 0 {
		return
	}
	c.mu.Lock()
	in.looker = c.solo.looker
	for i, x := range in.ready {
		x.stirred = false
		x.cond.Broadcast()
		in.ready[i] = nil
	}
	c.mu.Unlock()
	in.ready = in.ready[:0]
}

// stir makes deliver wake x at the end of the batch. Only the reading goroutine calls it, with Conn.mu held.
func (in *input) stir(x *Exchange) {
	if !x.stirred {
		x.stirred = true
		in.ready = append(in.ready, x)
	}
}
