package resolve

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// oneConn is a connection that only knows where it goes and whether it was closed.
type oneConn struct {
	net.Conn
	addr   netip.AddrPort
	closed chan struct{}
}

func (c *oneConn) Close() error { close(c.closed); return nil }

func (c *oneConn) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

// outcome is how an attempt ends if nothing cancels it: after a while, with err or a connection.
type outcome struct {
	after time.Duration
	err   error
	deaf  bool // does not heed its context
}

// course is a scripted Connect and what it saw.
type course struct {
	start    time.Time
	outcomes map[netip.AddrPort]outcome

	mu       sync.Mutex
	begun    []time.Duration
	canceled int
	conns    []*oneConn
}

func run(t *testing.T, ctx context.Context, outcomes ...outcome) (*course, net.Conn, error) {
	t.Helper()
	return runDelayed(t, ctx, 0, outcomes...)
}

func runDelayed(t *testing.T, ctx context.Context, delay time.Duration, outcomes ...outcome) (*course, net.Conn, error) {
	t.Helper()
	c := &course{start: time.Now(), outcomes: make(map[netip.AddrPort]outcome)}
	var addrs []netip.AddrPort
	for i, o := range outcomes {
		addr := addrPort(i)
		addrs = append(addrs, addr)
		c.outcomes[addr] = o
	}
	conn, addr, err := Race(ctx, delay, addrs, c.connect)
	if conn != nil && conn.(*oneConn).addr != addr {
		t.Errorf("the connection goes to %v, the address returned is %v", conn.(*oneConn).addr, addr)
	}
	if (conn == nil) == (err == nil) || (err != nil && addr.IsValid()) {
		t.Errorf("Race returned %v, %v, %v", conn, addr, err)
	}
	return c, conn, err
}

func addrPort(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 443)
}

func (c *course) connect(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	o := c.outcomes[addr]
	c.note(func() { c.begun = append(c.begun, time.Since(c.start)) })
	done := ctx.Done()
	if o.deaf {
		done = nil
	}
	select {
	case <-done:
		c.note(func() { c.canceled++ })
		return nil, ctx.Err()
	case <-time.After(o.after):
	}
	if o.err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(addr), Err: o.err}
	}
	conn := &oneConn{addr: addr, closed: make(chan struct{})}
	c.note(func() { c.conns = append(c.conns, conn) })
	return conn, nil
}

func (c *course) note(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

func (c *course) wantBegun(t *testing.T, want ...time.Duration) {
	t.Helper()
	c.note(func() {
		if !slices.Equal(c.begun, want) {
			t.Errorf("attempts began at %v, want %v", c.begun, want)
		}
	})
}

var refused = os.NewSyscallError("connect", syscall.ECONNREFUSED)

const (
	ms   = time.Millisecond
	long = time.Hour
)

func TestTheFirstAddressThatAnswersInTimeIsTheOnlyOneTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, conn, err := run(t, t.Context(), outcome{after: 249 * ms}, outcome{}, outcome{})
		if err != nil || conn.(*oneConn).addr != addrPort(0) {
			t.Fatalf("got %v, %v", conn, err)
		}
		synctest.Wait()
		c.wantBegun(t, 0)
	})
}

func TestASlowAddressIsOvertakenAndCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, conn, err := run(t, t.Context(), outcome{after: long}, outcome{after: long}, outcome{after: 10 * ms}, outcome{})
		if err != nil || conn.(*oneConn).addr != addrPort(2) {
			t.Fatalf("got %v, %v", conn, err)
		}
		synctest.Wait()
		c.wantBegun(t, 0, 250*ms, 500*ms)
		if c.canceled != 2 {
			t.Errorf("%d attempts were canceled, want 2", c.canceled)
		}
		if conn.(*oneConn).isClosed() {
			t.Error("the winner was closed")
		}
	})
}

func TestTheDelayBetweenAttemptsCanBeChosen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, conn, err := runDelayed(t, t.Context(), 20*ms, outcome{after: long}, outcome{after: long}, outcome{after: 10 * ms})
		if err != nil || conn.(*oneConn).addr != addrPort(2) {
			t.Fatalf("got %v, %v", conn, err)
		}
		c.wantBegun(t, 0, 20*ms, 40*ms)
	})
}

func TestANegativeDelayTriesOneAddressAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, conn, err := runDelayed(t, t.Context(), -1, outcome{after: 10 * time.Second, err: refused}, outcome{after: long}, outcome{})
		if err != nil || conn.(*oneConn).addr != addrPort(1) {
			t.Fatalf("got %v, %v", conn, err)
		}
		c.wantBegun(t, 0, 10*time.Second)
	})
}

func TestAFailedAttemptIsFollowedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, conn, err := run(t, t.Context(),
			outcome{after: 5 * ms, err: refused}, outcome{err: refused}, outcome{after: 260 * ms}, outcome{after: long})
		if err != nil || conn.(*oneConn).addr != addrPort(2) {
			t.Fatalf("got %v, %v", conn, err)
		}
		c.wantBegun(t, 0, 5*ms, 5*ms, 255*ms)
	})
}

