package pool

import (
	"math/rand/v2"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"weak"
)

func TestAnIdleConnectionIsClosedAtItsTimeout(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		conn := w.idle(1, "a", Terms{IdleTimeout: 10 * time.Second})[0]
		time.Sleep(10*time.Second - 1)
		w.wantCloses(nil)
		time.Sleep(time.Nanosecond)
		w.wantCloses(map[*fakeConn]Reason{conn: ReasonIdleTimeout})
		w.wantForgotten("a")
	})
}

func TestAnIdleConnectionIsClosedAtItsLifetime(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		conn := w.idle(1, "a", Terms{IdleTimeout: 10 * time.Second, MaxLifetime: 15 * time.Second})[0]
		time.Sleep(8 * time.Second)
		w.release(w.try("a", Terms{IdleTimeout: 10 * time.Second}))
		time.Sleep(7*time.Second - 1)
		w.wantCloses(nil)
		time.Sleep(time.Nanosecond)
		w.wantCloses(map[*fakeConn]Reason{conn: ReasonMaxLifetime})
	})
}

func TestEachReleaseStartsTheIdleTimeoutOfItsOwnLease(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		conn := w.idle(1, "a", Terms{IdleTimeout: 5 * time.Second})[0]
		time.Sleep(4 * time.Second)
		w.release(w.try("a", Terms{IdleTimeout: 20 * time.Second}))
		time.Sleep(19 * time.Second)
		w.release(w.try("a", Terms{}))
		time.Sleep(1000 * time.Hour)
		w.wantCloses(nil)
		w.release(w.try("a", Terms{}))
		w.release(w.try("a", Terms{IdleTimeout: time.Second}))
		time.Sleep(time.Second)
		w.wantCloses(map[*fakeConn]Reason{conn: ReasonIdleTimeout})
	})
}

func TestAnEarlierDeadlineWakesTheReaperEarlier(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		w.idle(1, "a", Terms{IdleTimeout: time.Hour})
		early := w.idle(1, "b", Terms{IdleTimeout: time.Second})[0]
		time.Sleep(time.Second)
		w.wantCloses(map[*fakeConn]Reason{early: ReasonIdleTimeout})
		w.wantGauges(1, 0, 0, 0)
	})
}

func TestAnExpiredConnectionIsNotLeasedEvenIfTheReaperIsLate(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		conn := w.idle(1, "a", Terms{IdleTimeout: time.Second})[0]
		w.pool.mu.Lock()
		w.pool.disarm()
		w.pool.mu.Unlock()
		time.Sleep(time.Second)
		w.wantGauges(1, 0, 0, 0)
		w.tryNothing("a", Terms{})
		w.wantCloses(map[*fakeConn]Reason{conn: ReasonIdleTimeout})
	})
}

func TestReapingMakesRoomForTheWantsOfThatKey(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		conns := w.idle(3, "a", Terms{IdleTimeout: time.Second})
		lease := w.try("a", Terms{})
		fresh := w.acquire("a", Terms{Fresh: true, MaxConns: 1})
		time.Sleep(time.Second)
		w.wantCloses(map[*fakeConn]Reason{conns[0]: ReasonIdleTimeout, conns[1]: ReasonIdleTimeout})
		w.release(lease)
		fresh.leasedByDial()
	})
}

func TestTheReaperIsArmedOnlyWhileItIsNeeded(t *testing.T) {
	armed := func(w *world) bool {
		w.pool.mu.Lock()
		defer w.pool.mu.Unlock()
		return w.pool.reaper.wake != forever
	}
	inBubble(t, config{}, func(t *testing.T, w *world) {
		w.idle(1, "a", Terms{})
		if armed(w) {
			t.Error("armed for a connection without a deadline")
		}
		w.idle(1, "b", Terms{IdleTimeout: time.Minute})
		if !armed(w) {
			t.Error("not armed for a connection with a deadline")
		}
		lease := w.try("b", Terms{})
		time.Sleep(time.Hour)
		if armed(w) {
			t.Error("still armed for a connection in use, after it has fired")
		}
		w.discard(lease, "done")
		for _, terms := range []Terms{{IdleTimeout: time.Minute}, {MaxLifetime: time.Minute}} {
			conn := w.idle(1, "b", terms)[0]
			if !armed(w) {
				t.Errorf("not armed for %+v", terms)
			}
			conn.retire("gone")
			if armed(w) {
				t.Error("still armed although its connection is closed")
			}
		}
		w.idle(1, "b", Terms{IdleTimeout: time.Minute})
		w.pool.CloseIdle()
		if armed(w) {
			t.Error("still armed after CloseIdle")
		}
	})
}

