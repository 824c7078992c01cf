package http1

import (
	"net"
	"time"
)

// Condition is what a probe has found on an idle connection.
type Condition uint8

const (
	Quiet      Condition = iota // nothing: it can serve another exchange
	PeerClosed                  // the peer closed it, or is about to
	Unexpected                  // bytes that answer no request (RFC 9112 section 9.2)

	inPart // a part of a TLS record; look finds out what it belongs to
)

// peeked is how many of the bytes in a socket a probe looks at.
const peeked = len("HTTP/1.x 408")

// Probe looks for a close, and for bytes that answer no request, on a connection without an exchange. It does not wait for the
// peer. Call it before each use of the connection, the first one included. No probe can find bytes that arrive later. Probe finds
// what has arrived:
//
//   - in the socket: by a peek, which takes nothing away;
//   - in TLS: by reading through crypto/tls what is in the socket, and what crypto/tls has read from it. Session tickets are
//     taken, and a close_notify is a close. If a part of a record has arrived, Probe waits for the rest for a moment;
//   - in layers of unknown types: by a read that is pending while the connection idles. If the read has just begun, Probe waits
//     until it has had its turn. On Linux, Probe compares what the socket has received with what has come out of the layer, and
//     so knows whether the layer holds something; see tap.
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
	case c.traits&overTLS != 0:
		c.look(looking{is: true, raw: c.raw})
		return c.found
	}
	return conditionOf(b[:n])
}

// Rest is the part of Probe that makes no call of the system, unless a part of a TLS record has arrived. Call it when a connection
// becomes idle; call Probe before the next use. Rest finds what came together with the last response. On a veiled connection, it
// begins the read that is pending while the connection idles.
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
	case c.traits&overTLS != 0 && !c.decrypted:
		c.look(looking{is: true})
	}
	return c.found
}

func isRequestTimeout(b []byte) bool {
	const want = "HTTP/1.x 408"
	return len(b) >= len(want) && string(b[:7]) == want[:7] && string(b[8:12]) == want[8:]
}

// longAgo is a deadline in the past.
var longAgo = time.Unix(1, 0)

const (
	// restOfRecord is how long a look waits for the rest of a record of which a part has arrived.
	restOfRecord = time.Millisecond

	// restOfTicket is that time on a connection without an exchange so far. Some servers send a session ticket together with
	// the end of the handshake (RFC 8446 section 4.6.1), and its end may be in a packet that follows, or that is sent again
	// because it was lost.
	restOfTicket = 300 * time.Millisecond
)

// look looks for what crypto/tls holds, and keeps what it has found: the bytes are no longer in crypto/tls.
func (c *Conn) look(how looking) {
	if c.found = c.lookInto(how, time.Time{}); c.found == inPart {
		c.found = c.lookForRest()
	}
}

// lookForRest is called when a part of a record has arrived. It waits for the rest, which shows whether it belongs to a session
// ticket, or answers no request.
func (c *Conn) lookForRest() Condition {
	for until := time.Now().Add(c.restTime()); ; {
		found := c.lookInto(looking{is: true, raw: c.raw, rest: partial(c.nc)}, until)
		if found != inPart {
			return found
		}
		if !time.Now().Before(until) {
			return Unexpected
		}
	}
}

func (c *Conn) restTime() time.Duration {
	if c.traits&used == 0 {
		return restOfTicket
	}
	return restOfRecord
}

// lookInto reads what crypto/tls holds, and as much more as how says. One look is enough: crypto/tls gets nothing new while
// nobody reads. If how says that lookInto waits, it waits until then at most. On a connection of a custom TLS dialer, it may wait
// for restOfRecord.
func (c *Conn) lookInto(how looking, until time.Time) Condition {
	t := c.tls()
	if ours := lowest(c.nc); ours != nil {
		ours.look = how
		defer func() { ours.look = looking{} }()
	} else {
		until = longAgo
		if how.raw != nil {
			until = time.Now().Add(restOfRecord)
		}
	}
	if !until.IsZero() {
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
	if !until.IsZero() {
		if err := t.SetReadDeadline(time.Time{}); err != nil {
			return PeerClosed
		}
	}
	if partial(c.nc) != nil || lowest(c.nc) == nil && inForeignRecord(t) {
		return inPart
	}
	c.decrypted = true // and so it stays until somebody reads
	if c.under != nil {
		c.under.ahead = false
	}
	return Quiet
}
