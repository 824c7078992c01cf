package pool

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"
)

// inSharedBubble is inBubble with dials that bring shared connections of that capacity.
func inSharedBubble(t *testing.T, capacity int, test func(t *testing.T, w *world)) {
	t.Helper()
	inBubble(t, config{}, func(t *testing.T, w *world) {
		w.share(capacity)
		test(t, w)
	})
}

// share makes the connections to come shared ones.
func (w *world) share(capacity int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shares, w.capacity = true, capacity
}

// resizes changes the capacity.
func (c *fakeConn) resizes(capacity int) {
	c.resize(capacity)
	synctest.Wait()
}

// leases takes n leases of one connection: the first one dials it.
func (w *world) leases(n int, key string, terms Terms) []testLease {
	w.t.Helper()
	leases := []testLease{w.lease(key, terms)}
	for len(leases) < n {
		lease := w.try(key, terms)
		wantConn(w.t, lease, leases[0].Conn())
		leases = append(leases, lease)
	}
	return leases
}

func (w *world) releaseAll(leases ...testLease) {
	w.t.Helper()
	for _, lease := range leases {
		w.release(lease)
	}
}

func TestASharedConnectionServesAsManyLeasesAtOnceAsItSays(t *testing.T) {
	inSharedBubble(t, 3, func(t *testing.T, w *world) {
		leases := w.leases(3, "a", Terms{})
		w.tryNothing("a", Terms{})
		for i, lease := range leases {
			if lease.Uses() != i || lease.Reused() != (i > 0) || lease.IdleTime() != 0 {
				t.Errorf("lease %d: uses %d, reused %v, idle %v", i, lease.Uses(), lease.Reused(), lease.IdleTime())
			}
		}
		w.wantGauges(0, 1, 0, 0)
		wantReason(t, w.release(leases[1]), "")
		wantConn(t, w.try("a", Terms{}), leases[0].Conn())
		w.tryNothing("a", Terms{})
		if s := w.pool.Stats(); s.Opened != 1 || s.Hits != 3 || s.Misses[MissCold] != 1 {
			t.Errorf("opened %d, hits %d, misses %v", s.Opened, s.Hits, s.Misses)
		}
	})
}

func TestTheConnectionWithTheFewestLeasesIsLeased(t *testing.T) {
	inSharedBubble(t, 3, func(t *testing.T, w *world) {
		crowded := w.leases(3, "a", Terms{})
		quiet := w.leases(2, "a", Terms{})
		w.release(crowded[0]) // two leases each
		w.release(crowded[1]) // one and two
		wantConn(t, w.try("a", Terms{}), crowded[0].Conn())
		w.releaseAll(quiet...) // two and none
		wantConn(t, w.try("a", Terms{}), quiet[0].Conn())
		wantConn(t, w.try("a", Terms{}), quiet[0].Conn())
	})
}

func TestAnIdleConnectionIsLeasedBeforeOneInUse(t *testing.T) {
	inSharedBubble(t, 2, func(t *testing.T, w *world) {
		first := w.leases(2, "a", Terms{})
		second := w.leases(2, "a", Terms{})
		third := w.leases(2, "a", Terms{})
		w.release(first[0]) // has room
		w.releaseAll(second...)
		time.Sleep(time.Second)
		w.releaseAll(third...)
		time.Sleep(time.Second)
		lease := w.try("a", Terms{})
		wantConn(t, lease, third[0].Conn()) // the most recently released
		if lease.IdleTime() != time.Second {
			t.Errorf("idle for %v, want 1s", lease.IdleTime())
		}
		wantConn(t, w.try("a", Terms{}), second[0].Conn())
	})
}

func TestRoomThatARaisedCapacityMakesGoesToTheOldestWantsAtOnce(t *testing.T) {
	inSharedBubble(t, 1, func(t *testing.T, w *world) {
		lease := w.lease("a", Terms{MaxConns: 1})
		var calls []*call
		for range 4 {
			calls = append(calls, w.acquire("a", Terms{MaxConns: 1}))
		}
		lease.Conn().resizes(4)
		for _, c := range calls[:3] {
			wantConn(t, c.leased(), lease.Conn())
		}
		calls[3].stillWaits()
		w.wantGauges(0, 1, 0, 1)
	})
}

func TestALoweredCapacityCutsNoLease(t *testing.T) {
	inSharedBubble(t, 3, func(t *testing.T, w *world) {
		leases := w.leases(3, "a", Terms{MaxConns: 1})
		leases[0].Conn().resizes(1)
		w.wantGauges(0, 1, 0, 0)
		next := w.acquire("a", Terms{MaxConns: 1})
		w.release(leases[0])
		w.release(leases[1])
		next.stillWaits() // one is still leased, as many as there may be
		w.release(leases[2])
		wantConn(t, next.leased(), leases[0].Conn())
		w.wantCloses(nil)
	})
}

