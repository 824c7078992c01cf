package http1

import (
	"errors"
	"io"
	"math"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"github.com/peerpool/peerpool/internal/exchange"
)

// responseBody is an exchange as the body of its response. It owns the connection until it ends: by EOF, an error, or Close.
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

// Read reads the next bytes of the body. At the end it returns io.EOF. If the body is shorter than its framing says, it returns
// io.ErrUnexpectedEOF (RFC 9112 section 8).
func (b *responseBody) Read(p []byte) (int, error) {
	if exchange.IsDiscard(p) {
		b.state.Or(bodyDiscarded)
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
	switch {
	case err == io.EOF:
		b.err, change = &io.EOF, bodyReading|bodyOver // saves an allocation
	case err != nil:
		failed := err
		b.err, change = &failed, bodyReading|bodyOver
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
	if b.state.Load()&bodyReading == 0 {
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

// bulk is a buffer for bodies that are copied or discarded. It is so large that a call of the system costs little compared
// with the bytes that it copies. A Writer gets a part of it, and must not keep it.
type bulk [64 << 10]byte

var bulks = sync.Pool{New: func() any { return new(bulk) }}

var (
	errWriterPanicked = errors.New("peerpool: a writer panicked while a response body was copied to it")
	errInvalidWrite   = errors.New("peerpool: a writer returned an impossible number of bytes from Write")
)

// WriteTo writes the rest of the body to w, which must not keep the bytes. It makes io.Copy cheaper. It returns how many bytes w
// has taken, and the error of the body or of w. At the proper end there is no error.
//
// If the connection is a plain socket, and w is one or is a file or io.Discard, the system moves the bytes if it can. Then an
// error of w ends the body, since nobody knows how many bytes are lost. After any other error of w the rest of the body can be
// read.
func (b *responseBody) WriteTo(w io.Writer) (n int64, err error) {
	if err := b.begin(); err == io.EOF {
		return 0, nil
	} else if err != nil {
		return 0, err
	}
	(*Exchange)(b).notice()
	from, ok := w.(io.ReaderFrom)
	system := ok && b.systemCopies(w)
	if ok && !system && w != io.Discard {
		b.done(nil)
		return from.ReadFrom(struct{ io.Reader }{b}) // w decides how to read
	}
	end := errWriterPanicked
	defer func() { b.done(end) }()
	if system {
		n, err, end = b.splice(w, from)
	} else {
		n, err, end = b.copyTo(w)
	}
	if err == nil && end != io.EOF {
		err = end
	}
	return n, err
}

// copyTo copies the rest of the body to w. It returns the error of w, and how the body has ended.
func (b *responseBody) copyTo(w io.Writer) (n int64, werr, err error) {
	if n, werr, err = b.flush(w); werr != nil || err != nil {
		return n, werr, err
	}
	if w == io.Discard && b.kind != byChunks && b.Conn.canSkip() && !b.Conn.limitsReads() {
		skipped, err := b.skip()
		if n += skipped; err != errors.ErrUnsupported {
			return n, nil, err
		}
	}
	p := bulks.Get().(*bulk)
	defer bulks.Put(p)
	for err == nil && werr == nil {
		var got, taken int
		got, err = b.read(p[:])
		if got > 0 {
			taken, werr = write(w, p[:got])
			n += int64(taken)
		}
	}
	return n, werr, err
}

// skip has the system throw the body away. Nothing of it is in the buffer.
func (b *responseBody) skip() (n int64, err error) {
	for err == nil {
		limit := int64(math.MaxInt64)
		if b.kind == byLength {
			limit = b.left
		}
		var skipped int64
		skipped, err = b.Conn.skip(limit)
		n += skipped
		if b.kind == byLength {
			b.left -= skipped
			if b.left == 0 {
				return n, io.EOF
			}
			err = unexpectedEOF(err)
		}
	}
	return n, err
}

// flush writes what is in the buffer of a body that is not chunked. It returns the error of w, and io.EOF if that was the rest.
func (b *responseBody) flush(w io.Writer) (n int64, werr, err error) {
	if in := b.Conn.in; b.kind != byChunks && in.buffered() > 0 {
		p := in.buf[in.r:in.w]
		if b.kind == byLength {
			p = p[:min(int64(len(p)), b.left)]
		}
		var taken int
		taken, werr = write(w, p)
		in.r += taken
		n = int64(taken)
	}
	if b.kind == byLength {
		if b.left -= n; b.left == 0 {
			err = io.EOF
		}
	}
	return n, werr, err
}

// write calls Write, and checks that it has done what io.Writer demands.
func write(w io.Writer, p []byte) (int, error) {
	n, err := w.Write(p)
	switch {
	case n < 0 || n > len(p):
		return 0, errInvalidWrite
	case err == nil && n < len(p):
		return n, io.ErrShortWrite
	}
	return n, err
}

// systemCopies reports whether the system can move the bytes from the connection to w by itself, and whether there are enough
// of them to be worth it.
func (b *responseBody) systemCopies(w io.Writer) bool {
	switch w.(type) {
	case *net.TCPConn, *os.File:
	default:
		return false
	}
	c := b.Conn
	switch c.nc.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return false
	}
	if c.limitsReads() {
		return false
	}
	return b.kind == untilClose || b.kind == byLength && b.left-int64(c.in.buffered()) >= int64(len(bulk{}))
}

// splice has the system copy the body to w. from is w.
func (b *responseBody) splice(w io.Writer, from io.ReaderFrom) (n int64, werr, err error) {
	if n, werr, err = b.flush(w); werr != nil {
		return n, werr, err
	}
	c := b.Conn
	var src io.Reader = c.nc
	if b.kind == byLength {
		src = &io.LimitedReader{R: c.nc, N: b.left}
	}
	moved, err := from.ReadFrom(src)
	n += moved
	switch {
	case err != nil:
		return n, nil, c.explain(err)
	case b.kind == byLength && moved < b.left:
		return n, nil, io.ErrUnexpectedEOF
	}
	b.left -= moved
	return n, nil, io.EOF
}

// finish ends the exchange. It is called once, by the Read, Close or WriteTo that has ended the body.
func (b *responseBody) finish(err error, interrupted bool) {
	e := (*Exchange)(b)
	var how exchange.End
	switch {
	case b.state.Load()&bodyDiscarded != 0:
		how = exchange.EndDiscarded
	case err == io.EOF:
		how = ends[b.after]
	case interrupted:
		how = exchange.EndUnread
	case e.Req.Context().Err() != nil:
		how = exchange.GivenUp(e.Req.Context())
	default:
		how = endOf(err)
	}
	e.end(e.received(how))
}

// Closed returns nil before Close has been called, and the error of a Read afterwards.
func (b *responseBody) Closed() error {
	if b.state.Load()&bodyClosed != 0 {
		return ErrBodyReadAfterClose
	}
	return nil
}

// Close ends the exchange. If little of the body is left, it is read, so that the connection survives: at most 256 KiB, for at
// most 50 milliseconds. Close waits for this for at most 10 milliseconds. If more is left, the connection is closed. Close may be
// called twice. After Close, nobody reads the body of the request any more, except for a Read that blocks for longer than
// exchange.ReadWait.
func (b *responseBody) Close() error {
	if b.sending != nil {
		defer (*Exchange)(b).finishUpload() // also if another goroutine has ended the exchange, or is about to
	}
	switch was := b.state.Or(bodyClosed); {
	case was&(bodyClosed|bodyOver) != 0:
	case was&bodyReading != 0:
		b.closeWhileRead(was&bodyDiscarded == 0)
	case was&bodyDiscarded != 0:
		b.finish(errNotDrained, true)
	default:
		b.drain()
	}
	return nil
}
