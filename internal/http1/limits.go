package http1

import (
	"net"
	"time"

	"github.com/peerpool/peerpool/internal/exchange"
)

// maxPiece is how many bytes are written at a time, if there is a limit, to TLS or to a layer of unknown type. These do not say
// how many of the bytes have been sent, so a peer that takes less than a piece seems to take nothing.
const maxPiece = 4 << 10

// endReadLimit takes the limit back, before another exchange has the connection.
func (c *Conn) endReadLimit() {
	if c.in.limit > 0 && c.veil == nil {
		_ = c.nc.SetReadDeadline(time.Time{})
	}
	c.in.limit = 0
}

// limitsReads reports whether reads are bounded. The system cannot copy or throw away anything then, as it does not bound a
// pause.
func (c *Conn) limitsReads() bool { return c.in != nil && c.in.limit > 0 }

// readWithin is Read within the limit. When that has passed, the connection is aborted.
func (c *Conn) readWithin(p []byte) (n int, err error) {
	limit := c.in.limit
	if c.veil != nil { // whose layers may set deadlines of their own
		timer := time.AfterFunc(limit, func() { c.Abort(exchange.ErrBodyRead) })
		n, err = c.read(p)
		if !timer.Stop() {
			c.Abort(exchange.ErrBodyRead)
		}
		return n, c.explain(err)
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(limit))
	n, err = c.read(p)
	if err != nil && exchange.IsTimeout(err) && c.aborted() == nil {
		c.Abort(exchange.ErrBodyRead)
	}
	return n, c.explain(err)
}

// writeWithin is Write, and fails if the peer takes nothing for as long as the limit. Zero means no limit. After a
// failure nothing more can be written; what the peer has sent can still be read.
func (c *Conn) writeWithin(p []byte, limit time.Duration) (n int, err error) {
	switch {
	case limit <= 0:
		return c.Write(p)
	case c.veil != nil:
		for n < len(p) && err == nil {
			timer := time.AfterFunc(limit, func() { c.Abort(exchange.ErrBodyWrite) })
			var took int
			took, err = c.Write(p[n:min(n+maxPiece, len(p))])
			n += took
			if !timer.Stop() {
				c.Abort(exchange.ErrBodyWrite) // the timer calls it too, but may not have done so yet
			}
		}
		return n, err
	}
	piece, resumes := maxPiece, false // resumes: a write says how much it has sent when its deadline passes
	switch c.nc.(type) {
	case *net.TCPConn, *net.UnixConn:
		piece, resumes = len(p), true
	}
	for n < len(p) {
		_ = c.nc.SetWriteDeadline(time.Now().Add(limit))
		took, err := c.nc.Write(p[n:min(n+piece, len(p))])
		n += took
		switch {
		case err == nil:
		case !exchange.IsTimeout(err) || c.aborted() != nil:
			return n, c.explain(err)
		case took == 0 || !resumes:
			return n, exchange.ErrBodyWrite
		}
	}
	return n, nil
}

// endWriteLimit takes back what writeWithin has set.
func (c *Conn) endWriteLimit(limit time.Duration) {
	if limit > 0 && c.veil == nil {
		_ = c.nc.SetWriteDeadline(time.Time{})
	}
}

// write sends a part of the request within the limit.
func (u *upload) write(p []byte) (int, error) {
	return u.e.Conn.writeWithin(p, u.e.Opts.BodyWriteTimeout)
}