func TestADroppedPoolIsCollectedOnceItsIdleConnectionsHaveTimedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config[string, *plainConn]{})
		lease, err := p.Acquire(t.Context(), "a", plainDialer{}, Terms{IdleTimeout: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		lease.Release()
		lease = Lease[string, *plainConn]{}
		dropped := weak.Make(p)
		p = nil
		time.Sleep(time.Hour)
		synctest.Wait()
		for range 10 {
			runtime.GC()
		}
		if dropped.Value() != nil {
			t.Error("something keeps the pool alive")
		}
	})
}

func TestTheReaperLeavesManyIdleConnectionsAloneForAWhileAfterAScan(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		w.idle(1000, "a", Terms{})
		w.idle(1, "b", Terms{IdleTimeout: time.Second})
		time.Sleep(time.Second)
		w.wantGauges(1000, 0, 0, 0) // after a scan of 1001, thus quiet for 10.01 ms
		w.idle(1, "b", Terms{IdleTimeout: time.Millisecond})
		time.Sleep(10 * time.Millisecond)
		w.wantGauges(1001, 0, 0, 0)
		w.tryNothing("b", Terms{}) // the late one is not leased for that
		w.idle(1, "b", Terms{IdleTimeout: time.Nanosecond})
		time.Sleep(10 * time.Microsecond)
		w.wantGauges(1000, 0, 0, 0)
	})
}

// entriesAt makes an idle list with the given deadlines.
func entriesAt(deadlines ...time.Duration) *chain[string, *plainConn] {
	all := &chain[string, *plainConn]{kind: inPool}
	for _, at := range deadlines {
		all.pushFront(&entry[string, *plainConn]{state: idle, bounds: &bounds{maxUses: 1, idle: at}})
	}
	return all
}

func TestASweepFindsWhatIsSpentAndWhenToComeAgain(t *testing.T) {
	const gap = scanGap
	for _, test := range []struct {
		name        string
		deadlines   []time.Duration
		now         time.Duration
		spent       int
		next, quiet time.Duration
	}{
		{"nothing idle", nil, time.Second, 0, forever, time.Second},
		{"no deadline", []time.Duration{forever}, time.Second, 0, forever, time.Second + gap},
		{"none reached", []time.Duration{5e9, 3e9, forever}, 1e9, 0, 3e9, 1e9 + 3*gap},
		{"reached to the nanosecond", []time.Duration{1e9, 2e9}, 1e9, 1, 2e9, 1e9 + 2*gap},
		{"all reached", []time.Duration{1, 2, 3}, 3, 3, forever, 3 + 3*gap},
		{"the next one too soon", []time.Duration{1e9, 1e9 + 1, 2e9}, 1e9, 1, 1e9 + 3*gap, 1e9 + 3*gap},
	} {
		t.Run(test.name, func(t *testing.T) {
			spent, next, quiet := sweep(entriesAt(test.deadlines...), test.now)
			if len(spent) != test.spent || next != test.next || quiet != test.quiet {
				t.Errorf("%d spent, next %v, quiet until %v; want %d, %v, %v",
					len(spent), next, quiet, test.spent, test.next, test.quiet)
			}
		})
	}
}

func TestTenThousandDeadlinesDoNotMakeTenThousandScans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 10_000
		p := New(Config[int, *plainConn]{})
		var leases []Lease[int, *plainConn]
		for i := range n {
			spread := time.Second + rand.N(time.Second)
			lease, err := p.Acquire(t.Context(), i%100, plainDialer{}, Terms{IdleTimeout: spread, Fresh: true})
			if err != nil {
				t.Fatal(err)
			}
			leases = append(leases, lease)
		}
		for _, lease := range leases {
			lease.Release()
		}
		// Every millisecond some 10 deadlines pass. Count how often the reaper takes notice.
		scans, before := 0, p.Stats().Idle
		for range 2200 {
			time.Sleep(time.Millisecond)
			synctest.Wait()
			if idle := p.Stats().Idle; idle != before {
				scans, before = scans+1, idle
			}
		}
		if before != 0 {
			t.Errorf("%d connections are still idle", before)
		}
		if scans > 250 { // with 100 ms after 10,000, ever less after fewer
			t.Errorf("%d scans within a second", scans)
		}
	})
}
