package pool

import "testing"

func (w *world) privately() *fakeConn {
	w.t.Helper()
	w.wantDials(-1)
	conn := w.newConn()
	conn.private = true
	w.finish(w.dials()[0], func() (*fakeConn, error) { return conn, nil })
	return conn
}

func TestAPrivateConnectionServesTheWantThatAskedForItAndIsClosed(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		asker, other := w.acquire("a", Terms{}), w.acquire("a", Terms{})
		conn := w.privately()
		lease := asker.leased()
		wantConn(t, lease, conn)
		wantReason(t, w.release(lease), ReasonUnpooled)
		other.stillWaits()
		w.dialed()
		other.leased()
	})
}

func TestAPrivateConnectionWhoseAskerHasLeftServesNobody(t *testing.T) {
	for _, capacity := range []int{0, 5} {
		inBubble(t, config{}, func(t *testing.T, w *world) {
			w.shares, w.capacity = capacity > 0, capacity
			terms := Terms{MaxConns: 1, Expect: capacity}
			asker, other := w.acquire("a", terms), w.acquire("a", terms)
			asker.giveUp()
			conn := w.privately()
			other.stillWaits()
			w.wantCloses(map[*fakeConn]Reason{conn: ReasonUnpooled})
			w.dialed()
			other.leased()
		})
	}
}

func TestAPrivateConnectionThatCouldBeSharedServesOneLease(t *testing.T) {
	inSharedBubble(t, 5, func(t *testing.T, w *world) {
		asker, other := w.acquire("a", Terms{Expect: 5}), w.acquire("a", Terms{Expect: 5})
		w.privately()
		lease := asker.leased()
		other.stillWaits()
		w.tryNothing("a", Terms{})
		wantReason(t, w.release(lease), ReasonUnpooled)
		w.dialed()
		other.leased()
	})
}
