package pool

import (
	"testing"
	"time"
)

type config = Config[string, fake]

func TestAReleasedConnectionIsLeasedAgain(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		first := w.lease("a", Terms{})
		conn := first.Conn()
		if first.Reused() || first.Uses() != 0 || first.Miss() != MissCold || first.Key() != "a" {
			t.Errorf("first lease: reused %v, uses %d, miss %q, key %q",
				first.Reused(), first.Uses(), first.Miss(), first.Key())
		}
		wantReason(t, w.release(first), "")
		time.Sleep(3 * time.Second)
		second := w.acquire("a", Terms{}).leased()
		wantConn(t, second, conn)
		if !second.Reused() || second.Uses() != 1 || second.Miss() != "" || second.Waited() != 0 {
			t.Errorf("second lease: reused %v, uses %d, miss %q, waited %v",
				second.Reused(), second.Uses(), second.Miss(), second.Waited())
		}
		if second.IdleTime() != 3*time.Second || second.Age() != 3*time.Second {
			t.Errorf("second lease: idle for %v, age %v, want 3s", second.IdleTime(), second.Age())
		}
		w.wantDials(0)
	})
}

func TestKeysShareNothing(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		w.idle(1, "a", Terms{})
		w.tryNothing("b", Terms{})
		if c := w.acquire("b", Terms{}); !c.waits() {
			t.Error("an Acquire of b took the connection of a")
		}
		w.dialed()
	})
}

func TestTheMostRecentlyReleasedConnectionIsLeasedFirst(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		conns := w.idle(3, "a", Terms{})
		for i := 2; i >= 0; i-- {
			wantConn(t, w.try("a", Terms{}), conns[i])
		}
		w.tryNothing("a", Terms{})
	})
}

func TestACandidateThatFailsItsProbeIsClosedAndTheNextOneTried(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		conns := w.idle(3, "a", Terms{})
		conns[2].sicken(ReasonPeerClosed)
		conns[1].sicken(ReasonUnexpectedData)
		lease := w.acquire("a", Terms{}).leased()
		wantConn(t, lease, conns[0])
		if lease.Miss() != "" {
			t.Errorf("miss is %q although an idle connection was there", lease.Miss())
		}
		w.wantCloses(map[*fakeConn]Reason{conns[2]: ReasonPeerClosed, conns[1]: ReasonUnexpectedData})
		w.wantDials(0)
	})
}

func TestAConnectionThatIsBeingProbedIsActive(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		conn := w.idle(1, "a", Terms{})[0]
		probes := 0
		conn.set(func(c *fakeConn) {
			c.probed = func() {
				probes++
				w.wantGauges(0, 1, 0, 0)
				w.tryNothing("a", Terms{})
			}
		})
		w.release(w.try("a", Terms{}))
		if probes != 2 {
			t.Errorf("%d probes for one lease, want one at checkout and one at release", probes)
		}
	})
}

func TestAReuseCapAllowsThatManyReuses(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		terms := Terms{MaxReuse: 2}
		lease := w.lease("a", terms)
		conn := lease.Conn()
		for range 2 {
			wantReason(t, w.release(lease), "")
			lease = w.try("a", terms)
			wantConn(t, lease, conn)
		}
		wantReason(t, w.release(lease), ReasonMaxReuse)
		w.wantCloses(map[*fakeConn]Reason{conn: ReasonMaxReuse})
	})
}

func TestAConnectionPastItsLifetimeIsNotKept(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		terms := Terms{MaxLifetime: time.Minute}
		lease := w.lease("a", terms)
		time.Sleep(time.Hour) // in use, thus not cut
		w.wantGauges(0, 1, 0, 0)
		wantReason(t, w.release(lease), ReasonMaxLifetime)
	})
}

func TestLifetimeHasJitterDrawnAtDial(t *testing.T) {
	for _, test := range []struct {
		jitter time.Duration
		last   time.Duration // at which it is still leased
	}{{900, 89_999}, {1000, 99_999}, {1100, 109_999}} {
		inBubble(t, config{}, func(t *testing.T, w *world) {
			w.pool.draw = func() time.Duration { return test.jitter }
			terms := Terms{MaxLifetime: 100 * time.Second}
			lease := w.lease("a", terms)
			time.Sleep(test.last * time.Millisecond)
			wantReason(t, w.release(lease), "")
			lease = w.try("a", terms)
			time.Sleep(time.Millisecond)
			wantReason(t, w.release(lease), ReasonMaxLifetime)
		})
	}
}

func TestJitterStaysWithinTenPercent(t *testing.T) {
	p := New(Config[string, *plainConn]{})
	lowest, highest := time.Duration(1000), time.Duration(1000)
	for range 10_000 {
		jitter := p.draw()
		lowest, highest = min(lowest, jitter), max(highest, jitter)
	}
	if lowest != 900 || highest != 1100 {
		t.Errorf("factors from %d to %d thousandths, want 900 to 1100", lowest, highest)
	}
}

func TestTheStrictestTermsOfAllLeasesHold(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		conn := w.idle(1, "a", Terms{MaxReuse: 10})[0]
		lease := w.try("a", Terms{MaxReuse: 1})
		wantConn(t, lease, conn)
		wantReason(t, w.release(lease), ReasonMaxReuse)
	})
}

