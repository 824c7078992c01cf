package pool

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
)

// restingConn is a Rester that notes how it is looked at. Only one goroutine at a time has it.
type restingConn struct {
	looks      []string
	rest, sick Reason // what Rest and Probe say
	resting    func() // called by Rest, if set
	closes     int
}

func (c *restingConn) Rest() Reason {
	c.looks = append(c.looks, "rest")
	if c.resting != nil {
		c.resting()
	}
	return c.rest
}

func (c *restingConn) Probe() Reason {
	c.looks = append(c.looks, "probe")
	return c.sick
}

func (c *restingConn) Close() error { c.closes++; return nil }

func (c *restingConn) wantLooks(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(c.looks, want) {
		t.Errorf("the connection was looked at by %v, want %v", c.looks, want)
	}
}

type restingDialer struct{}

func (restingDialer) Dial(context.Context) (*restingConn, error) { return new(restingConn), nil }

type restingLease = Lease[string, *restingConn]

// resting runs a test with the first lease of a pool whose only connection is a Rester, and with what leases the
// next one.
func resting(t *testing.T, test func(t *testing.T, first restingLease, next func() restingLease)) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config[string, *restingConn]{})
		next := func() restingLease {
			lease, err := p.Acquire(t.Context(), "a", restingDialer{}, Terms{MaxConns: 1})
			if err != nil {
				t.Error(err)
			}
			return lease
		}
		test(t, next(), next)
		p.CloseIdle()
	})
}

func TestAConnectionThatRestsIsProbedBeforeItsNextLease(t *testing.T) {
	resting(t, func(t *testing.T, first restingLease, next func() restingLease) {
		conn := first.Conn()
		wantReason(t, first.Release(), "")
		conn.wantLooks(t, "rest")
		second := next()
		if second.Conn() != conn {
			t.Error("the idle connection was not leased")
		}
		conn.wantLooks(t, "rest", "probe")
		second.Release()
	})
}

func TestAConnectionThatCannotRestIsClosed(t *testing.T) {
	resting(t, func(t *testing.T, first restingLease, _ func() restingLease) {
		conn := first.Conn()
		conn.rest = ReasonUnexpectedData
		wantReason(t, first.Release(), ReasonUnexpectedData)
		conn.wantLooks(t, "rest")
		if conn.closes != 1 {
			t.Errorf("it was closed %d times", conn.closes)
		}
	})
}

// Such a connection passes no checkout, which would probe it.
func TestAConnectionThatGoesToAWaitingAcquireIsProbed(t *testing.T) {
	for _, sick := range []Reason{"", ReasonUnexpectedData} {
		for name, joins := range map[string]func(conn *restingConn, join func()){
			"since before the release": func(_ *restingConn, join func()) { join() },
			"since the rest":           func(conn *restingConn, join func()) { conn.resting = join },
		} {
			t.Run(name+" "+string(sick), func(t *testing.T) {
				resting(t, func(t *testing.T, first restingLease, next func() restingLease) {
					conn, got := first.Conn(), make(chan restingLease, 1)
					conn.sick = sick
					joins(conn, func() {
						go func() { got <- next() }()
						synctest.Wait()
					})
					wantReason(t, first.Release(), sick)
					second := <-got
					if same := second.Conn() == conn; same != (sick == "") {
						t.Errorf("the connection whose probe says %q was handed over: %v", sick, same)
					}
					conn.resting = nil
					conn.wantLooks(t, "rest", "probe")
					second.Release()
				})
			})
		}
	}
}
