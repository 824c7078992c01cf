package http1

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// Condition is what a probe found on a connection that idles.
type Condition int

const (
	Quiet      Condition = iota // nothing: it can serve another exchange
	PeerClosed                  // the peer closed it, or is about to
	Unexpected                  // bytes that answer no request (RFC 9112 section 9.2)
)

// peeked is how many bytes of what lies in a socket are looked at.
const peeked = len("HTTP/1.x 408")

// Probe looks for a close or for bytes that nobody asked for on a connection without an exchange. It
// never blocks and is meant to be called before the connection is used again. A server that answers
// before it is asked cannot be caught by any probe if its bytes arrive later; what has arrived is always
// seen:
//
//   - in a TLS record that is read already but not decrypted: by a read whose deadline has passed;
//   - in the socket: by a peek that takes nothing away;
//   - on a connection that hides its socket: by a read left pending while it idles, as soon as the goroutine
//     that reads has had its turn.
func (c *Conn) Probe() Condition {
	if cond := c.Rest(); cond != Quiet || c.raw == nil {
		return cond
	}
	if c.tls() == nil {
		return c.probePlain()
	}
	return c.probeTLS()
}

// Rest is the part of Probe that asks the system nothing: meant for a connection that becomes idle, which is
// probed before it is used again. It finds what came with the last response, and has a connection that hides its
// socket read ahead.
func (c *Conn) Rest() Condition {
	switch {
	case c.aborted() != nil:
		return PeerClosed
	case c.in.buffered() > 0:
		return Unexpected
	case c.raw == nil:
		return c.probeOpaque()
	case c.used && !c.decrypted && c.tls() != nil: // before the first exchange session tickets may lie there
		return c.probeRecords()
	}
	return Quiet
}

func (c *Conn) probePlain() Condition {
	b, n, err := peek(c.raw)
	switch {
	case err != nil || n == 0:
		return PeerClosed
	case n < 0:
		return Quiet
	case isRequestTimeout(b[:n]):
		return PeerClosed // a 408 on an idle connection announces its end (RFC 9110 section 15.5.9)
	}
	return Unexpected
}

func isRequestTimeout(b []byte) bool {
	const want = "HTTP/1.x 408"
	return len(b) >= len(want) && string(b[:7]) == want[:7] && string(b[8:12]) == want[8:]
}

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

func (c *Conn) probeTLS() Condition {
	b, n, err := peek(c.raw)
	switch {
	case err != nil || n == 0:
		return PeerClosed
	case n < 0 || !c.used:
		return Quiet
	case isAlertRecord(b[:n]):
		return PeerClosed
	}
	return Unexpected
}

// probeRecords finds what crypto/tls has read from the socket together with the last response, which is
// looked for once: nothing is added while nobody reads. A passed deadline stops it before it reads the socket, and a timeout leaves it usable.
func (c *Conn) probeRecords() Condition {
	t := c.tls()
	if err := t.SetReadDeadline(longAgo); err != nil {
		return PeerClosed
	}
	var one [1]byte
	n, err := t.Read(one[:])
	if n > 0 {
		return Unexpected
	}
	if ne, ok := err.(net.Error); !(ok && ne.Timeout()) && !errors.Is(err, os.ErrDeadlineExceeded) {
		return PeerClosed
	}
	if err := t.SetReadDeadline(time.Time{}); err != nil {
		return PeerClosed
	}
	c.decrypted = true // and so it stays until somebody reads
	if c.under != nil {
		c.under.ahead = false
	}
	return Quiet
}

// isAlertRecord tells a close_notify from application data: in TLS 1.2 by the type of the record, in
// TLS 1.3 (where every record looks like application data) by its length of two bytes, a type and a tag.
func isAlertRecord(b []byte) bool {
	const alert, applicationData, alertLength13 = 21, 23, 2 + 1 + 16
	if len(b) < 5 {
		return false
	}
	length := int(b[3])<<8 | int(b[4])
	return b[0] == alert || b[0] == applicationData && length == alertLength13
}

// readAhead is a read of one byte that stays pending while an opaque connection idles: nothing else
// works for every net.Conn. The next exchange receives its first byte through it. Its goroutine
// belongs to the Conn and ends with the byte, or when the connection is closed.
type readAhead struct {
	claimed atomic.Bool // by the next exchange, or by the goroutine that ends the idling: whoever comes first
	done    chan struct{}
	b       [1]byte
	n       int
	err     error
}

func (c *Conn) probeOpaque() Condition {
	if c.ahead == nil {
		c.ahead = c.newReadAhead()
		return Quiet
	}
	select {
	case <-c.ahead.done:
		return c.ahead.found()
	default:
		return Quiet
	}
}

func (c *Conn) newReadAhead() *readAhead {
	a := &readAhead{done: make(chan struct{})}
	go func() {
		a.n, a.err = c.nc.Read(a.b[:])
		close(a.done)
		if c.IdleEnded != nil && !a.claimed.Swap(true) {
			c.IdleEnded(a.found())
		}
	}()
	return a
}

// found says what ended the read; call it when done is closed.
func (a *readAhead) found() Condition {
	if a.n > 0 {
		return Unexpected
	}
	return PeerClosed
}

// claim makes the pending read part of an exchange.
func (c *Conn) claim() {
	if c.ahead != nil {
		c.ahead.claimed.Store(true)
	}
}

func (a *readAhead) take(p []byte) (int, error) {
	<-a.done
	return copy(p, a.b[:a.n]), a.err
}