func TestAConnectionBeyondWhatTheAskerAllowsIsClosedNotLeased(t *testing.T) {
	for _, test := range []struct {
		terms Terms
		want  Reason
	}{
		{Terms{MaxReuse: 1}, ReasonMaxReuse},
		{Terms{MaxLifetime: time.Second}, ReasonMaxLifetime},
		{Terms{IdleTimeout: time.Second}, ReasonIdleTimeout},
	} {
		inBubble(t, config{}, func(t *testing.T, w *world) {
			conn := w.idle(1, "a", Terms{})[0]
			w.release(w.try("a", Terms{}))
			time.Sleep(time.Second)
			w.tryNothing("a", test.terms)
			w.wantCloses(map[*fakeConn]Reason{conn: test.want})
		})
	}
}

func TestAnUnpooledLeaseNeitherTakesNorLeavesAConnection(t *testing.T) {
	inBubble(t, config{MaxIdle: 1}, func(t *testing.T, w *world) {
		kept := w.idle(1, "a", Terms{})[0]
		w.tryNothing("a", Terms{Unpooled: true})
		lease := w.lease("a", Terms{Unpooled: true})
		own := lease.Conn()
		if own == kept || lease.Miss() != MissUnpooled {
			t.Errorf("leased conn %d with miss %q", own.id, lease.Miss())
		}
		own.set(func(c *fakeConn) {
			c.probed = func() { t.Error("it was probed, although it is closed in any case") }
		})
		wantReason(t, w.release(lease), ReasonUnpooled)
		w.wantCloses(map[*fakeConn]Reason{own: ReasonUnpooled}) // and nothing evicted for it
	})
}

func TestAFreshLeaseTakesNoIdleConnectionAndLeavesOne(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		old := w.idle(1, "a", Terms{})[0]
		w.tryNothing("a", Terms{Fresh: true})
		lease := w.lease("a", Terms{Fresh: true})
		if lease.Conn() == old || lease.Reused() || lease.Miss() != MissFresh {
			t.Errorf("leased conn %d, reused %v, miss %q", lease.Conn().id, lease.Reused(), lease.Miss())
		}
		wantReason(t, w.release(lease), "")
		w.wantGauges(2, 0, 0, 0)
	})
}

func TestCloseIdleClosesWhatIsIdleAndWhatComesBackUntilTheNextAcquire(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		idle := w.idle(2, "a", Terms{})
		other := w.idle(1, "b", Terms{})[0]
		leased := w.try("a", Terms{})
		late := w.acquire("c", Terms{})
		late.giveUp() // its dial goes on

		w.pool.CloseIdle()
		want := map[*fakeConn]Reason{idle[0]: ReasonCloseIdle, other: ReasonCloseIdle}
		w.wantCloses(want)
		wantReason(t, w.release(leased), ReasonCloseIdle)
		want[leased.Conn()] = ReasonCloseIdle
		want[w.dialed()] = ReasonCloseIdle
		w.wantCloses(want)

		again := w.lease("a", Terms{})
		wantReason(t, w.release(again), "")
	})
}

func TestAWantGetsItsConnectionAlsoAfterCloseIdle(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		lease := w.lease("a", Terms{MaxConns: 1})
		c := w.acquire("a", Terms{MaxConns: 1})
		w.pool.CloseIdle()
		wantReason(t, w.release(lease), "")
		wantConn(t, c.leased(), lease.Conn())
	})
}

func TestATryAcquireClearsCloseIdleToo(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		lease := w.lease("a", Terms{})
		w.pool.CloseIdle()
		w.tryNothing("a", Terms{})
		wantReason(t, w.release(lease), "")
	})
}

func TestNegativeTermsSetNoLimit(t *testing.T) {
	inBubble(t, config{MaxDialsPerKey: -1}, func(t *testing.T, w *world) {
		terms := Terms{IdleTimeout: -1, MaxReuse: -1, MaxLifetime: -1, MaxConns: -1}
		w.idle(2, "a", terms)
		time.Sleep(1000 * time.Hour)
		wantReason(t, w.release(w.try("a", terms)), "")
		w.wantGauges(2, 0, 0, 0)
	})
}

func TestTheLargestTermsDoNotOverflow(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		most := int(^uint(0) >> 1)
		terms := Terms{IdleTimeout: forever, MaxReuse: most, MaxLifetime: forever, MaxConns: most}
		w.idle(1, "a", terms)
		time.Sleep(1000 * time.Hour)
		lease := w.try("a", terms)
		lease.Limit(forever, most)
		wantReason(t, w.release(lease), "")
		w.wantGauges(1, 0, 0, 0)
	})
}

func TestAConnectionThatWasIdleCountsAsReusedEvenIfNobodyHasUsedIt(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		w.acquire("a", Terms{}).giveUp()
		conn := w.dialed()
		w.wantGauges(1, 0, 0, 0)
		lease := w.try("a", Terms{})
		wantConn(t, lease, conn)
		if !lease.Reused() || lease.Uses() != 0 {
			t.Errorf("reused %v after %d uses, want true after none", lease.Reused(), lease.Uses())
		}
	})
}

func TestAConnectionThatComesStraightFromItsDialIsNotReusedWhoeverGetsIt(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		terms := Terms{MaxConns: 1}
		asker := w.acquire("a", terms)
		other := w.acquire("a", terms)
		asker.giveUp()
		w.dialed()
		if lease := other.leased(); lease.Reused() {
			t.Error("the connection counts as reused")
		}
	})
}
