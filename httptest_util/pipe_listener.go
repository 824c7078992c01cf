package httptestutil

import (
	"context"
	"fmt"
	"net"
	"sync"
	"syscall"
)

// Listener is a net.Listener in memory: the connections that it accepts are
// those that its Dial method makes. It works inside a testing/synctest bubble
// and is safe for concurrent use.
type Listener struct {
	buffer int

	mu      sync.Mutex // guards the fields below
	arrived sync.Cond  // waiting has grown, or closed is set
	waiting []*PipeConn
	dials   int
	closed  bool
}

// NewListener returns a Listener whose connections hold up to buffer bytes in
// each direction, any number if buffer is 0, as those of [Pipe] do.
func NewListener(buffer int) *Listener {
	l := &Listener{buffer: buffer}
	l.arrived.L = &l.mu
	return l
}

// Dial connects to the listener, whatever the address says, and returns at
// once, before the connection is accepted. It serves as the DialContext of a
// client under test. It fails if ctx is done, and with ECONNREFUSED if the
// listener is closed.
func (l *Listener) Dial(ctx context.Context, _, addr string) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := ctx.Err()
	if err == nil && l.closed {
		err = syscall.ECONNREFUSED
	}
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "pipe", Addr: PipeAddr(addr), Err: err}
	}
	l.dials++
	client, server := pipe(l.buffer, PipeAddr(fmt.Sprintf("client-%d", l.dials)), PipeAddr(addr))
	l.waiting = append(l.waiting, server)
	l.arrived.Signal()
	return client, nil
}

// Accept waits for a connection. It returns an error that is [net.ErrClosed]
// once the listener is closed.
func (l *Listener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.waiting) == 0 && !l.closed {
		l.arrived.Wait()
	}
	if l.closed {
		return nil, &net.OpError{Op: "accept", Net: "pipe", Addr: l.Addr(), Err: net.ErrClosed}
	}
	c := l.waiting[0]
	l.waiting = l.waiting[1:]
	return c, nil
}

// Close ends Accept and resets the connections that nobody has accepted. The
// others stay.
func (l *Listener) Close() error {
	l.mu.Lock()
	waiting := l.waiting
	l.closed, l.waiting = true, nil
	l.arrived.Broadcast()
	l.mu.Unlock()
	for _, c := range waiting {
		c.Reset()
	}
	return nil
}

// Addr returns the listener's address, which says nothing.
func (l *Listener) Addr() net.Addr { return PipeAddr("listener") }

// Dials returns how many connections have been made so far.
func (l *Listener) Dials() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dials
}
