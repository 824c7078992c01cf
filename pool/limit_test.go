package pool

import (
	"testing"
	"time"
)

func TestTheConnectionReleasedLongestAgoGoesBeyondMaxIdle(t *testing.T) {
	inBubble(t, config{MaxIdle: 3}, func(t *testing.T, w *world) {
		a := w.idle(2, "a", Terms{})
		b := w.idle(1, "b", Terms{})
		w.release(w.try("a", Terms{})) // a[1], the latest again
		c := w.idle(1, "c", Terms{})
		want := map[*fakeConn]Reason{a[0]: ReasonIdleLimit}
		w.wantCloses(want)
		w.idle(1, "d", Terms{})
		want[b[0]] = ReasonIdleLimit
		w.wantCloses(want)
		w.idle(1, "e", Terms{})
		want[a[1]] = ReasonIdleLimit
		w.wantCloses(want)
		wantConn(t, w.try("c", Terms{}), c[0])
		w.wantGauges(2, 1, 0, 0)
	})
}

func TestTheConnectionThatComesBackIsClosedBeyondMaxIdlePerKey(t *testing.T) {
	inBubble(t, config{MaxIdlePerKey: 2, MaxIdle: 3}, func(t *testing.T, w *world) {
		b := w.idle(1, "b", Terms{})
		third := w.lease("a", Terms{})
		kept := w.idle(2, "a", Terms{})
		wantReason(t, w.release(third), ReasonKeyIdleLimit)
		want := map[*fakeConn]Reason{third.Conn(): ReasonKeyIdleLimit} // and nothing evicted for it
		w.wantCloses(want)

		gone := w.acquire("a", Terms{Fresh: true})
		gone.giveUp()
		want[w.dialed()] = ReasonKeyIdleLimit // a late dial comes back like any other
		w.wantCloses(want)

		w.idle(1, "c", Terms{})
		want[b[0]] = ReasonIdleLimit
		w.wantCloses(want)
		wantConn(t, w.try("a", Terms{}), kept[1])
		wantConn(t, w.try("a", Terms{}), kept[0])
	})
}

func TestNegativeIdleLimitsKeepNone(t *testing.T) {
	for _, test := range []struct {
		config config
		want   Reason
	}{{config{MaxIdle: -1}, ReasonIdleLimit}, {config{MaxIdlePerKey: -1}, ReasonKeyIdleLimit}} {
		inBubble(t, test.config, func(t *testing.T, w *world) {
			lease := w.lease("a", Terms{MaxConns: 1})
			next := w.acquire("a", Terms{MaxConns: 1})
			wantReason(t, w.release(lease), "") // it goes to a want and does not become idle
			wantReason(t, w.release(next.leased()), test.want)
		})
	}
}

func TestMaxConnsCountsDialsActiveAndIdleTogether(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		terms := Terms{MaxConns: 2}
		calls := []*call{w.acquire("a", terms), w.acquire("a", terms), w.acquire("a", terms)}
		w.wantGauges(0, 0, 2, 3)
		w.dialed()
		w.wantGauges(0, 1, 1, 2)
		w.dialed()
		w.wantGauges(0, 2, 0, 1)
		w.release(calls[0].leased())
		w.wantGauges(0, 2, 0, 0)
		w.release(calls[1].leased())
		w.release(calls[2].leased())
		w.wantGauges(2, 0, 0, 0)
	})
}

func TestAWantLooksAtItsOwnMaxConnsOnly(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		lease := w.lease("a", Terms{})
		narrow := w.acquire("a", Terms{MaxConns: 1})
		w.wantDials(0)
		w.acquire("a", Terms{MaxConns: 2}).leasedByDial()
		w.acquire("a", Terms{}).leasedByDial()
		narrow.stillWaits()
		w.release(lease)
		wantConn(t, narrow.leased(), lease.Conn())
	})
}

func TestMaxDialsPerKeyBoundsDialsOfEachKey(t *testing.T) {
	inBubble(t, config{MaxDialsPerKey: 2}, func(t *testing.T, w *world) {
		var calls []*call
		for range 5 {
			calls = append(calls, w.acquire("a", Terms{}))
		}
		other := w.acquire("b", Terms{})
		w.wantGauges(0, 0, 3, 6)
		for range 6 {
			w.dialed()
		}
		for _, c := range append(calls, other) {
			c.leased()
		}
		w.wantGauges(0, 6, 0, 0)
	})
}

