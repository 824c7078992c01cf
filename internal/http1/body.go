package http1

import (
	"io"
	"sync/atomic"

	"github.com/peerpool/peerpool/internal/exchange"
)

// responseBody is an exchange as the body of its response. It owns the connection until it ends: by EOF, an error, or Close. Close is
// in drain.go.
//
// Read and Close may be called at the same time. The Read then gets what arrives in the next moments, or an error.
type responseBody Exchange

// bodyState is a set of bits that say who uses a body. A caller that sets bodyReading, or that sets bodyClosed while nobody
// reads, is the only one to use the rest of the body until it clears the bit. A caller that finds another one at work leaves
// the end of the body to it.
type bodyState struct{ atomic.Uint32 }

const (
	bodyReading   = 1 << iota
	bodyClosed    // by Close
	bodyDiscarded // by Discard
	bodyOver      // it has ended; Exchange.err says how
	bodyLate      // the Read that was under way when it was closed has taken too long
	bodyInTime    // that Read has returned in time
)

func (s *bodyState) has(bit uint32) bool { return s.Load()&bit != 0 }

// set sets a bit, and returns the bits from before.
func (s *bodyState) set(bit uint32) (before uint32) { return s.Or(bit) }

// Read reads the next bytes of the body. At the end it returns io.EOF. If the body is shorter than its framing says, it returns
// io.ErrUnexpectedEOF (RFC 9112 section 8).
func (b *responseBody) Read(p []byte) (int, error) {
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

// begin claims the body for reading. If that is not possible, it returns the error to return from Read.
func (b *responseBody) begin() error {
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

// done ends what begin has begun. err is how the body has ended, or nil if it has not.
func (b *responseBody) done(err error) {
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
		return &io.EOF // saves an allocation
	}
	other := err
	return &other
}

// read reads according to the framing. It returns io.EOF only at the proper end.
func (b *responseBody) read(p []byte) (int, error) {
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

// share returns how many bytes of a body with a length are read into room bytes. In a layer of unknown type there may be bytes
// behind the body, and they can be found only if they are read together with its end. So the last byte is read into the buffer.
func (b *responseBody) share(room int) int {
	n := min(int64(room), b.left)
	if in := b.Conn.in; b.Conn.veil != nil && n == b.left && in.buffered() == 0 && n >= int64(len(in.buf)) {
		n--
	}
	return int(n)
}

// trailer reads the trailer section into the response, and returns io.EOF if it is good. If the body is being drained, the caller
// alone may use the response, and the trailer is dropped.
func (b *responseBody) trailer() error {
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

// finish ends the exchange. It is called once, by the Read, Close or WriteTo that has ended the body.
func (b *responseBody) finish(err error, interrupted bool) {
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

// Closed returns nil before Close has been called, and the error of a Read afterwards.
func (b *responseBody) Closed() error {
	if b.state.has(bodyClosed) {
		return ErrBodyReadAfterClose
	}
	return nil
}
