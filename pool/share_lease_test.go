package pool

import (
	"strings"
	"testing"
	"time"
)

func TestASharedLeaseEndedTwicePanics(t *testing.T) {
	for first := range sharedEnds(testLease{}) {
		for second := range sharedEnds(testLease{}) {
			inSharedBubble(t, 10, func(t *testing.T, w *world) {
				leases := w.leases(3, "a", Terms{})
				for _, i := range []int{1, 0} { // out of order
					leases[i].Conn().letGo()
					sharedEnds(leases[i])[first]()
					want := "pool: " + second + " was called on a lease that had already been released, discarded or hijacked"
					if got := panicOf(sharedEnds(leases[i])[second]); got != want {
						t.Errorf("%s after %s: %q, want %q", second, first, got, want)
					}
				}
				w.wantGauges(0, 1, 0, 0)
				if s := w.pool.Conns("a")[0]; s.Leases != 1 {
					t.Errorf("%d leases are under way, want the third one", s.Leases)
				}
			})
		}
	}
}

func sharedEnds(lease testLease) map[string]func() {
	all := ends(lease)
	delete(all, "Hijack")
	return all
}

func TestASharedConnectionCannotBeHijacked(t *testing.T) {
	inSharedBubble(t, 10, func(t *testing.T, w *world) {
		lease := w.lease("a", Terms{})
		if got := panicOf(lease.Hijack); !strings.Contains(got, "shared connection") {
			t.Errorf("%q, want a panic", got)
		}
		wantReason(t, w.release(lease), "") // unharmed
	})
}

func TestLimitOnOneLeaseOfManyHoldsForTheConnection(t *testing.T) {
	inSharedBubble(t, 10, func(t *testing.T, w *world) {
		leases := w.leases(3, "a", Terms{})
		leases[1].Limit(time.Second, 2) // so the fourth lease is the last
		w.release(leases[1])
		leases[1].Limit(time.Nanosecond, 0) // has ended
		fourth := w.try("a", Terms{})
		w.tryNothing("a", Terms{})
		w.releaseAll(leases[0], leases[2])
		wantReason(t, w.release(fourth), ReasonMaxReuse)
	})
}

func TestAProbeThatFailsAtCheckoutRetiresAConnectionThatOthersShareAndTheNextOneIsTried(t *testing.T) {
	inSharedBubble(t, 2, func(t *testing.T, w *world) {
		well := w.leases(2, "a", Terms{})
		ill := w.lease("a", Terms{})
		w.release(well[0]) // one lease each, and this one has had room for a shorter time
		ill.Conn().sicken(ReasonPeerClosed)
		wantConn(t, w.try("a", Terms{}), well[0].Conn())
		if s := w.pool.Conns("a")[1]; s.Retired != ReasonPeerClosed || s.Leases != 1 || s.Uses != 1 {
			t.Errorf("the sick connection is %+v, want it to be retired with one lease", s)
		}
		w.wantCloses(nil)
		w.release(ill)
		w.wantCloses(map[*fakeConn]Reason{ill.Conn(): ReasonPeerClosed})
		w.wantDials(0)
	})
}

func TestASickIdleConnectionMakesRoomForAWantAlsoWhenAPlaceOnAnotherIsTaken(t *testing.T) {
	inSharedBubble(t, 2, func(t *testing.T, w *world) {
		terms := Terms{MaxConns: 2}
		busy := w.leases(2, "a", terms)
		idle := w.lease("a", terms)
		w.releaseAll(idle, busy[0])
		idle.Conn().sicken(ReasonPeerClosed)
		var fresh *call
		idle.Conn().set(func(c *fakeConn) {
			c.probed = func() { fresh = w.acquire("a", Terms{MaxConns: 2, Fresh: true}) }
		})
		wantConn(t, w.try("a", terms), busy[0].Conn())
		fresh.leasedByDial()
	})
}

func TestAProbeThatFailsAtReleaseRetiresAConnectionThatOthersShare(t *testing.T) {
	inSharedBubble(t, 3, func(t *testing.T, w *world) {
		leases := w.leases(2, "a", Terms{})
		conn := leases[0].Conn()
		conn.sicken(ReasonUnexpectedData)
		wantReason(t, w.release(leases[0]), ReasonUnexpectedData)
		conn.sicken("")
		w.tryNothing("a", Terms{})
		w.wantCloses(nil)
		wantReason(t, w.release(leases[1]), ReasonUnexpectedData)
		w.wantCloses(map[*fakeConn]Reason{conn: ReasonUnexpectedData})
	})
}
