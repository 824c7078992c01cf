package http1

import (
	"io"
	"sync/atomic"
	"time"

	"github.com/peerpool/peerpool/internal/exchange"
)

const (
	maxDrain  = 256 << 10 // bytes read behind the back of a caller who closed early
	drainWait = 50 * time.Millisecond
)

// body is an exchange as the body of its response. It owns the connection until its end: EOF, an error, or Close.
//
// Read and Close may be called at the same time; Close then interrupts the Read.
type body Exchange

// bodyState says who is at work on a body. Whoever sets bodyReading, or bodyClosed while nobody reads, has
// what else there is of the body to itself, until that is taken back. Whoever finds another at work leaves the end to it.
type bodyState struct{ atomic.Uint32 }

const (
	bodyReading   = 1 << iota
	bodyClosed    // by Close
	bodyDiscarded // by Discard
	bodyOver      // it has come to its end, which is in Exchange.err
)

func (s *bodyState) has(bit uint32) bool { return s.Load()&bit != 0 }

// set returns what was there before.
func (s *bodyState) set(bit uint32) (before uint32) { return s.Or(bit) }

// Read reads the next bytes of the body. At the end, io.EOF; a body that ends before its framing says
// so is io.ErrUnexpectedEOF (RFC 9112 section 8).
func (b *body) Read(p []byte) (int, error) {
	if exchange.IsDiscard(p) {
		b.state.set(bodyDiscarded)
		return 0, nil
	}
	if err := b.begin(); err != nil {
		return 0, err
	}
	(*Exchange)(b).notice()
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
	for {
		was := b.state.Load()
		switch {
		case was&bodyClosed != 0:
			return ErrBodyReadAfterClose
		case was&bodyReading != 0:
			return errConcurrentRead
		case was&bodyOver != 0:
			return *b.err
		case b.state.CompareAndSwap(was, was|bodyReading):
			return nil
		}
	}
}

// done ends what begin began. err is the end of the body, nil if there is more to come.
func (b *body) done(err error) {
	change := uint32(bodyReading)
	if err != nil {
		b.err, change = pointer(err), bodyReading|bodyOver
	}
	was := b.state.Load()
	for !b.state.CompareAndSwap(was, was^change) {
		was = b.state.Load()
	}
	if was&bodyClosed != 0 {
		// Close closes the connection, now or in a moment, even if this was the end of the body.
		b.finish(ErrBodyReadAfterClose, true)
	} else if err != nil {
		b.finish(err, false)
	}
}

func pointer(err error) *error {
	if err == io.EOF {
		return &io.EOF // the usual one need not be allocated
	}
	other := err
	return &other
}

// read reads according to the framing; io.EOF is only ever the proper end.
func (b *body) read(p []byte) (int, error) {
	c := b.Conn
	switch b.kind {
	case byLength:
		n, err := c.readData(p[:min(int64(len(p)), b.left)])
		b.left -= int64(n)
		if b.left == 0 {
			return n, io.EOF
		}
		return n, unexpectedEOF(err)
	case byChunks:
		chunk := &c.in.chunk
		n, err := chunk.read(c, p)
		if chunk.last && (err == nil && c.trailerArrived() || err == io.EOF) {
			return n, b.trailer()
		}
		return n, unexpectedEOF(err)
	default:
		return c.readData(p)
	}
}

// trailer reads the trailer section into the response; io.EOF: well done.
func (b *body) trailer() error {
	fields, err := b.Conn.readTrailer(b.Opts.maxHeaderBytes())
	if err != nil {
		return unexpectedEOF(err)
	}
	resp := &b.resp
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
	e := (*Exchange)(b)
	switch {
	case b.state.has(bodyDiscarded):
		e.receivedAll(exchange.EndDiscarded)
	case err == io.EOF:
		e.receivedAll(ends[b.after])
	case interrupted:
		e.receivedAll(exchange.EndUnread)
	case e.Ctx.Err() != nil:
		e.receivedAll(exchange.EndCanceled)
	default:
		e.receivedAll(endOf(err))
	}
}

// Close ends the exchange. If little of the body is left, it is read, for at most 50 milliseconds and
// 256 KiB, so that the connection survives; else the connection is closed. Closing twice is harmless.
func (b *body) Close() error {
	switch was := b.state.set(bodyClosed); {
	case was&(bodyClosed|bodyOver) != 0:
	case was&bodyReading != 0:
		b.Conn.Abort(ErrBodyReadAfterClose) // the Read that is under way ends, and ends the exchange
	case was&bodyDiscarded != 0:
		b.finish(errNotDrained, true)
	default:
		b.finish(b.drain(), true)
	}
	return nil
}

// drain reads what is left if that is little; io.EOF: the whole body has been read.
func (b *body) drain() error {
	c := b.Conn
	if ends[b.after] != exchange.Reusable || b.kind == untilClose || b.kind == byLength && b.left > maxDrain {
		return errNotDrained
	}
	if b.kind != byLength || int64(c.in.buffered()) < b.left {
		(*Exchange)(b).notice()
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
