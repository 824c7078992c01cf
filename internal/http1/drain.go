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
