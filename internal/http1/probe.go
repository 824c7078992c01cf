package http1

import (
	"net"
	"time"
)

// Condition is what a probe found on a connection that idles.
type Condition uint8

const (
	Quiet      Condition = iota // nothing: it can serve another exchange
	PeerClosed                  // the peer closed it, or is about to
	Unexpected                  // bytes that answer no request (RFC 9112 section 9.2)
)

// peeked is how many bytes of what lies in a socket are looked at.
const peeked = len("HTTP/1.x 408")

// Probe looks for a close or for bytes that nobody asked for on a connection without an exchange. It does not wait for the
// peer, and is meant to be called before the connection is used, whether it has been used before or not. A server that
// answers before it is asked cannot be caught by any probe if its bytes arrive later. What has arrived is seen:
//
//   - in the socket: by a peek that takes nothing away;
//   - in TLS, of which the kernel knows nothing: by reading through crypto/tls what has been read from the socket already,
//     or lies in it. So session tickets are taken, and a close_notify is a close. A part of a record is seen, too;
//   - in layers that we do not know: by a read left pending while the connection idles. If it has only just begun, Probe
//     waits until it has had its turn.
func (c *Conn) Probe() Condition {
	if cond := c.Rest(); cond != Quiet {
		return cond
	}
	if c.veil != nil {
		return c.probeVeiled()
	}
	b, n, err := peek(c.raw)
	switch {
	case err != nil || n == 0:
		return PeerClosed
	case n < 0:
		return Quiet
	case c.tls() != nil:
		c.look(looking{is: true, raw: c.raw})
		return c.found
	}
	return conditionOf(b[:n])
}

// Rest is the part of Probe that asks the system nothing: meant for a connection that becomes idle, which is
// probed before it is used again. It finds what came with the last response, and has a veiled connection read ahead.
func (c *Conn) Rest() Condition {
	switch {
	case c.aborted() != nil:
		return PeerClosed
	case c.in.buffered() > 0:
		return Unexpected
	case c.found != Quiet:
		return c.found
	case c.veil != nil:
		return c.restVeiled()
	case !c.decrypted && c.tls() != nil:
		c.look(looking{is: true})
	}
	return c.found
}

func isRequestTimeout(b []byte) bool {
	const want = "HTTP/1.x 408"
	return len(b) >= len(want) && string(b[:7]) == want[:7] && string(b[8:12]) == want[8:]
}

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// restOfRecord is how long the rest of what lies in a socket under a foreign TLS connection may take to be read.
const restOfRecord = time.Millisecond

// look has what is found in crypto/tls stay found: it is taken out of there.
func (c *Conn) look(how looking) { c.found = c.lookInto(how) }

// lookInto reads what crypto/tls holds, or lets it read what has arrived besides, which is told of by how. Without that,
// nothing is added while nobody reads, so that once is enough. Nothing waits but a connection of a custom TLS dialer, for
// restOfRecord.
func (c *Conn) lookInto(how looking) Condition {
	t := c.tls()
	if ours := lowest(c.nc); ours != nil {
		ours.look = how
		defer func() { ours.look = looking{} }()
	} else {
		until := longAgo
		if how.raw != nil {
			until = time.Now().Add(restOfRecord)
		}
		if err := t.SetReadDeadline(until); err != nil {
			return PeerClosed
		}
	}
	var b [peeked]byte
	n, err := t.Read(b[:])
	if n > 0 {
		return conditionOf(b[:n])
	}
	if ne, ok := err.(net.Error); !ok || !ne.Timeout() {
		return PeerClosed
	}
	if inRecord(c.nc) {
		return Unexpected
	}
	if lowest(c.nc) == nil {
		if inForeignRecord(t) {
			return Unexpected
		}
		if err := t.SetReadDeadline(time.Time{}); err != nil {
			return PeerClosed
		}
	}
	c.decrypted = true // and so it stays until somebody reads
	if c.under != nil {
		c.under.ahead = false
	}
	return Quiet
}