func TestAnIdleConnectionWithoutCapacityIsClosed(t *testing.T) {
	for _, none := range []int{0, -1, math.MinInt} {
		inSharedBubble(t, 3, func(t *testing.T, w *world) {
			conn := w.idle(1, "a", Terms{})[0]
			conn.resizes(none)
			w.wantCloses(map[*fakeConn]Reason{conn: ReasonNoCapacity})
			w.wantForgotten("a")
			conn.resizes(3) // too late
			w.tryNothing("a", Terms{})
		})
	}
}

func TestAConnectionInUseWithoutCapacityIsClosedWhenItsLastLeaseEnds(t *testing.T) {
	inSharedBubble(t, 3, func(t *testing.T, w *world) {
		leases := w.leases(2, "a", Terms{})
		leases[0].Conn().resizes(0)
		w.tryNothing("a", Terms{})
		wantReason(t, w.release(leases[1]), "")
		w.tryNothing("a", Terms{})
		w.wantCloses(nil)
		wantReason(t, w.release(leases[0]), ReasonNoCapacity)
		w.wantCloses(map[*fakeConn]Reason{leases[0].Conn(): ReasonNoCapacity})
	})
}

func TestACapacityRaisedBeforeTheLastLeaseEndsCountsAgain(t *testing.T) {
	inSharedBubble(t, 3, func(t *testing.T, w *world) {
		leases := w.leases(3, "a", Terms{MaxConns: 1})
		next := w.acquire("a", Terms{MaxConns: 1})
		leases[0].Conn().resizes(0)
		w.release(leases[1])
		w.release(leases[2])
		next.stillWaits()
		leases[0].Conn().resizes(2)
		wantConn(t, next.leased(), leases[0].Conn())
		w.release(leases[0])
		wantReason(t, w.release(next.lease), "")
		w.wantGauges(1, 0, 0, 0)
	})
}

// hastyConn retires or resizes itself before it has said how many leases it serves, as one may whose peer is quick.
type hastyConn struct {
	resizes, says int
}

func (c *hastyConn) Probe() Reason { return "" }

func (c *hastyConn) Close() error { return nil }

func (c *hastyConn) Private() bool { return false }

func (c *hastyConn) Attach(place Place[string, *hastyConn]) {
	if c.resizes < 0 {
		go place.Retire("goaway")
		time.Sleep(time.Nanosecond) // until it has; nothing but the lock orders the two
	}
}

func (c *hastyConn) Share(resize func(int)) int {
	if c.resizes >= 0 {
		resize(c.resizes)
	}
	return c.says
}

func TestAResizeFromWithinShareGoesBeforeWhatShareReturns(t *testing.T) {
	for resizes, want := range map[int]error{0: ErrRetired, 1: nil, 20: nil} {
		p := New(Config[string, *hastyConn]{})
		_, err := p.Acquire(t.Context(), "a", dialFunc[*hastyConn](
			func(context.Context) (*hastyConn, error) { return &hastyConn{resizes: resizes, says: 10}, nil }), Terms{})
		wantError(t, err, want)
		if want != nil {
			continue
		}
		if got := p.Conns("a")[0].Capacity; got != resizes {
			t.Errorf("capacity is %d, want %d", got, resizes)
		}
	}
}

func TestASharedConnectionMayRetireWhileItIsBeingOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config[string, *hastyConn]{})
		_, err := p.Acquire(t.Context(), "a", dialFunc[*hastyConn](
			func(context.Context) (*hastyConn, error) { return &hastyConn{resizes: -1, says: 10}, nil }), Terms{})
		wantError(t, err, ErrRetired)
		if s := p.Stats(); s.Opened != 1 || s.Closes["goaway"] != 1 {
			t.Errorf("opened %d, closes %v", s.Opened, s.Closes)
		}
	})
}

func TestReuseCapsCountTheLeasesOfASharedConnection(t *testing.T) {
	inSharedBubble(t, 10, func(t *testing.T, w *world) {
		terms := Terms{MaxReuse: 2}
		leases := w.leases(3, "a", terms)
		w.tryNothing("a", terms)
		w.wantCloses(nil)
		wantReason(t, w.release(leases[2]), ReasonMaxReuse)
		wantReason(t, w.release(leases[0]), ReasonMaxReuse)
		w.wantCloses(nil) // one is still under way
		wantReason(t, w.release(leases[1]), ReasonMaxReuse)
		w.wantCloses(map[*fakeConn]Reason{leases[0].Conn(): ReasonMaxReuse})
	})
}

