package http2

import (
	"errors"
	"io"
	"sync"

	xhttp2 "golang.org/x/net/http2"
)

// DATA that the server sends (RFC 9113 section 6.1), and the chunks in which it waits to be read.

var (
	errTooMuchData = errors.New("net/http: server replied with more than declared Content-Length; truncated")
	errLateData    = errors.New("protocol error: received DATA after END_STREAM")
	errBodiless    = errors.New("protocol error: received DATA of a response without content")
)

// chunk is a piece of a body that has come and has not been read yet.
type chunk struct {
	b    []byte
	r, w int // b[r:w] is unread
}

const (
	smallChunk = 1 << 10
	midChunk   = 4 << 10
	largeChunk = 16 << 10
)

var chunkPools = [...]sync.Pool{
	{New: func() any { return &chunk{b: make([]byte, smallChunk)} }},
	{New: func() any { return &chunk{b: make([]byte, midChunk)} }},
	{New: func() any { return &chunk{b: make([]byte, largeChunk)} }},
}

func poolOf(size int) *sync.Pool {
	switch {
	case size <= smallChunk:
		return &chunkPools[0]
	case size <= midChunk:
		return &chunkPools[1]
	}
	return &chunkPools[2]
}

// newChunk returns a chunk with room for n bytes, or the largest chunk if n is larger.
func newChunk(n int) *chunk { return poolOf(n).Get().(*chunk) }

func (k *chunk) release() {
	k.r, k.w = 0, 0
	poolOf(len(k.b)).Put(k)
}

// data handles a DATA frame, whose payload has not been read yet.
func (c *Conn) data(fh xhttp2.FrameHeader) error {
	length, pad, err := c.padding(fh)
	if err != nil {
		return err
	}
	if length <= midChunk && length+pad <= c.in.br.Buffered() {
		return c.dataAtHand(fh, length, pad)
	}
	x, err := c.admitData(fh, int64(length))
	if err != nil {
		return err
	}
	for length > 0 && err == nil {
		var n int
		n, err = c.payload(x, length)
		length -= n
	}
	if err != nil {
		return err
	}
	if _, err := c.in.br.Discard(pad); err != nil {
		return err
	}
	c.mu.Lock()
	x.tookDataLocked(fh)
	c.unlockAndFlush()
	return nil
}

// dataAtHand handles a DATA frame whose payload is short and is already in the buffer.
func (c *Conn) dataAtHand(fh xhttp2.FrameHeader, length, pad int) error {
	br := c.in.br
	p, err := br.Peek(length)
	if err != nil {
		return err
	}
	c.mu.Lock()
	x, err := c.admitDataLocked(fh, int64(length))
	if x != nil && length > 0 {
		x.copyLocked(p)
	}
	x.tookDataLocked(fh)
	c.unlockAndFlush()
	if err != nil {
		return err
	}
	_, err = br.Discard(length + pad)
	return err
}

// tookDataLocked is called when the payload of a DATA frame has been read. x is nil if nobody wanted it.
func (x *Exchange) tookDataLocked(fh xhttp2.FrameHeader) {
	if x == nil {
		return
	}
	if fh.Flags.Has(xhttp2.FlagDataEndStream) && x.c.streams[x.id] == x {
		x.endLocked()
	}
	x.c.in.stir(x)
}

// padding returns the lengths of the data and of the padding. It reads the first octet of a padded frame.
func (c *Conn) padding(fh xhttp2.FrameHeader) (length, pad int, err error) {
	if fh.StreamID == 0 {
		return 0, 0, xhttp2.ConnectionError(xhttp2.ErrCodeProtocol)
	}
	length = int(fh.Length)
	if !fh.Flags.Has(xhttp2.FlagDataPadded) {
		return length, 0, nil
	}
	if length == 0 {
		return 0, 0, xhttp2.ConnectionError(xhttp2.ErrCodeFrameSize)
	}
	p, err := c.in.br.ReadByte()
	if err != nil {
		return 0, 0, err
	}
	if pad = int(p); pad >= length {
		return 0, 0, xhttp2.ConnectionError(xhttp2.ErrCodeProtocol)
	}
	return length - 1 - pad, pad, nil
}

// admitData accounts for a DATA frame, and returns the exchange that wants its payload, or nil if none does.
func (c *Conn) admitData(fh xhttp2.FrameHeader, length int64) (*Exchange, error) {
	c.mu.Lock()
	defer c.unlockAndFlush()
	return c.admitDataLocked(fh, length)
}

