package httptestutil

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// A tracker numbers the connections of one server, in the order in which they
// were accepted, and knows which are open.
type tracker struct {
	// mu guards the fields below and those of every trackedConn. Nothing is
	// closed, read or written while it is held.
	mu       sync.Mutex
	accepted int
	open     map[*trackedConn]struct{}
	shut     bool          // connections accepted from now on are closed at once
	changed  chan struct{} // closed, and replaced, when anything here changes
}

func newTracker() *tracker {
	return &tracker{open: map[*trackedConn]struct{}{}, changed: make(chan struct{})}
}

// update runs f while it holds mu, and wakes the calls of await.
func (tr *tracker) update(f func()) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	f()
	close(tr.changed)
	tr.changed = make(chan struct{})
}

// await waits until cond returns true, and returns false if that does not
// happen within bound. It holds mu while it calls cond.
func (tr *tracker) await(bound time.Duration, cond func() bool) bool {
	timer := time.NewTimer(bound)
	defer timer.Stop()
	for {
		tr.mu.Lock()
		done, changed := cond(), tr.changed
		tr.mu.Unlock()
		if done {
			return true
		}
		select {
		case <-changed:
		case <-timer.C:
			return false
		}
	}
}

// waitFor does what await does, and ends the test if cond does not return true
// within Bound. what describes cond.
func (tr *tracker) waitFor(t testing.TB, what string, cond func() bool) {
	t.Helper()
	if !tr.await(Bound, cond) {
		t.Fatalf("httptestutil: after %v still not %s; connections: %d accepted, %d open",
			Bound, what, tr.acceptedConns(), tr.openConns())
	}
}

func (tr *tracker) waitOpenConns(t testing.TB, n int) {
	t.Helper()
	tr.waitFor(t, fmt.Sprintf("%d connections open", n), func() bool { return len(tr.open) == n })
}

func (tr *tracker) acceptedConns() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.accepted
}

func (tr *tracker) openConns() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return len(tr.open)
}

// conns returns the open connections for which keep returns true, in the order
// of their numbers. It holds mu while it calls keep.
func (tr *tracker) conns(keep func(*trackedConn) bool) []*trackedConn {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	var conns []*trackedConn
	for c := range tr.open {
		if keep(c) {
			conns = append(conns, c)
		}
	}
	slices.SortFunc(conns, func(a, b *trackedConn) int { return cmp.Compare(a.number, b.number) })
	return conns
}

// shutDown closes every connection, and every connection that is accepted
// later.
func (tr *tracker) shutDown() {
	tr.update(func() { tr.shut = true })
	tr.closeConns()
}

func (tr *tracker) closeConns() {
	for _, c := range tr.conns(func(*trackedConn) bool { return true }) {
		c.Close()
	}
}

// listen wraps ln, so that the connections that it accepts are tracked.
func (tr *tracker) listen(ln net.Listener) net.Listener { return &trackedListener{ln, tr} }

type trackedListener struct {
	net.Listener
	tr *tracker
}

func (l *trackedListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &trackedConn{Conn: nc, tr: l.tr}
	refused := false
	l.tr.update(func() {
		if refused = l.tr.shut; refused {
			return
		}
		l.tr.accepted++
		c.number = l.tr.accepted
		l.tr.open[c] = struct{}{}
	})
	if refused {
		nc.Close()
		return nil, net.ErrClosed
	}
	return c, nil
}

// A trackedConn is a connection with its number.
type trackedConn struct {
	net.Conn
	tr     *tracker
	number int // from 1; does not change

	// These are guarded by tr.mu. Only some servers use them.
	seq      int            // requests so far
	handlers int            // handlers running
	state    http.ConnState // as the http.Server sees it
}

func (c *trackedConn) Close() error {
	err := c.Conn.Close()
	c.tr.update(func() { delete(c.tr.open, c) })
	return err
}

// CloseWrite sends a FIN, and leaves the other direction open.
func (c *trackedConn) CloseWrite() error { return closeWrite(c.Conn) }

// reset closes the connection with an RST.
func (c *trackedConn) reset() error {
	switch nc := c.Conn.(type) {
	case *net.TCPConn:
		if err := nc.SetLinger(0); err != nil {
			return errors.Join(err, c.Close())
		}
	case interface{ Reset() error }:
		if err := nc.Reset(); err != nil {
			return errors.Join(err, c.Close())
		}
	}
	return c.Close()
}

func closeWrite(nc net.Conn) error {
	if half, ok := nc.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// trackedUnder returns nc if it is a tracked connection, or the tracked
// connection that nc wraps, or nil if there is none.
func trackedUnder(nc net.Conn) *trackedConn {
	for {
		switch c := nc.(type) {
		case *trackedConn:
			return c
		case interface{ NetConn() net.Conn }:
			nc = c.NetConn()
		default:
			return nil
		}
	}
}
