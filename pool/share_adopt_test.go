package pool

import "testing"

func TestTheDialOfAnAskerThatWasServedOtherwiseGoesOverToAnotherWant(t *testing.T) {
	inSharedBubble(t, 2, func(t *testing.T, w *world) {
		lease := w.lease("a", Terms{})
		w.try("a", Terms{})
		calls := w.crowd(3, "a", Terms{})
		w.wantDials(2) // for two and one
		w.release(lease)
		wantConn(t, calls[0].leased(), lease.Conn())
		w.wantDials(2)
		w.dialed()
		if got := served(t, calls); got != 3 {
			t.Errorf("%d wants are served, want all by the first dial", got)
		}
		w.wantDialed(3)
	})
}

func TestAnAdoptedDialThatFailsFailsNobody(t *testing.T) {
	inSharedBubble(t, 2, func(t *testing.T, w *world) {
		lease := w.leases(2, "a", Terms{})[0]
		first := w.acquireAs(1, "a", Terms{})
		second := w.acquireAs(2, "a", Terms{})
		w.wantDials(1)
		w.release(lease)
		first.leased()
		w.dialFails(errDial) // the second one's by now
		second.stillWaits()
		second.dialed()
		second.leased()
	})
}

func TestAnAdoptedDialGivesAFreshWantNoConnectionThatWasBegunBefore(t *testing.T) {
	inSharedBubble(t, 2, func(t *testing.T, w *world) {
		lease := w.leases(2, "a", Terms{})[0]
		first := w.acquireAs(1, "a", Terms{})
		fresh := w.acquireAs(2, "a", Terms{Fresh: true})
		w.wantDials(1)
		w.release(lease)
		first.leased()
		w.shares = false
		early, probes := w.newConn(), 0 // an exclusive one, begun before the fresh want joined
		early.set(func(c *fakeConn) { c.probed = func() { probes++ } })
		w.finish(w.dials()[0], func() (*fakeConn, error) { return early, nil })
		fresh.stillWaits()
		if probes == 0 {
			t.Error("the connection idles and has not been probed")
		}
		wantConn(t, w.try("a", Terms{}), early)
		fresh.dialed()
		if fresh.leased().Conn() == early {
			t.Error("the fresh want got the older connection")
		}
	})
}
