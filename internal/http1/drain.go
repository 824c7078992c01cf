package http1

import (
	"io"
	"time"

	"github.com/peerpool/peerpool/internal/exchange"
)

const (
	maxDrain  = 256 << 10             // bytes of a closed body that are read so that its connection survives
	drainWait = 50 * time.Millisecond // how long they may take to arrive
	closeWait = 10 * time.Millisecond // how long Close waits for that
)

// Close ends the exchange. If little of the body is left, it is read, so that the connection survives: at most 256 KiB,
// for at most 50 milliseconds. Close waits for this 10 milliseconds at most. If more is left, the connection is closed.
// Closing twice is harmless. The body of the request is not read from any more then, but by a Read that blocks for longer
// than exchange.ReadWait.
func (b *body) Close() error {
	defer (*Exchange)(b).finishUpload() // also if another has ended the exchange, or is about to
	switch was := b.state.set(bodyClosed); {
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

// closeWhileRead leaves the end to the Read that is under way, see readAfterClose. That Read has as long as a drain,
// where there can be one.
func (b *body) closeWhileRead(patient bool) {
	if !patient || !b.endsByItself() {
		b.Conn.Abort(ErrBodyReadAfterClose)
		return
	}
	time.AfterFunc(drainWait, func() {
		if b.state.set(bodyLate)&bodyInTime == 0 {
			b.Conn.Abort(ErrBodyReadAfterClose)
		}
	})
}

// readAfterClose goes on for Close when the Read that was under way has returned: err is how the body ended, nil if there
// is more to come.
func (b *body) readAfterClose(err error) {
	late := b.state.set(bodyInTime)&bodyLate != 0
	if late {
		b.Conn.Abort(ErrBodyReadAfterClose) // as is being done: nobody may find the connection usable
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

// endsByItself says whether the connection could be used again if the body were read to its end.
func (b *body) endsByItself() bool { return ends[b.after] == exchange.Reusable && b.kind != untilClose }

// drain reads the rest of a body that nobody else uses any more, if that is little, and ends the exchange. What is still
// to arrive is read by a goroutine that is the exchange's, and ends in drainWait.
func (b *body) drain() {
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
	// The caller may cancel the request's context as soon as Close has returned: from here on that ends nothing. Nor
	// does a drain outlive Close while a request body is still sent.
	if !e.sent() {
		e.receivedAll(exchange.EndUnsent)
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

// drainBuffered reads what has been read ahead already. An error is the end of the body; io.EOF: the proper one.
func (b *body) drainBuffered(left *int) error {
	for b.readsAtOnce() {
		if err := b.drainSome(left); err != nil {
			return err
		}
	}
	return nil
}

// drainArriving reads what is still to come.
func (b *body) drainArriving(left int) error {
	c := b.Conn
	timer := time.AfterFunc(drainWait, func() { c.Abort(errDrainTimeout) })
	defer func() {
		if !timer.Stop() {
			c.Abort(errDrainTimeout) // it has fired: nobody may find the connection usable
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

func (b *body) drainSome(left *int) error {
	bulk := bulks.Get().(*bulk)
	defer bulks.Put(bulk)
	n, err := b.read(bulk[:])
	if *left -= n; err == nil && *left < 0 {
		return errNotDrained
	}
	return err
}

// readsAtOnce says that reading on does not wait for the peer.
func (b *body) readsAtOnce() bool {
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
