package http1

import (
	"net"
	"syscall"
)

// Looker reads what has arrived on a connection, and does not wait for more. It is for a connection that another package runs.
// Only the goroutine that reads from the connection may use it.
type Looker struct {
	nc      net.Conn
	raw     syscall.RawConn
	records *records // nil without TLS
}

// NewLooker returns the Looker of a connection. It returns nil if a layer of the connection is not ours, not crypto/tls and not a
// socket, or if a layer of TLS is not over ours.
func NewLooker(nc net.Conn) *Looker {
	raw := KernelSocket(nc)
	if raw == nil {
		return nil
	}
	under := lowest(nc)
	if under == nil && !isSocket(nc) {
		return nil
	}
	return &Looker{nc, raw, under}
}

// Read is the Read of the connection, but if nothing has arrived, it returns an error that is a timeout.
func (l *Looker) Read(p []byte) (int, error) {
	how := looking{is: true, raw: l.raw}
	if l.records == nil {
		if !how.finds() {
			return 0, errNothing
		}
		return l.nc.Read(p)
	}
	return l.read(p, how)
}

// ReadHeld is Read, but it reads only what crypto/tls has already read from the socket.
func (l *Looker) ReadHeld(p []byte) (int, error) {
	if l.records == nil {
		return 0, errNothing
	}
	return l.read(p, looking{is: true})
}

func (l *Looker) read(p []byte, how looking) (int, error) {
	l.records.look = how
	n, err := l.nc.Read(p)
	l.records.look = looking{}
	return n, err
}