func TestAnIdleConnectionMakesRoomForAWantThatMayNotUseIt(t *testing.T) {
	for _, terms := range []Terms{{Fresh: true, MaxConns: 2}, {Unpooled: true, MaxConns: 2}} {
		inBubble(t, config{}, func(t *testing.T, w *world) {
			conns := w.idle(2, "a", Terms{})
			c := w.acquire("a", terms)
			w.wantCloses(map[*fakeConn]Reason{conns[0]: ReasonMakeRoom})
			c.leasedByDial()
			w.wantGauges(1, 1, 0, 0)
		})
	}
}

func TestNoIdleConnectionIsClosedForAWantThatGetsNoRoomByIt(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		w.idle(2, "a", Terms{})
		w.try("a", Terms{})
		w.acquire("a", Terms{Fresh: true, MaxConns: 1}).stillWaits()
		w.wantCloses(nil)
	})
}

func TestAWantThatNeedsItsOwnDialIsNotStarvedByOthersThatReuse(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		lease := w.lease("a", Terms{MaxConns: 1})
		before := w.acquire("a", Terms{MaxConns: 1})
		own := w.acquire("a", Terms{MaxConns: 1, Fresh: true})
		behind := w.acquire("a", Terms{MaxConns: 1})

		wantReason(t, w.release(lease), "") // to the one before
		wantReason(t, w.release(before.leased()), ReasonMakeRoom)
		fresh := own.leasedByDial()
		wantReason(t, w.release(fresh), "")
		wantConn(t, behind.leased(), fresh.Conn())
	})
}

func TestAHopelessWantDoesNotHideAnotherThatRoomWouldHelp(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		lease := w.lease("a", Terms{})
		w.lease("a", Terms{})
		hopeless := w.acquire("a", Terms{Fresh: true, MaxConns: 1})
		fresh := w.acquire("a", Terms{Fresh: true, MaxConns: 2})
		plain := w.acquire("a", Terms{MaxConns: 2})
		wantReason(t, w.release(lease), ReasonMakeRoom)
		fresh.leasedByDial()
		hopeless.stillWaits()
		plain.stillWaits()
	})
}

func TestAConnectionIsHandedOnWhereClosingItWouldMakeNoRoom(t *testing.T) {
	for _, test := range []struct {
		name   string
		config config
		terms  Terms
		dials  int
	}{
		{"far above its MaxConns", config{}, Terms{Fresh: true, MaxConns: 1}, 0},
		{"a dial of its own is under way", config{}, Terms{Fresh: true, MaxConns: 3}, 1},
		{"no dial may be started", config{MaxDialsPerKey: 1}, Terms{Fresh: true, MaxConns: 3}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, test.config, func(t *testing.T, w *world) {
				lease := w.lease("a", Terms{})
				w.lease("a", Terms{})
				if test.config.MaxDialsPerKey > 0 {
					w.acquire("a", Terms{}).giveUp()
				}
				own := w.acquire("a", test.terms)
				w.wantDials(test.dials)
				plain := w.acquire("a", Terms{MaxConns: 1})
				wantReason(t, w.release(lease), "")
				wantConn(t, plain.leased(), lease.Conn())
				own.stillWaits()
			})
		})
	}
}

func TestEvictingTheLastConnectionOfAKeyForgetsIt(t *testing.T) {
	inBubble(t, config{MaxIdle: 1}, func(t *testing.T, w *world) {
		w.idle(1, "a", Terms{})
		w.idle(1, "b", Terms{})
		w.wantForgotten("a")
	})
}

func TestEvictingMakesRoomForTheWantsOfThatKey(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		conns := w.idle(2, "a", Terms{})
		lease := w.try("a", Terms{})
		fresh := w.acquire("a", Terms{Fresh: true, MaxConns: 1})
		w.wantDials(0)
		conns[0].retire("gone") // idle
		w.wantDials(0)
		w.discard(lease, "done")
		fresh.leasedByDial()
	})
}

func TestAClientOfManyKeysDoesNotGrow(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		terms := Terms{IdleTimeout: time.Second}
		p := New(Config[int, *plainConn]{})
		const keys = 20_000
		for key := range keys {
			lease, err := p.Acquire(t.Context(), key, plainDialer{}, terms)
			if err != nil {
				t.Fatal(err)
			}
			lease.Release()
		}
		if n := len(p.Stats().Keys); n != keys {
			t.Errorf("%d keys are known, want %d", n, keys)
		}
		time.Sleep(time.Minute)
		if err := checkInvariants(p); err != nil {
			t.Error(err)
		}
		if len(p.groups) != 0 || p.crowd >= 1024 {
			t.Errorf("%d groups, in a map made for %d", len(p.groups), p.crowd)
		}
	})
}
