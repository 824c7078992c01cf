package http1

import (
	"errors"
	"io"
	"math"
	"net"
	"os"
	"sync"
)

// bulk is a buffer for bodies that are copied or discarded. It is so large that a call of the system costs little beside the
// bytes that it copies. A Writer gets a part of it, and must not keep it.
type bulk [64 << 10]byte

var bulks = sync.Pool{New: func() any { return new(bulk) }}

var (
	errWriterPanicked = errors.New("peerpool: a writer panicked while a response body was copied to it")
	errInvalidWrite   = errors.New("peerpool: a writer claims to have written what it was not given")
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
