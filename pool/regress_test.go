package pool

import "testing"

// TestADialThatNobodyWaitsForIsProbedBeforeItsConnectionIdles: the first probe is what has a connection watched.
func TestADialThatNobodyWaitsForIsProbedBeforeItsConnectionIdles(t *testing.T) {
	for _, found := range []Reason{"", ReasonPeerClosed} {
		inBubble(t, config{}, func(t *testing.T, w *world) {
			w.acquire("a", Terms{}).giveUp()
			conn, probes := w.newConn(), 0
			conn.sicken(found)
			conn.set(func(c *fakeConn) { c.probed = func() { probes++ } })
			w.finish(w.dials()[0], func() (*fakeConn, error) { return conn, nil })
			if probes == 0 {
				t.Error("the connection idles and has not been probed")
			}
			if found == "" {
				w.wantGauges(1, 0, 0, 0)
				return
			}
			w.wantGauges(0, 0, 0, 0)
			w.wantCloses(map[*fakeConn]Reason{conn: found})
		})
	}
}

// TestADialThatSomebodyWaitsForIsNotProbed: a server that answers and closes at once may still be read from.
func TestADialThatSomebodyWaitsForIsNotProbed(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		c := w.acquire("a", Terms{})
		conn := w.newConn()
		conn.sicken(ReasonPeerClosed)
		w.finish(w.dials()[0], func() (*fakeConn, error) { return conn, nil })
		wantConn(t, c.leased(), conn)
	})
}
