package pool

import (
	"testing"
	"time"
)

// These tests concern keys that are asked for by themselves and that are also keys of a Host.

// landAt ends the oldest dial with a connection of the key.
func (w *world) landAt(key string) {
	conn := w.newConn()
	conn.key = key
	w.finish(w.dials()[0], func() (*fakeConn, error) { return conn, nil })
}

func TestADialThatLeadsToAKeyWithIdleConnectionsKeepsToTheIdleLimit(t *testing.T) {
	inBubble(t, config{MaxIdlePerKey: 1}, func(t *testing.T, w *world) {
		w.idle(1, "b", Terms{})
		w.hosts["x"] = w.pool.NewHost([]string{"a"}, nil)
		x := w.acquire("x", Terms{})
		w.landAt("a")
		w.release(x.leased()) // one idle connection of x
		x = w.acquire("x", Terms{Fresh: true})
		w.landAt("b") // which is not listed, and has another one
		w.wantGauges(1, 1, 0, 0)
		w.release(x.leased())
		w.wantGauges(1, 0, 0, 0)
	})
}

func TestAKeyThatNoLongerCountsTheDialsOfAHostHasRoomForItsOwn(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		terms := Terms{MaxConns: 2}
		h := w.pool.NewHost([]string{"a", "b"}, nil)
		w.hosts["x"] = h
		warm := w.warm("x", 2, terms)
		w.acquire("a", terms)
		held := w.acquire("a", terms)
		w.wantDials(2) // both of x, and they may lead to a
		w.landAt("b")
		h.SetKeys([]string{"b"})
		w.pool.SetLimits(1, 0, nil)
		if warm.returned() == nil {
			t.Error("Warm returned nil, although MaxIdle does not allow its connections")
		}
		w.wantDials(2) // one of x, which may still lead to a, and one of a
		held.stillWaits()
		w.landAt("b") // the other connection of b makes room, and x no longer has a
		w.wantDials(2)
	})
}

func TestAFloorIsKeptWhenAHostThatBecomesKnownHasClosedItsConnection(t *testing.T) {
	inBubble(t, config{MaxIdlePerKey: 1}, func(t *testing.T, w *world) {
		w.keepIdle("b", 1, Terms{})
		w.dialed()
		w.idle(1, "a", Terms{})
		w.hosts["x"] = w.pool.NewHost([]string{"a", "b"}, nil)
		if lease := w.try("x", Terms{}); lease.Key() != "a" { // x keeps one idle connection, so that of b was closed
			t.Errorf("leased a connection of %s, want one of a", lease.Key())
		}
		time.Sleep(2 * fullPause)
		w.wantDials(1)
		w.dialed()
		w.wantGauges(1, 1, 0, 0)
	})
}

func TestAFloorDoesNotDialWhatAHostThatHasTheKeyDoesNotKeep(t *testing.T) {
	inBubble(t, config{MaxIdlePerKey: 1}, func(t *testing.T, w *world) {
		w.hosts["x"] = w.pool.NewHost([]string{"a", "b"}, nil)
		x := w.acquire("x", Terms{})
		w.landAt("a")
		w.release(x.leased())
		w.keepIdle("b", 1, Terms{})
		time.Sleep(time.Minute)
		w.wantDials(0)
		w.pool.Drain("a", "drained")
		time.Sleep(2 * fullPause)
		w.wantDials(1)
	})
}

func TestABalanceClosesNoConnectionThatMakesNoRoom(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		w.pool.pick = func(int) int { return 0 } // the first key, a, has the first turn
		w.idle(3, "b", Terms{})
		h := w.pool.NewHost([]string{"a", "b"}, nil)
		h.SetBalance(BalanceRoundRobin, w, 2)
		w.hosts["x"] = h
		lease := w.try("x", Terms{})
		w.wantGauges(2, 1, 0, 0)
		w.release(lease)
	})
}
