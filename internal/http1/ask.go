package http1

import (
	"net"
	"sync"
	"time"
)

// An ask writes a request and waits for the answer in one go. To try to read before anything can have come costs a
// system call per request; not to try is safe only where the wait begins before the write, so that what the system
// reports in between is not missed, and where a close that was reported even before is told by somebody else: see
// [Conn.Rouse]. These are the states of a connection in that respect.
const (
	calm     = iota
	underWay // an ask waits, or is about to
	roused   // for good: nobody asks on the connection any more
)

// untried is how many bytes of a request have been sent before that has been tried.
const untried = -2

// rousing is held by Rouse, so that what it does is done when an ask that was roused goes on. Both are rare and
// brief, so one serves all connections.
var rousing sync.Mutex

// canAsk says whether the connection is one that is asked on: a socket, perhaps with TLS over it, but with nothing that
// could want to see what is written, and watched by somebody who calls Rouse.
func (c *Conn) canAsk() bool {
	if !askable || c.Watching != BeingWatched {
		return false
	}
	if c.under != nil {
		return c.under.exact && c.under.tcp != nil
	}
	_, ok := c.nc.(*net.TCPConn)
	return ok
}

// ask is Write, and waits for the first bytes of the answer, which the next fill finds. It comes back without them if
// that is the way to learn what has become of the connection. The input buffer must have been taken.
func (c *Conn) ask(b []byte) (n int, err error) {
	if c.under == nil {
		n, err = c.askSocket(c.nc, c.in, b)
	} else {
		c.under.want = uint16(len(b)) // at most maxDirect
		n, err = c.nc.Write(b)
		c.under.want = 0
	}
	return n, c.explain(err)
}

// askSocket asks on the socket itself, and leaves in in what it receives.
func (c *Conn) askSocket(socket net.Conn, in *input, b []byte) (int, error) {
	if !c.asking.CompareAndSwap(calm, underWay) {
		return socket.Write(b)
	}
	in.out, in.sent, in.failed = b, untried, nil
	_ = c.raw.Read(in.attend) // an error of the wait is one that the next write or read meets, too
	if !c.asking.CompareAndSwap(underWay, calm) {
		c.calmDown()
	}
	in.out = nil
	switch n := max(in.sent, 0); {
	case in.sent == -1:
		return 0, opError("write", socket, in.failure())
	case n < len(b):
		rest, err := socket.Write(b[n:])
		return n + rest, err
	case in.failed != nil:
		in.failed = opError("read", socket, in.failed)
	}
	return len(b), nil
}

// ask is what the poller calls: once at the start of the wait, and then whenever something has happened to the socket.
func (in *input) ask(fd uintptr) (done bool) {
	if in.sent == untried {
		in.sent, in.failed = sendNow(int(fd), in.out)
		return in.sent < len(in.out)
	}
	n, err := receiveNow(int(fd), in.buf[in.w:])
	if n < 0 {
		return false
	}
	in.w += n
	in.failed = err
	return true
}

// failure returns what went wrong in an ask, once.
func (in *input) failure() error {
	err := in.failed
	in.failed = nil
	return err
}

// Rouse is to be called when the peer has closed the connection, or its sending half. An ask that has just begun may
// not hear of that from the system any more, so it is made to look; later exchanges always look.
func (c *Conn) Rouse() {
	rousing.Lock()
	defer rousing.Unlock()
	if c.asking.Swap(roused) == underWay {
		_ = c.Socket().SetReadDeadline(longAgo)
	}
}

// calmDown takes back what Rouse has done: what the peer sent before it closed can still be read.
func (c *Conn) calmDown() {
	rousing.Lock()
	defer rousing.Unlock()
	_ = c.Socket().SetReadDeadline(time.Time{})
}