func TestTheFailureOfAnEarlierAttemptDoesNotHastenTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, err := run(t, t.Context(), outcome{after: 260 * ms, err: refused}, outcome{after: long}, outcome{})
		if err != nil {
			t.Fatal(err)
		}
		c.wantBegun(t, 0, 250*ms, 500*ms)
	})
}

func TestALateSuccessIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, conn, err := run(t, t.Context(), outcome{after: time.Second, deaf: true}, outcome{after: ms})
		if err != nil || conn.(*oneConn).addr != addrPort(1) {
			t.Fatalf("got %v, %v", conn, err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if len(c.conns) != 2 || !c.conns[1].isClosed() || c.conns[0].isClosed() {
			t.Fatalf("the late connection must be closed and the winner not")
		}
	})
}

func TestOfSeveralConnectionsAtOnceAllButOneAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, conn, err := run(t, t.Context(),
			outcome{after: 600 * ms, deaf: true}, outcome{after: 350 * ms, deaf: true}, outcome{after: 100 * ms, deaf: true})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for _, other := range c.conns {
			if closed := other.isClosed(); closed == (other == conn) {
				t.Errorf("%v closed: %v, won: %v", other.addr, closed, other == conn)
			}
		}
		if len(c.conns) != 3 {
			t.Errorf("%d connections were opened, want 3", len(c.conns))
		}
	})
}

func TestWhenAllFailTheErrorHoldsWhatEachSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, err := run(t, t.Context(),
			outcome{after: 300 * ms, err: refused}, outcome{err: os.ErrDeadlineExceeded}, outcome{err: syscall.ENETUNREACH})
		var op *net.OpError
		if !errors.As(err, &op) || op.Addr.String() != addrPort(0).String() {
			t.Errorf("the first OpError is %v, want that of the first address", op)
		}
		for _, want := range []error{syscall.ECONNREFUSED, os.ErrDeadlineExceeded, syscall.ENETUNREACH} {
			if !errors.Is(err, want) {
				t.Errorf("%q is not in %q", want, err)
			}
		}
		for i := range 3 {
			if !strings.Contains(err.Error(), addrPort(i).String()) {
				t.Errorf("%q does not name %v", err, addrPort(i))
			}
		}
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("%q does not say that an attempt timed out", err)
		}
	})
}

func TestRefusalsAreNoTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, err := run(t, t.Context(), outcome{err: refused}, outcome{err: refused})
		var timeout net.Error
		if !errors.As(err, &timeout) || timeout.Timeout() {
			t.Errorf("%q says that it timed out", err)
		}
	})
}

func TestTheEndOfTheContextEndsTheRaceWithItsCause(t *testing.T) {
	errEnough := errors.New("enough")
	for _, deaf := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeoutCause(t.Context(), 300*ms, errEnough)
			defer cancel()
			slow := outcome{after: time.Second, deaf: deaf}
			c, _, err := run(t, ctx, slow, slow, slow)
			if err != errEnough {
				t.Fatalf("got %v, want the cause", err)
			}
			if waited := time.Since(c.start); waited != 300*ms {
				t.Errorf("the race took %v, want 300ms", waited)
			}
			time.Sleep(long)
			synctest.Wait()
			c.wantBegun(t, 0, 250*ms)
			for _, conn := range c.conns {
				if !conn.isClosed() {
					t.Error("a connection that came too late was left open")
				}
			}
		})
	}
}

func TestARaceAfterTheEndOfItsContextTriesNothing(t *testing.T) {
	errEnough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errEnough)
	for n := range 3 {
		c, _, err := run(t, ctx, make([]outcome, n)...)
		if err != errEnough || len(c.begun) > 0 {
			t.Errorf("%d addresses: got %v after %d attempts", n, err, len(c.begun))
		}
	}
}

func TestASingleAddressIsConnectedOnTheCallersGoroutine(t *testing.T) {
	var stack string
	_, _, err := Race(t.Context(), 0, []netip.AddrPort{addrPort(0)}, func(context.Context, netip.AddrPort) (net.Conn, error) {
		stack = string(debug.Stack())
		return nil, refused
	})
	if err != refused {
		t.Errorf("got %v, want the error as it is", err)
	}
	if !strings.Contains(stack, "testing.tRunner(") {
		t.Errorf("connect ran elsewhere:\n%s", stack)
	}
}

func TestASingleAddressThatIsCutOffReturnsTheCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errEnough := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 300*ms, errEnough)
		defer cancel()
		if _, _, err := run(t, ctx, outcome{after: long}); err != errEnough {
			t.Fatalf("got %v, want the cause", err)
		}
	})
}

func TestARaceWithoutAddressesFails(t *testing.T) {
	if _, _, err := run(t, t.Context()); err != errNoAddress {
		t.Fatalf("got %v", err)
	}
}

func TestNeitherConnectionNorErrorIsAFailure(t *testing.T) {
	for n := range 2 {
		addrs := []netip.AddrPort{addrPort(0), addrPort(1)}[:n+1]
		conn, _, err := Race(t.Context(), 0, addrs, func(context.Context, netip.AddrPort) (net.Conn, error) {
			return nil, nil
		})
		if conn != nil || !errors.Is(err, errNoConn) {
			t.Errorf("%d addresses: got %v, %v", len(addrs), conn, err)
		}
	}
}
