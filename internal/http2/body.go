package http2

import (
	"errors"
	"io"
	"io/fs"
	"net/http"

	"github.com/peerpool/peerpool/internal/exchange"
)

var errClosedBody = errors.New("http2: response body closed")

// responseBody is the body of a response. It is the Exchange itself, with the methods of an io.ReadCloser. The stream belongs to it
// until the body ends with EOF, an error, or Close.
type responseBody Exchange

// copyOutside is a number of bytes. Read holds Conn.mu while it copies at most so many, and releases it while it copies more.
const copyOutside = 2 << 10

// Read reads the next bytes of the body. The exchange ends when the body ends, with an error or not.
func (b *responseBody) Read(p []byte) (int, error) {
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
		return 0, b.finishLocked(x.readEndLocked())
	}
	n := x.takeOutLocked(p)
	if x.buffered == 0 && x.received {
		return n, b.finishLocked(io.EOF)
	}
	c.unlockAndFlush()
	return n, nil
}

// readEndLocked returns the error that ends the body, or nil if more of the body may come.
func (x *Exchange) readEndLocked() error {
	switch {
	case x.closed && !x.misdeclaredLocked(): // even if the body had ended before
		return errClosedBody
	case x.final != nil:
		return x.final
	case x.received:
		return io.EOF
	}
	return x.over
}

// misdeclaredLocked reports whether the body has turned out to be shorter or longer than its Content-Length. Every later Read
// returns the error that says so, even after Close, as with net/http.
func (x *Exchange) misdeclaredLocked() bool {
	return x.final != nil && (x.final == errTooMuchData || x.short)
}

// takeOutLocked copies bytes that have come to p, and opens the windows by as many. It releases the lock while it copies a
// large piece.
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

// dropLocked drops the bytes that have come and that nobody will read.
func (x *Exchange) dropLocked() {
	if x.reading {
		return // the Read that is copying drops them afterwards
	}
	for i, k := range x.chunks {
		k.release()
		x.chunks[i] = nil
	}
	x.chunks, x.buffered = nil, 0
}

// finishLocked ends the exchange because its body has ended, and returns the error for the reader. It releases the lock.
func (b *responseBody) finishLocked(err error) error {
	x := (*Exchange)(b)
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
	how := exchange.EndError
	switch {
	case err == io.EOF || err == errClosedBody:
		how = exchange.Reusable
	case canceled:
		how = exchange.GivenUp(x.ctx)
	case exchange.IsTimeout(err):
		how = exchange.EndTimeout
	}
	x.concludeLocked(how)
	x.finishUpload()
	if canceled && first {
		exchange.AwaitClient(x.req, err)
	}
	return asNetHTTP(err)
}

// takeTrailer puts the trailer, which came with the end, into the response.
func (x *Exchange) takeTrailer() {
	if x.resp.Trailer == nil {
		x.resp.Trailer = make(http.Header, len(x.trailer))
	}
	for name, values := range x.trailer {
		x.resp.Trailer[name] = values
	}
}

// Close ends the exchange, and its stream if that is still open. The connection continues.
func (b *responseBody) Close() error {
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
	if x.ended {
		x.dropLocked()
	}
	x.concludeLocked(exchange.Reusable)
	x.finishUpload()
	return nil
}

// Closed returns the error that a Read of decoded bytes returns after Close. It returns nil before Close.
func (b *responseBody) Closed() error {
	c := b.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if b.closed {
		return fs.ErrClosed
	}
	return nil
}
