package http2

import (
	"errors"
	"io"
	"io/fs"
	"net/http"

	"github.com/peerpool/peerpool/internal/exchange"
)

var errClosedBody = errors.New("http2: response body closed")

// body is an exchange as the body of its response. It owns the stream until its end: EOF, an error, or Close.
type body Exchange

// copyOutside is how many bytes are copied without Conn.mu, rather than under it.
const copyOutside = 2 << 10

// Read reads the next bytes of the body. Its end, proper or not, is the end of the exchange.
func (b *body) Read(p []byte) (int, error) {
	x := (*Exchange)(b)
	c := x.c
	if len(p) == 0 {
		if exchange.IsDiscard(p) {
			c.mu.Lock()
			x.discarded = true
			c.mu.Unlock()
		}
		return 0, nil
	}
	if x.HeedLater {
		x.notice()
	}
	c.mu.Lock()
	for x.reading || x.buffered == 0 && x.readEndLocked() == nil {
		x.waitToReadLocked()
	}
	if x.closed || x.buffered == 0 {
		err := x.readEndLocked()
		c.mu.Unlock()
		return 0, b.finish(err)
	}
	n := x.takeOutLocked(p)
	var err error
	if x.buffered == 0 && x.received && x.left <= 0 {
		err = io.EOF
	}
	c.unlockAndFlush()
	if err != nil {
		err = b.finish(err)
	}
	return n, err
}

// readEndLocked says why nothing more comes of the body; nil: it may.
func (x *Exchange) readEndLocked() error {
	switch {
	case x.closed && !x.misdeclaredLocked(): // whatever came before
		return errClosedBody
	case x.final != nil:
		return x.final
	case x.received && x.left > 0:
		return io.ErrUnexpectedEOF
	case x.received:
		return io.EOF
	}
	return x.over
}

// misdeclaredLocked says that the body has turned out to be shorter or longer than its Content-Length. As with net/http that
// is what reading it returns from then on.
func (x *Exchange) misdeclaredLocked() bool {
	return x.final != nil && (x.final == errTooMuchData || x.short || x.received && x.left > 0)
}

// takeOutLocked copies what has come, and opens the windows by as much. It lets go of the lock while it copies much.
func (x *Exchange) takeOutLocked(p []byte) (n int) {
	c := x.c
	for n < len(p) && x.buffered > 0 {
		k := x.chunks[0]
		have := k.b[k.r:k.w]
		if len(p)-n < len(have) {
			have = have[:len(p)-n]
		}
		if len(have) > copyOutside {
			x.reading = true
			c.mu.Unlock()
			copy(p[n:], have)
			c.mu.Lock()
			x.reading = false
			x.cond.Broadcast()
		} else {
			copy(p[n:], have)
		}
		n += len(have)
		if x.closed {
			x.dropLocked()
			break
		}
		k.r += len(have)
		x.buffered -= len(have)
		if k.r == k.w {
			k.release()
			x.chunks[0] = nil
			if x.chunks = x.chunks[1:]; len(x.chunks) == 0 {
				x.chunks = x.room[:0]
			}
		}
	}
	if !x.ended {
		x.readLocked(int64(n))
		c.discardedLocked(int64(n))
	}
	return n
}

// dropLocked gives up what has come and nobody will read.
func (x *Exchange) dropLocked() {
	if x.reading {
		return // who does drops it
	}
	for i, k := range x.chunks {
		k.release()
		x.chunks[i] = nil
	}
	x.chunks, x.buffered = nil, 0
}

// finish ends the exchange with the body, and returns what to tell the reader.
func (b *body) finish(err error) error {
	x := (*Exchange)(b)
	c := x.c
	c.mu.Lock()
	first := x.final == nil
	if own, ok := err.(*exchange.BodyError); ok {
		err = own.Err
	}
	if first {
		x.final = err
		if err == io.EOF && x.trailer != nil {
			x.takeTrailer()
		}
	}
	canceled := x.cause != nil && err == x.cause
	c.mu.Unlock()
	if !first {
		x.finishUpload()
		return asNetHTTP(err)
	}
	switch {
	case err == io.EOF || err == errClosedBody:
		x.end(exchange.Reusable)
	case canceled:
		x.end(exchange.GivenUp(x.ctx))
		exchange.AwaitClient(x.req, err)
	case exchange.IsTimeout(err):
		x.end(exchange.EndTimeout)
	default:
		x.end(exchange.EndError)
	}
	return asNetHTTP(err)
}

// takeTrailer shows the trailer, which has come with the end.
func (x *Exchange) takeTrailer() {
	if x.resp.Trailer == nil {
		x.resp.Trailer = make(http.Header, len(x.trailer))
	}
	for name, values := range x.trailer {
		x.resp.Trailer[name] = values
	}
}

// Close ends the exchange. The server is told to send no more; the connection goes on.
func (b *body) Close() error {
	x := (*Exchange)(b)
	c := x.c
	c.mu.Lock()
	if x.closed {
		c.mu.Unlock()
		x.finishUpload()
		return nil
	}
	x.closed = true
	x.cond.Broadcast()
	c.mu.Unlock()
	x.end(exchange.Reusable)
	c.mu.Lock()
	x.dropLocked()
	c.mu.Unlock()
	return nil
}

// Closed returns what a Read of decoded bytes returns after Close has been called; nil before.
func (b *body) Closed() error {
	c := b.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if b.closed {
		return fs.ErrClosed
	}
	return nil
}
