package http1

import (
	"io"
	"sync/atomic"
	"time"

	"github.com/peerpool/peerpool/internal/exchange"
)

const (
	maxDrain  = 256 << 10             // bytes of a closed body that are read so that its connection survives
	drainWait = 50 * time.Millisecond // how long they may take to arrive
	closeWait = 10 * time.Millisecond // how long Close waits for that
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

// closeWhileRead leaves the end to the Read that is under way; see readAfterClose. If the rest of the body is worth draining, the
// Read has as much time as a drain has.
func (b *responseBody) closeWhileRead(patient bool) {
	if !patient || !b.endsByItself() {
		b.Conn.Abort(ErrBodyReadAfterClose)
		return
	}
	time.AfterFunc(drainWait, func() {
		if b.state.Or(bodyLate)&bodyInTime == 0 {
			b.Conn.Abort(ErrBodyReadAfterClose)
		}
	})
}

// readAfterClose does the rest of Close when the Read that was under way has returned. err is how the body has ended, or nil if
// it has not.
func (b *responseBody) readAfterClose(err error) {
	late := b.state.Or(bodyInTime)&bodyLate != 0
	if late {
		b.Conn.Abort(ErrBodyReadAfterClose) // the timer calls it too, but may not have done so yet
	}
	switch {
	case late || b.Conn.aborted() == ErrBodyReadAfterClose:
		b.finish(ErrBodyReadAfterClose, true)
	case err != nil:
		b.finish(err, false)
	default:
		b.drain()
	}
}

// endsByItself reports whether the connection could be used again if the body were read to its end.
func (b *responseBody) endsByItself() bool {
	return ends[b.after] == exchange.Reusable && b.kind != untilClose
}

// drain reads the rest of a body that nobody else uses any more, if that is little, and ends the exchange. A goroutine reads
// what has not arrived yet. It belongs to the exchange, and ends within drainWait.
func (b *responseBody) drain() {
	e := (*Exchange)(b)
	if !b.endsByItself() || b.kind == byLength && b.left > maxDrain {
		b.finish(errNotDrained, true)
		return
	}
	left := maxDrain
	if err := b.drainBuffered(&left); err != nil {
		b.finish(err, true)
		return
	}
	e.notice()
	// The caller may cancel the request's context as soon as Close has returned, and from here on that has no effect. If the
	// request's body is still being sent, there is no drain: it would go on after Close.
	if e.sending != nil && !e.sent() {
		e.end(e.received(exchange.EndUnsent))
		return
	}
	if !e.conclude() {
		e.received(exchange.EndUnread)
		return
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		e.done(e.received(endOfDrain(b.drainArriving(left), ends[b.after])))
	}()
	timer := time.NewTimer(closeWait)
	defer timer.Stop()
	select {
	case <-drained:
	case <-timer.C:
	}
}

func endOfDrain(err error, after exchange.End) exchange.End {
	if err == io.EOF {
		return after
	}
	return exchange.EndUnread
}

// drainBuffered reads what has arrived in the buffer. If the body ends, it returns how: io.EOF is the proper end.
func (b *responseBody) drainBuffered(left *int) error {
	for b.readsAtOnce() {
		if err := b.drainSome(left); err != nil {
			return err
		}
	}
	return nil
}

// drainArriving reads what has not arrived yet.
func (b *responseBody) drainArriving(left int) error {
	c := b.Conn
	timer := time.AfterFunc(drainWait, func() { c.Abort(errDrainTimeout) })
	defer func() {
		if !timer.Stop() {
			c.Abort(errDrainTimeout) // the timer calls it too, but may not have done so yet
		}
	}()
	if b.kind == byLength {
		_, _, err := b.copyTo(io.Discard)
		return err
	}
	for {
		if err := b.drainSome(&left); err != nil {
			return err
		}
	}
}

func (b *responseBody) drainSome(left *int) error {
	bulk := bulks.Get().(*bulk)
	defer bulks.Put(bulk)
	n, err := b.read(bulk[:])
	if *left -= n; err == nil && *left < 0 {
		return errNotDrained
	}
	return err
}

// readsAtOnce reports whether the next read does not wait for the peer.
func (b *responseBody) readsAtOnce() bool {
	in := b.Conn.in
	arrived := in.buf[in.r:in.w]
	if b.kind != byChunks {
		return len(arrived) > 0
	}
	switch chunk := &in.chunk; {
	case chunk.last:
		return trailerIn(arrived)
	case chunk.left > 0:
		return len(arrived) > 0
	case chunk.inside:
		arrived = arrived[min(len(crlf), len(arrived)):]
	}
	line, rest, whole := cutLine(arrived)
	if size, err := parseChunkSize(line); whole && err == nil && size == 0 {
		return trailerIn(rest)
	}
	return len(rest) > 0 && whole
}