func TestASharedConnectionAtItsLifetimeTakesNoNewLeaseAndFinishesThoseUnderWay(t *testing.T) {
	inSharedBubble(t, 10, func(t *testing.T, w *world) {
		terms := Terms{MaxLifetime: time.Minute}
		leases := w.leases(2, "a", terms)
		time.Sleep(time.Minute)
		w.tryNothing("a", terms)
		w.wantGauges(0, 1, 0, 0)
		wantReason(t, w.release(leases[0]), ReasonMaxLifetime)
		w.wantCloses(nil)
		wantReason(t, w.release(leases[1]), ReasonMaxLifetime)
		w.wantCloses(map[*fakeConn]Reason{leases[0].Conn(): ReasonMaxLifetime})
	})
}

func TestADiscardedSharedConnectionIsClosedWhenItsLastLeaseEndsForTheFirstReason(t *testing.T) {
	inSharedBubble(t, 10, func(t *testing.T, w *world) {
		leases := w.leases(3, "a", Terms{})
		conn := leases[0].Conn()
		w.discard(leases[1], "reset")
		w.tryNothing("a", Terms{})
		conn.retire("goaway")
		conn.sicken(ReasonPeerClosed)
		wantReason(t, w.release(leases[0]), "reset")
		w.wantCloses(nil)
		w.discard(leases[2], "late")
		w.wantCloses(map[*fakeConn]Reason{conn: "reset"})
	})
}

func TestASharedConnectionThatRetiresFinishesItsLeases(t *testing.T) {
	inSharedBubble(t, 10, func(t *testing.T, w *world) {
		leases := w.leases(2, "a", Terms{})
		leases[0].Conn().retire("goaway")
		leases[0].Conn().resizes(20) // changes nothing
		w.tryNothing("a", Terms{})
		w.wantCloses(nil)
		wantReason(t, w.release(leases[0]), "goaway")
		w.discard(leases[1], "late")
		w.wantCloses(map[*fakeConn]Reason{leases[0].Conn(): "goaway"})
	})
}

func TestTheIdleTimeoutOfASharedConnectionStartsWhenItsLastLeaseEnds(t *testing.T) {
	inSharedBubble(t, 10, func(t *testing.T, w *world) {
		terms := Terms{IdleTimeout: time.Minute}
		leases := w.leases(2, "a", terms)
		w.release(leases[1])
		time.Sleep(time.Hour)
		w.wantCloses(nil)
		w.release(leases[0])
		time.Sleep(time.Minute - time.Millisecond)
		w.wantCloses(nil)
		time.Sleep(time.Millisecond)
		w.wantCloses(map[*fakeConn]Reason{leases[0].Conn(): ReasonIdleTimeout})
	})
}

func TestAnUnpooledLeaseHasASharedConnectionToItself(t *testing.T) {
	inSharedBubble(t, 10, func(t *testing.T, w *world) {
		shared := w.lease("a", Terms{})
		alone := w.acquire("a", Terms{Unpooled: true}).leasedByDial()
		if alone.Conn() == shared.Conn() {
			t.Error("the unpooled lease shares a connection")
		}
		wantConn(t, w.try("a", Terms{}), shared.Conn())
		alone.Conn().resizes(20)
		wantConn(t, w.try("a", Terms{}), shared.Conn())
		wantReason(t, w.release(alone), ReasonUnpooled)
		w.wantCloses(map[*fakeConn]Reason{alone.Conn(): ReasonUnpooled})
	})
}

func TestADiscardedUnpooledConnectionIsClosedForItsOwnReasonAlsoAfterAResize(t *testing.T) {
	inSharedBubble(t, 10, func(t *testing.T, w *world) {
		alone := w.lease("a", Terms{Unpooled: true})
		alone.Conn().resizes(20)
		w.discard(alone, "reset")
		w.wantCloses(map[*fakeConn]Reason{alone.Conn(): "reset"})
	})
}

func TestAnUnpooledAndFreshWantSharesNoConnectionThatIsNewToIt(t *testing.T) {
	inSharedBubble(t, 10, func(t *testing.T, w *world) {
		first := w.acquireAs(1, "a", Terms{})
		alone := w.acquireAs(2, "a", Terms{Unpooled: true, Fresh: true})
		first.dialed()
		first.leased()
		alone.stillWaits()
		alone.dialed()
		if alone.leased().Conn() == first.lease.Conn() {
			t.Error("the unpooled lease shares a connection")
		}
		wantReason(t, w.release(first.lease), "")
	})
}
