package http1

import (
	"io"
	"sync/atomic"

	"github.com/peerpool/peerpool/internal/exchange"
)

// body is an exchange as the body of its response. It owns the connection until its end: EOF, an error, or Close.
// What Close does with the rest of it is in drain.go.
//
// Read and Close may be called at the same time. The Read then gets what arrives in the next moments, or an error.
type body Exchange

// bodyState says who is at work on a body. Whoever sets bodyReading, or bodyClosed while nobody reads, has
// what else there is of the body to itself, until that is taken back. Whoever finds another at work leaves the end to it.
type bodyState struct{ atomic.Uint32 }

const (
	bodyReading   = 1 << iota
	bodyClosed    // by Close
	bodyDiscarded // by Discard
	bodyOver      // it has come to its end, which is in Exchange.err
	bodyLate      // the Read that was under way when it was closed has taken too long
	bodyInTime    // that Read has returned in time
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
		b.readAfterClose(err)
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
		n, err := c.readData(p[:b.share(len(p))])
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

// share returns how much of a body with a length is read into room bytes. What lies behind the body in a layer that we do
// not know is to come along with its end, so that is read through the buffer.
func (b *body) share(room int) int {
	n := min(int64(room), b.left)
	if in := b.Conn.in; b.Conn.veil != nil && n == b.left && in.buffered() == 0 && n >= int64(len(in.buf)) {
		n--
	}
	return int(n)
}

// trailer reads the trailer section into the response; io.EOF: well done. Of a body that is drained nobody wants to
// know it, and the response is its caller's alone by then.
func (b *body) trailer() error {
	fields, err := b.Conn.readTrailer(max(maxLine, b.Opts.ReadBuffer))
	if err != nil {
		return unexpectedEOF(err)
	}
	if !b.state.has(bodyReading) {
		return io.EOF
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
	case e.ctx().Err() != nil:
		e.receivedAll(exchange.GivenUp(e.ctx()))
	default:
		e.receivedAll(endOf(err))
	}
}

// Closed returns what a Read returns after Close has been called; nil before.
func (b *body) Closed() error {
	if b.state.has(bodyClosed) {
		return ErrBodyReadAfterClose
	}
	return nil
}
