package http1

import (
	"io"
	"sync"
	"time"
)

const (
	maxDrain  = 256 << 10 // bytes read behind the back of a caller who closed early
	drainWait = 50 * time.Millisecond
)

// body is the body of a response. It owns the connection until its end: EOF, an error, or Close.
//
// Read and Close may be called at the same time; Close then interrupts the Read.
type body struct {
	e     *Exchange
	after End   // what the connection is good for after the last byte
	left  int64 // byLength: bytes to come
	chunk chunks
	kind  kind

	// mu guards what follows. It is not held while reading: reading says that somebody does, and
	// whoever finds the other at work leaves the end to it.
	mu        sync.Mutex
	reading   bool
	closed    bool
	discarded bool
	err       error // sticky, io.EOF included
}

// Read reads the next bytes of the body. At the end, io.EOF; a body that ends before its framing says
// so is io.ErrUnexpectedEOF (RFC 9112 section 8).
func (b *body) Read(p []byte) (int, error) {
	if IsDiscard(p) {
		b.discard()
		return 0, nil
	}
	if err := b.begin(); err != nil {
		return 0, err
	}
	b.e.notice()
	if len(p) == 0 {
		b.done(nil)
		return 0, nil
	}
	n, err := b.read(p)
	b.done(err)
	return n, err
}

// begin claims the body for reading; or the error to return for it.
func (b *body) begin() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return ErrBodyReadAfterClose
	case b.reading:
		return errConcurrentRead
	case b.err != nil:
		return b.err
	}
	b.reading = true
	return nil
}

// done ends what begin began. err is the end of the body, nil if there is more to come.
func (b *body) done(err error) {
	b.mu.Lock()
	b.reading = false
	b.err = err
	interrupted := b.closed
	b.mu.Unlock()
	if interrupted {
		// Close closes the connection, now or in a moment, even if this was the end of the body.
		b.finish(ErrBodyReadAfterClose, true)
	} else if err != nil {
		b.finish(err, false)
	}
}

// read reads according to the framing; io.EOF is only ever the proper end.
func (b *body) read(p []byte) (int, error) {
	c := b.e.Conn
	switch b.kind {
	case byLength:
		n, err := c.readData(p[:min(int64(len(p)), b.left)])
		b.left -= int64(n)
		if b.left == 0 {
			return n, io.EOF
		}
		return n, unexpectedEOF(err)
	case byChunks:
		n, err := b.chunk.read(c, p)
		if b.chunk.last && (err == nil && c.trailerArrived() || err == io.EOF) {
			return n, b.trailer()
		}
		return n, unexpectedEOF(err)
	default:
		return c.readData(p)
	}
}

// trailer reads the trailer section into the response; io.EOF: well done.
func (b *body) trailer() error {
	fields, err := b.e.Conn.readTrailer(b.e.Opts.MaxHeaderBytes)
	if err != nil {
		return unexpectedEOF(err)
	}
	resp := &b.e.resp
	if resp.Trailer == nil {
		resp.Trailer = fields
	} else {
		for name, values := range fields {
			resp.Trailer[name] = values
		}
	}
	return io.EOF
}

// finish ends the exchange; it is reached once, by whoever ended the body.
func (b *body) finish(err error, interrupted bool) {
	b.mu.Lock()
	discarded := b.discarded
	b.mu.Unlock()
	switch {
	case discarded:
		b.e.receivedAll(EndDiscarded)
	case err == io.EOF:
		b.e.receivedAll(b.after)
	case interrupted:
		b.e.receivedAll(EndUnread)
	case b.e.Ctx.Err() != nil:
		b.e.receivedAll(EndCanceled)
	default:
		b.e.receivedAll(endOf(err))
	}
}

// Close ends the exchange. If little of the body is left, it is read, for at most 50 milliseconds and
// 256 KiB, so that the connection survives; else the connection is closed. Closing twice is harmless.
func (b *body) Close() error {
	b.mu.Lock()
	if b.closed || b.err != nil {
		b.closed = true
		b.mu.Unlock()
		return nil
	}
	b.closed = true
	reading := b.reading
	discarded := b.discarded
	b.mu.Unlock()
	if reading {
		b.e.Conn.Abort(ErrBodyReadAfterClose) // the Read that is under way ends, and ends the exchange
		return nil
	}
	if discarded {
		b.finish(errNotDrained, true)
		return nil
	}
	b.finish(b.drain(), true)
	return nil
}

// drain reads what is left if that is little; io.EOF: the whole body has been read.
func (b *body) drain() error {
	c := b.e.Conn
	if b.after != Reusable || b.kind == untilClose || b.kind == byLength && b.left > maxDrain {
		return errNotDrained
	}
	if b.kind != byLength || int64(c.in.buffered()) < b.left {
		b.e.notice()
		timer := time.AfterFunc(drainWait, func() { c.Abort(errDrainTimeout) })
		defer func() {
			if !timer.Stop() {
				c.Abort(errDrainTimeout) // it has fired: nobody may find the connection usable
			}
		}()
	}
	if b.kind == byLength {
		_, _, err := b.copyTo(io.Discard)
		return err
	}
	bulk := bulks.Get().(*bulk)
	defer bulks.Put(bulk)
	for total := 0; total <= maxDrain; {
		n, err := b.read(bulk[:])
		if err != nil {
			return err
		}
		total += n
	}
	return errNotDrained
}
