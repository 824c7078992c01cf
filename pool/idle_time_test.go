package pool

import (
	"testing"
	"time"
)

func TestAnAcquireLeavesAConnectionAloneThatIsIdleForLongerThanItAccepts(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		conn := w.idle(1, "a", Terms{})[0]
		time.Sleep(time.Second)
		careful := Terms{MaxIdleTime: time.Second}
		if lease, ok := w.tryAcquire("a", careful); ok || lease.Miss() != MissExpired {
			t.Errorf("leased %v, miss %q", ok, lease.Miss())
		}
		if lease := w.try("a", Terms{}); lease.Conn() != conn {
			t.Error("nobody else gets the connection")
		} else {
			w.release(lease)
		}
		time.Sleep(time.Second - 1)
		if lease := w.try("a", careful); lease.Conn() != conn {
			t.Error("the connection is left alone too early")
		}
	})
}

func TestAConnectionThatIsLeftAloneMakesRoomForOneThatComesBack(t *testing.T) {
	inBubble(t, config{MaxIdlePerKey: 2}, func(t *testing.T, w *world) {
		old := w.idle(2, "a", Terms{})
		leased := w.lease("b", Terms{}) // of no concern
		time.Sleep(2 * time.Second)
		c := w.acquire("a", Terms{MaxIdleTime: time.Second})
		w.dialed()
		young := c.leased()
		wantReason(t, w.release(young), "")
		w.wantCloses(map[*fakeConn]Reason{old[0]: ReasonKeyIdleLimit})
		w.release(leased)
	})
}

func TestOnCloseTellsHowLongTheConnectionWasIdleAndHowOftenItWasLeased(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		for name, test := range map[string]struct {
			close func(conn *fakeConn)
			want  Closing
		}{
			"retired while idle": {func(conn *fakeConn) {
				time.Sleep(3 * time.Second)
				conn.retire(ReasonPeerClosed)
			}, Closing{ReasonPeerClosed, 3 * time.Second, 1}},
			"found closed at checkout": {func(conn *fakeConn) {
				time.Sleep(2 * time.Second)
				conn.sicken(ReasonPeerClosed)
				w.tryAcquire("a", Terms{})
			}, Closing{ReasonPeerClosed, 2 * time.Second, 1}},
			"in use": {func(*fakeConn) {
				time.Sleep(time.Second)
				w.discard(w.try("a", Terms{}), "failed")
			}, Closing{"failed", 0, 2}},
		} {
			test.close(w.idle(1, "a", Terms{})[0])
			w.settled()
			if got := w.closings[len(w.closings)-1]; got != test.want {
				t.Errorf("%s: %+v, want %+v", name, got, test.want)
			}
		}
	})
}
