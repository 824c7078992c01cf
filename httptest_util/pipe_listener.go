package httptestutil

import (
	"context"
	"fmt"
	"net"
	"sync"
	"syscall"
)

// Listener is a net.Listener in memory. It accepts the connections that its
// Dial method makes. It works inside a testing/synctest bubble and is safe
// for concurrent use.
type Listener struct {
	buffer int

	mu      sync.Mutex // guards the fields below
	arrived sync.Cond  // waiting has grown, or closed is set
	waiting []*PipeConn
	dials   int
	closed  bool
}

// NewListener returns a Listener. Each direction of its connections holds up
// to buffer unread bytes, as with [Pipe]. If buffer is 0, the number is not
// limited.
func NewListener(buffer int) *Listener {
	l := &Listener{buffer: buffer}
	l.arrived.L = &l.mu
	return l
}

// Dial connects to the listener and ignores the network and the address. It
// returns at once, before the connection is accepted. Use it as the
// DialContext of a client under test. It returns an error if ctx is done, and
// ECONNREFUSED if the listener is closed.
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

// Accept waits for a connection. After the listener has been closed, it
// returns an error that is [net.ErrClosed].
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

// Close makes Accept return an error and resets the connections that have not
// been accepted. It leaves accepted connections open.
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

// Addr returns the listener's address. It is the same for all Listeners.
func (l *Listener) Addr() net.Addr { return PipeAddr("listener") }

// Dials returns how many connections have been made so far.
func (l *Listener) Dials() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dials
}
