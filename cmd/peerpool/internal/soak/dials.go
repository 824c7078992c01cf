package soak

import (
	"net"
	"sync"
	"syscall"
)

// dials holds the sockets that the Transports have opened. The garbage collector closes a socket without references, which
// would hide that the Transport has not closed it. It cannot close a socket that dials holds.
type dials struct {
	mu    sync.Mutex // guards the fields below; held while open asks each socket
	held  []syscall.RawConn
	prune int // closed sockets are dropped when there are as many sockets
}

const leastHeld = 1024

// dialer returns a Dialer that holds its sockets.
func (d *dials) dialer() *net.Dialer {
	return &net.Dialer{Control: func(_, _ string, socket syscall.RawConn) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.held = append(d.held, socket); len(d.held) >= d.prune {
			d.dropClosedLocked()
			d.prune = max(2*len(d.held), leastHeld)
		}
		return nil
	}}
}

// open returns how many of the sockets are open.
func (d *dials) open() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dropClosedLocked()
	return len(d.held)
}

func (d *dials) dropClosedLocked() {
	open := d.held[:0]
	for _, socket := range d.held {
		if err := socket.Control(func(uintptr) {}); err == nil {
			open = append(open, socket)
		}
	}
	clear(d.held[len(open):])
	d.held = open
}
