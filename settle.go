package peerpool

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// settler finds out which address of a host answers, once for all requests that want to know at the same time.
type settler struct {
	mu      sync.Mutex // guards the map and every settling in it; connections are closed after it is released
	flights map[settleKey]*settling
}

type settleKey struct {
	addr  string // host:port
	local netip.AddrPort
	avoid string
}

// settling is one race of connection attempts (RFC 8305). Its goroutine does not end with the request that
// began it, but with the race.
type settling struct {
	waiters int
	done    chan struct{} // closed when the following are set
	addr    netip.AddrPort
	conn    net.Conn // of the winner, until somebody takes it
	err     error
}

// settle returns the address that answered first. One of those who wait for it also gets the connection that
// has shown it; when nobody is left to take it, it is closed.
func (s *settler) settle(ctx context.Context, key settleKey, addrs []netip.AddrPort, race racing) (netip.AddrPort, *presetDial, error) {
	f := s.join(ctx, key, addrs, race)
	select {
	case <-f.done:
	case <-ctx.Done():
	}
	gone := ctx.Err() != nil
	conn := s.leave(f, gone)
	if gone {
		if conn != nil {
			conn.Close()
		}
		return netip.AddrPort{}, nil, context.Cause(ctx)
	}
	return f.addr, newPreset(conn), f.err
}

// leave takes the winner's connection, unless the caller is gone and others can have it.
func (s *settler) leave(f *settling, gone bool) net.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.waiters--
	if gone && f.waiters > 0 {
		return nil
	}
	conn := f.conn
	f.conn = nil
	return conn
}

func (s *settler) join(ctx context.Context, key settleKey, addrs []netip.AddrPort, race racing) *settling {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.flights[key]
	if f == nil {
		if s.flights == nil {
			s.flights = make(map[settleKey]*settling)
		}
		f = &settling{done: make(chan struct{})}
		s.flights[key] = f
		go s.race(context.WithoutCancel(ctx), key, f, addrs, race)
	}
	f.waiters++
	return f
}

func (s *settler) race(ctx context.Context, key settleKey, f *settling, addrs []netip.AddrPort, race racing) {
	conn, addr, err := race.run(ctx, addrs)
	s.mu.Lock()
	delete(s.flights, key)
	f.addr, f.err = addr, err
	if f.waiters > 0 {
		f.conn, conn = conn, nil
	}
	close(f.done)
	s.mu.Unlock()
	if conn != nil {
		conn.Close()
	}
}

// groundwork is what finding a route has done of the dial to come, and how long that took. A dial that has none
// to build on has a zero one.
type groundwork struct {
	start            time.Time
	resolve, connect time.Duration
}

// presetDial dials a route whose first hop, or its look-up, is done already.
type presetDial struct {
	route *route
	work  groundwork
	conn  atomic.Pointer[net.Conn] // until the dial, or close, takes it
}

func newPreset(conn net.Conn) *presetDial {
	if conn == nil {
		return nil
	}
	p := &presetDial{}
	p.conn.Store(&conn)
	return p
}

// Dial is called by the pool.
func (p *presetDial) Dial(ctx context.Context) (conn, error) {
	if c := p.conn.Swap(nil); c != nil {
		return p.route.dial(ctx, *c, p.work)
	}
	return p.route.dial(ctx, nil, p.work)
}

// close closes the connection if no dial has taken it: another request's connection served.
func (p *presetDial) close() {
	if p == nil {
		return
	}
	if c := p.conn.Swap(nil); c != nil {
		(*c).Close()
	}
}
