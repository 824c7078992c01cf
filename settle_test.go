package peerpool

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/resolve"
)

var (
	blackHole = netip.MustParseAddrPort("192.0.2.1:80") // never answers
	refuser   = netip.MustParseAddrPort("192.0.2.2:80") // refuses at once
	answerer  = netip.MustParseAddrPort("192.0.2.3:80") // answers at once
	slow      = netip.MustParseAddrPort("192.0.2.4:80") // answers after slowness
)

const slowness = 100 * time.Millisecond

var errRefused = errors.New("connection refused")

// landscape is a network of the addresses above that keeps the connections it makes.
type landscape struct {
	mu    sync.Mutex // guards all below
	tries map[netip.AddrPort]int
	conns []*landscapeConn
}

type landscapeConn struct {
	net.Conn
	addr   netip.AddrPort
	closed chan struct{}
	once   sync.Once
}

func (c *landscapeConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

func (c *landscapeConn) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

// connect is a resolve.Connect.
func (l *landscape) connect(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	l.mu.Lock()
	if l.tries == nil {
		l.tries = make(map[netip.AddrPort]int)
	}
	l.tries[addr]++
	l.mu.Unlock()
	switch addr {
	case blackHole:
		<-ctx.Done()
		return nil, context.Cause(ctx)
	case refuser:
		return nil, errRefused
	case slow:
		select {
		case <-time.After(slowness):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	nc, _ := httptestutil.Pipe(0)
	c := &landscapeConn{Conn: nc, addr: addr, closed: make(chan struct{})}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns = append(l.conns, c)
	return c, nil
}

// open returns how many of the connections made are open.
func (l *landscape) open() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		if !c.isClosed() {
			n++
		}
	}
	return n
}

// settled is what one caller of settle got.
type settled struct {
	addr   netip.AddrPort
	preset *presetDial
	err    error
	took   time.Duration
}

// settleAsync calls settle on a goroutine of its own.
func settleAsync(ctx context.Context, s *settler, connect resolve.Connect, addrs ...netip.AddrPort) <-chan settled {
	got := make(chan settled, 1)
	begun := time.Now()
	go func() {
		addr, preset, err := s.settle(ctx, settleKey{addr: "a.test:80"}, addrs, racing{connect: connect, timeout: dialTimeout})
		got <- settled{addr, preset, err, time.Since(begun)}
	}()
	return got
}

func TestABlackHoleDoesNotHoldUpTheNextAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s settler
		var l landscape
		got := <-settleAsync(t.Context(), &s, l.connect, blackHole, answerer)
		if got.err != nil || got.addr != answerer || got.took != resolve.ConnectionAttemptDelay {
			t.Errorf("got %v after %v and error %v, want the address that answers after %v",
				got.addr, got.took, got.err, resolve.ConnectionAttemptDelay)
		}
		got.preset.close()
		synctest.Wait() // nothing is left in the bubble, or it would not end
	})
}

func TestAnAddressThatRefusesDoesNotHoldUpTheNextAtAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s settler
		var l landscape
		got := <-settleAsync(t.Context(), &s, l.connect, refuser, answerer)
		if got.err != nil || got.addr != answerer || got.took != 0 {
			t.Errorf("got %v after %v and error %v, want the address that answers at once", got.addr, got.took, got.err)
		}
		got.preset.close()
	})
}

func TestCallersWhoWantToKnowTheSameShareOneRaceAndOneGetsItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s settler
		var l landscape
		var waiting []<-chan settled
		for range 5 {
			waiting = append(waiting, settleAsync(t.Context(), &s, l.connect, slow))
		}
		presets := 0
		for _, w := range waiting {
			got := <-w
			if got.err != nil || got.addr != slow {
				t.Errorf("got %v and error %v", got.addr, got.err)
			}
			if got.preset != nil {
				presets++
				defer got.preset.close()
			}
		}
		if presets != 1 || l.tries[slow] != 1 || l.open() != 1 {
			t.Errorf("%d callers got a connection, %d were made, and %d are open, want one", presets, l.tries[slow], l.open())
		}
		if len(s.flights) != 0 {
			t.Errorf("%d races are remembered", len(s.flights))
		}
	})
}

func TestACanceledCallerLeavesTheRaceToTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s settler
		var l landscape
		ctx, cancel := context.WithCancelCause(t.Context())
		first := settleAsync(ctx, &s, l.connect, slow)
		synctest.Wait()
		second := settleAsync(t.Context(), &s, l.connect, slow)
		time.Sleep(slowness / 2)
		cause := errors.New("enough")
		cancel(cause)
		if got := <-first; !errors.Is(got.err, cause) || got.preset != nil || got.took != slowness/2 {
			t.Errorf("the canceled caller got %v after %v, want the cause at once", got.err, got.took)
		}
		got := <-second
		if got.err != nil || got.addr != slow || got.preset == nil || l.tries[slow] != 1 {
			t.Errorf("the other caller got %v and error %v after %d attempts", got.addr, got.err, l.tries[slow])
		}
		got.preset.close()
	})
}

// TestACallerWhoIsGoneDoesNotTakeTheConnectionAway is about one who is canceled as the race ends.
func TestACallerWhoIsGoneDoesNotTakeTheConnectionAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s settler
		var l landscape
		var f *settling
		for range 3 {
			f = s.join(t.Context(), settleKey{addr: "a.test:80"}, []netip.AddrPort{answerer}, racing{connect: l.connect, timeout: dialTimeout})
		}
		<-f.done
		if c := s.leave(f, true); c != nil {
			t.Error("a caller who is gone took the connection from two who are not")
		}
		c := s.leave(f, false)
		if c == nil {
			t.Fatal("the caller who is there got no connection")
		}
		defer c.Close()
		if c := s.leave(f, true); c != nil {
			t.Error("two callers got the connection")
		}
	})
}

func TestTheConnectionOfARaceThatNobodyWaitsForIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s settler
		var l landscape
		ctx, cancel := context.WithCancel(t.Context())
		got := settleAsync(ctx, &s, l.connect, slow)
		synctest.Wait()
		cancel()
		<-got
		time.Sleep(slowness)
		synctest.Wait()
		if len(l.conns) != 1 || l.open() != 0 || len(s.flights) != 0 {
			t.Errorf("%d connections were made, and %d are open; %d races are remembered", len(l.conns), l.open(), len(s.flights))
		}
	})
}

func TestARaceThatNobodyWinsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s settler
		var l landscape
		got := <-settleAsync(t.Context(), &s, l.connect, blackHole, refuser)
		if !errors.Is(got.err, context.DeadlineExceeded) || got.took != dialTimeout || got.preset != nil {
			t.Errorf("got %v after %v, want to be out of time after %v", got.err, got.took, dialTimeout)
		}
		got = <-settleAsync(t.Context(), &s, l.connect, refuser, refuser)
		if !errors.Is(got.err, errRefused) || got.took != 0 {
			t.Errorf("got %v after %v, want a refusal at once", got.err, got.took)
		}
	})
}

func TestAConnectionFoundWhileSettlingIsUsedOnceOrClosed(t *testing.T) {
	var l landscape
	made := func() *landscapeConn {
		nc, err := l.connect(t.Context(), answerer)
		if err != nil {
			t.Fatal(err)
		}
		return nc.(*landscapeConn)
	}
	unused := made()
	p := newPreset(unused)
	p.close()
	p.close()
	if !unused.isClosed() {
		t.Error("a connection that nobody used is left open")
	}

	used, tr := made(), peerTransport(t, &Transport{})
	tr.runtime()
	p = newPreset(used)
	p.route = &route{t: tr, peer: &noOptions, learned: new(learned), identity: Identity{network: "tcp", scheme: "http"}}
	c, err := p.Dial(t.Context())
	p.close()
	if err != nil || used.isClosed() || c.NetConn() != net.Conn(used) {
		t.Errorf("the dial got %v and error %v, want the open connection", c, err)
	}
	c.Close()

	(*presetDial)(nil).close() // no connection, nothing to do
	if newPreset(nil) != nil {
		t.Error("there is a preset of no connection")
	}
}