func (c *Conn) admitDataLocked(fh xhttp2.FrameHeader, length int64) (*Exchange, error) {
	c.pings.sawDataLocked()
	whole := int64(fh.Length)
	if !c.unread.take(whole) {
		return nil, xhttp2.ConnectionError(xhttp2.ErrCodeFlowControl)
	}
	x := c.streams[fh.StreamID]
	if x == nil && c.idleLocked(fh.StreamID) {
		return nil, xhttp2.ConnectionError(xhttp2.ErrCodeProtocol)
	}
	if x != nil {
		if !x.unread.take(whole) {
			return nil, xhttp2.ConnectionError(xhttp2.ErrCodeFlowControl)
		}
		if err := x.acceptsLocked(length); err != nil {
			x.protocol = true
			x.abortLocked(err, xhttp2.ErrCodeProtocol)
			c.in.stir(x)
			x = nil
		}
	}
	switch {
	case x == nil || !c.engine.connBounded:
		c.readLocked(whole)
	default:
		c.readLocked(whole - length)
	}
	if x != nil && whole > length {
		x.readLocked(whole - length)
	}
	return x, nil
}

// acceptsLocked returns an error if the server must not send that much DATA on the stream now.
func (x *Exchange) acceptsLocked(length int64) error {
	var wrong error
	switch {
	case x.received:
		wrong = errLateData
	case !x.headed:
		x.started = true // the error names no cause, as with net/http
	case length > 0 && x.bodiless():
		wrong = errBodiless
	case x.left >= 0 && length > x.left:
		return errTooMuchData
	default:
		if x.left >= 0 {
			x.left -= length
		}
		return nil
	}
	return xhttp2.StreamError{StreamID: x.id, Code: xhttp2.ErrCodeProtocol, Cause: wrong}
}

// payload reads some of the next n bytes for x, or discards them if x is nil. It copies a few bytes behind those that already
// wait. It reads many bytes into a chunk of their own.
func (c *Conn) payload(x *Exchange, n int) (int, error) {
	br := c.in.br
	if x == nil {
		return br.Discard(n)
	}
	if n > midChunk {
		k := newChunk(n)
		got, err := io.ReadFull(br, k.b[:min(n, len(k.b))])
		k.w = got
		c.mu.Lock()
		x.takeLocked(k)
		c.mu.Unlock()
		return got, err
	}
	p, err := br.Peek(n)
	if err != nil {
		return 0, err
	}
	c.mu.Lock()
	x.copyLocked(p)
	c.mu.Unlock()
	return br.Discard(n)
}

// takeLocked appends a chunk to those that wait to be read.
func (x *Exchange) takeLocked(k *chunk) {
	if x.over != nil || x.closed {
		x.c.discardedLocked(int64(k.w))
		k.release()
		return
	}
	x.chunks = append(x.chunks, k)
	x.buffered += k.w
}

// copyLocked appends p to the bytes that wait to be read.
func (x *Exchange) copyLocked(p []byte) {
	if x.over != nil || x.closed {
		x.c.discardedLocked(int64(len(p)))
		return
	}
	x.buffered += len(p)
	if i := len(x.chunks) - 1; i >= 0 {
		last := x.chunks[i]
		n := copy(last.b[last.w:], p)
		last.w += n
		p = p[n:]
	}
	if len(p) == 0 {
		return
	}
	room := len(p)
	if len(x.chunks) > 0 {
		room = largeChunk // the body comes in small pieces, and more of them may follow
	}
	k := newChunk(room)
	k.w = copy(k.b, p)
	x.chunks = append(x.chunks, k)
}

// discardedLocked accounts for n bytes of a body that have been read, or that nobody wants any more. It opens the
// connection's window again if that did not happen when the bytes came.
func (c *Conn) discardedLocked(n int64) {
	if c.engine.connBounded {
		c.readLocked(n)
	}
}

// readLocked notes that n bytes have been read, and opens the connection's window again.
func (c *Conn) readLocked(n int64) {
	if give := c.unread.release(n); give > 0 {
		c.out.windowUpdate(0, give)
	}
}

// readLocked notes that n bytes have been read, and opens the stream's window again. It also makes the window larger if
// growth says that the window limits the server.
func (x *Exchange) readLocked(n int64) {
	c := x.c
	give := x.unread.release(n)
	if give == 0 || x.received || x.over != nil {
		return
	}
	if x.growth.due(c.now(), c.peer.roundTrip) {
		if more := min(x.unread.size, c.engine.streamWindow-x.unread.size, maxGrown-c.grown); more > 0 {
			x.unread.size += more
			x.unread.left += more
			x.grown += more
			c.grown += more
			give += more
		}
	}
	c.out.windowUpdate(x.id, give)
}

// endLocked handles the proper end of the response. If a part of the declared body is missing, the stream ends with an error,
// whether or not any of the body has come.
func (x *Exchange) endLocked() {
	if x.left > 0 {
		x.short = true
		code := noReset
		if !x.sent {
			code = xhttp2.ErrCodeCancel // ends the rest of the request
		}
		x.abortLocked(io.ErrUnexpectedEOF, code)
		return
	}
	x.receivedLocked()
}
