package pool

import (
	"slices"
	"testing"
	"time"
)

func (w *world) wantConns(key string, want ...ConnStats) {
	w.t.Helper()
	if got := w.pool.Conns(key); !slices.Equal(got, want) {
		w.t.Errorf("conns of %q are\n%+v, want\n%+v", key, got, want)
	}
}

func TestConnsDescribesTheConnectionsOfAKeyOldestFirst(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		w.wantConns("a")
		w.lease("b", Terms{})
		first := w.lease("a", Terms{})
		time.Sleep(time.Second)
		w.share(3)
		w.leases(2, "a", Terms{})
		time.Sleep(time.Second)
		w.release(first)
		time.Sleep(time.Second)
		w.wantConns("a",
			ConnStats{Idle: time.Second, Age: 3 * time.Second, Uses: 1, Capacity: 1},
			ConnStats{Age: 2 * time.Second, Uses: 2, Leases: 2, Capacity: 3},
		)
		w.try("a", Terms{})
		w.wantConns("a",
			ConnStats{Age: 3 * time.Second, Uses: 2, Leases: 1, Capacity: 1},
			ConnStats{Age: 2 * time.Second, Uses: 2, Leases: 2, Capacity: 3},
		)
	})
}

func TestConnsFollowsASharedConnectionThroughItsLife(t *testing.T) {
	inSharedBubble(t, 3, func(t *testing.T, w *world) {
		leases := w.leases(3, "a", Terms{})
		conn := leases[0].Conn()
		w.release(leases[2])
		conn.resizes(1)
		w.wantConns("a", ConnStats{Uses: 3, Leases: 2, Capacity: 1})
		conn.retire("goaway")
		w.wantConns("a", ConnStats{Uses: 3, Leases: 2, Capacity: 1, Retired: "goaway"})
		w.releaseAll(leases[:2]...)
		w.wantConns("a")
	})
}

func TestAHijackedConnectionIsNoneOfItsKeyAnyMore(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		w.lease("a", Terms{}).Hijack()
		w.wantConns("a")
	})
}

func TestDrainClosesTheIdleAndLetsTheOthersFinish(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		other := w.lease("b", Terms{})
		busy := w.lease("a", Terms{})
		w.share(2)
		shared := w.leases(2, "a", Terms{})
		w.shares = false
		idle := w.idle(1, "a", Terms{})[0]
		if n := w.pool.Drain("a", "moved"); n != 3 {
			t.Errorf("%d connections were drained, want 3", n)
		}
		w.wantCloses(map[*fakeConn]Reason{idle: "moved"})
		w.tryNothing("a", Terms{})
		wantReason(t, w.release(busy), "moved")
		w.releaseAll(shared...)
		w.wantCloses(map[*fakeConn]Reason{idle: "moved", busy.Conn(): "moved", shared[0].Conn(): "moved"})
		wantReason(t, w.release(other), "")
	})
}

func TestDrainCountsWhatIsNotRetiredYet(t *testing.T) {
	inSharedBubble(t, 2, func(t *testing.T, w *world) {
		leases := w.leases(2, "a", Terms{})
		leases[0].Conn().retire("goaway")
		if n := w.pool.Drain("a", "moved"); n != 0 {
			t.Errorf("%d connections were drained, want none", n)
		}
		wantReason(t, w.release(leases[0]), "goaway")
		w.releaseAll(leases[1])
		if n := w.pool.Drain("a", "moved"); n != 0 {
			t.Errorf("%d connections of an unknown key were drained", n)
		}
		w.wantForgotten("a")
	})
}

func TestDrainWithoutAReasonIsUnspecified(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		conns := w.idle(3, "a", Terms{})
		if n := w.pool.Drain("a", ""); n != 3 {
			t.Errorf("%d connections were drained, want 3", n)
		}
		w.wantCloses(map[*fakeConn]Reason{
			conns[0]: ReasonUnspecified, conns[1]: ReasonUnspecified, conns[2]: ReasonUnspecified,
		})
		w.wantForgotten("a")
	})
}

func TestDrainLeavesDialsUnderWayAlone(t *testing.T) {
	inSharedBubble(t, 2, func(t *testing.T, w *world) {
		c := w.acquire("a", Terms{})
		if n := w.pool.Drain("a", "moved"); n != 0 {
			t.Errorf("%d connections were drained, want none", n)
		}
		w.dialed()
		wantReason(t, w.release(c.leased()), "")
	})
}

func TestDrainMakesRoomForTheDialsThatWaitForIt(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		terms := Terms{MaxConns: 1}
		lease := w.lease("a", terms)
		next := w.acquire("a", terms)
		w.pool.Drain("a", "moved")
		next.stillWaits()
		w.wantDials(0)
		wantReason(t, w.release(lease), "moved")
		next.leasedByDial()
	})
}

func TestCloseIdleLeavesSharedConnectionsInUseUntilTheirLastLeaseEnds(t *testing.T) {
	inSharedBubble(t, 2, func(t *testing.T, w *world) {
		leases := w.leases(2, "a", Terms{})
		w.pool.CloseIdle()
		wantReason(t, w.release(leases[0]), "")
		w.wantCloses(nil)
		wantReason(t, w.release(leases[1]), ReasonCloseIdle)
		w.wantCloses(map[*fakeConn]Reason{leases[0].Conn(): ReasonCloseIdle})
	})
}

func TestShutdownWaitsForEveryLeaseOfASharedConnection(t *testing.T) {
	inSharedBubble(t, 2, func(t *testing.T, w *world) {
		terms := Terms{MaxConns: 1}
		leases := w.leases(2, "a", terms)
		waiting := w.acquire("a", terms)
		s := w.shutdown()
		wantError(t, waiting.failed(), ErrClosed)
		leases[0].Conn().resizes(3)
		w.tryNothing("a", terms)
		wantReason(t, w.release(leases[1]), ReasonShutdown)
		s.stillWaits(t)
		wantReason(t, w.release(leases[0]), ReasonShutdown)
		wantError(t, <-s.err, nil)
		w.wantCloses(map[*fakeConn]Reason{leases[0].Conn(): ReasonShutdown})
	})
}
