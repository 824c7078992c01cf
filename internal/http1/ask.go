package http1

import (
	"net"
	"sync"
	"time"

	"github.com/peerpool/peerpool/internal/socket"
)

// An ask writes a request and waits for the answer at the same time. A read that follows the write at once finds nothing, and
// costs a call of the system. An ask leaves it out. That is safe only if the wait begins before the write, so that the ask does
// not miss what the system reports in between, and if somebody else tells of a close that was reported before: see [Conn.Rouse].
// These are the states of a connection.
const (
	calm     = iota
	underWay // an ask waits, or is about to wait
	roused   // the peer has closed: there is no further ask
)

// untried is the number of bytes sent before an ask has tried to send any.
const untried = -2

// rousing is held while Rouse or calmDown sets a deadline, so that calmDown comes after the Rouse that it follows. Both are rare
// and brief, so there is one for all connections.
var rousing sync.Mutex

// canAsk reports whether an ask is possible: the connection is a socket, or our TLS over one, with no other layer that has to
// see what is written, and somebody watches it and calls Rouse.
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

// ask writes b, and waits for the first bytes of the answer, which the next fill finds. If writing or waiting fails, ask may
// return without an answer; the next write or read then returns the error. The caller has called takeInput.
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

// askSocket asks on the socket itself. What it receives is in in.
func (c *Conn) askSocket(socket net.Conn, in *input, b []byte) (int, error) {
	if !c.asking.CompareAndSwap(calm, underWay) {
		return socket.Write(b)
	}
	in.out, in.sent, in.failed = b, untried, nil
	_ = c.raw.Read(in.attend) // the next write or read returns the error of the wait, too
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

// ask is called by the poller: once at the start of the wait, and then whenever something has happened to the socket.
func (in *input) ask(fd uintptr) (done bool) {
	if in.sent == untried {
		in.sent, in.failed = socket.Send(fd, in.out)
		return in.sent < len(in.out)
	}
	n, err := socket.Receive(fd, in.buf[in.w:])
	if n < 0 {
		return false
	}
	in.w += n
	in.failed = err
	return true
}

// failure returns the error of an ask, once.
func (in *input) failure() error {
	err := in.failed
	in.failed = nil
	return err
}

// Rouse is to be called when the peer has closed the connection, or its sending half. The system does not report the close
// again to an ask that has just begun, so Rouse makes the ask look. Later exchanges on the connection do not ask.
func (c *Conn) Rouse() {
	rousing.Lock()
	defer rousing.Unlock()
	if c.asking.Swap(roused) == underWay {
		_ = c.Socket().SetReadDeadline(longAgo)
	}
}

// calmDown takes back the deadline that Rouse has set: what the peer sent before it closed can still be read.
func (c *Conn) calmDown() {
	rousing.Lock()
	defer rousing.Unlock()
	_ = c.Socket().SetReadDeadline(time.Time{})
}
