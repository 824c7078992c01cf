package pool

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// panicOf returns the sentence that end panics with.
func panicOf(end func()) (sentence string) {
	defer func() {
		if value := recover(); value != nil {
			sentence = fmt.Sprint(value)
		}
	}()
	end()
	return ""
}

func ends(lease testLease) map[string]func() {
	return map[string]func(){
		"Release": func() { lease.Release() },
		"Discard": func() { lease.Discard("again") },
		"Hijack":  func() { lease.Hijack() },
	}
}

func TestALeaseEndedTwicePanics(t *testing.T) {
	for first := range ends(testLease{}) {
		for second := range ends(testLease{}) {
			inBubble(t, config{}, func(t *testing.T, w *world) {
				lease := w.lease("a", Terms{})
				lease.Conn().letGo()
				ends(lease)[first]()
				want := "pool: " + second + " was called on a lease that had already been released, discarded or hijacked"
				if got := panicOf(ends(lease)[second]); got != want {
					t.Errorf("%s after %s: %q, want %q", second, first, got, want)
				}
			})
		}
	}
}

func TestALeaseEndedTwicePanicsAlsoWhenItsConnectionIsLeasedAgain(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		old := w.lease("a", Terms{})
		w.release(old)
		current := w.try("a", Terms{})
		for verb, end := range ends(old) {
			if got := panicOf(end); !strings.Contains(got, "already been released") {
				t.Errorf("%s of the old lease: %q, want a panic", verb, got)
			}
		}
		w.wantGauges(0, 1, 0, 0)
		wantReason(t, w.release(current), "") // unharmed
	})
}

func TestOnlyOneOfManyWhoEndALeaseAtOnceSucceeds(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		lease := w.lease("a", Terms{})
		lease.Conn().letGo()
		var panics atomic.Int32
		var all sync.WaitGroup
		for _, end := range ends(lease) {
			for range 5 {
				all.Go(func() {
					if panicOf(end) != "" {
						panics.Add(1)
					}
				})
			}
		}
		all.Wait()
		if n := panics.Load(); n != 14 {
			t.Errorf("%d of 15 panicked, want 14", n)
		}
	})
}

func TestTheZeroLeaseLeasesNothing(t *testing.T) {
	var lease testLease
	if lease.Valid() || lease.Conn() != nil || lease.Key() != "" || lease.Reused() || lease.Uses() != 0 ||
		lease.Age() != 0 || lease.IdleTime() != 0 || lease.Waited() != 0 || lease.Miss() != "" {
		t.Error("the zero Lease says that there is something")
	}
	lease.Limit(time.Second, 1)
	for verb, end := range ends(lease) {
		want := "pool: " + verb + " was called on the zero Lease, which leases no connection"
		if got := panicOf(end); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestALeaseKeepsItsAnswersAfterItsEnd(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		conn := w.idle(1, "a", Terms{})[0]
		time.Sleep(time.Second)
		lease := w.try("a", Terms{})
		w.release(lease)
		w.release(w.try("a", Terms{}))
		wantConn(t, lease, conn)
		if !lease.Valid() || lease.Key() != "a" || lease.Uses() != 1 || lease.IdleTime() != time.Second {
			t.Errorf("key %q, uses %d, idle %v", lease.Key(), lease.Uses(), lease.IdleTime())
		}
	})
}

func TestThePeersIdleLimitLowersOursAndNeverRaisesIt(t *testing.T) {
	for _, test := range []struct {
		name   string
		ours   time.Duration
		peers  []time.Duration
		expect time.Duration // 0: never
	}{
		{"says nothing", time.Minute, []time.Duration{0, -1}, time.Minute},
		{"lower", time.Minute, []time.Duration{5 * time.Second}, 5 * time.Second},
		{"higher", time.Minute, []time.Duration{time.Hour}, time.Minute},
		{"lower, then higher", time.Minute, []time.Duration{5 * time.Second, 50 * time.Second}, 5 * time.Second},
		{"alone", 0, []time.Duration{5 * time.Second}, 5 * time.Second},
		{"none", 0, nil, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, config{}, func(t *testing.T, w *world) {
				terms := Terms{IdleTimeout: test.ours}
				lease := w.lease("a", terms)
				for _, peer := range test.peers {
					lease.Limit(peer, -1)
				}
				w.release(lease)
				lease = w.try("a", terms) // what the peer said stays said
				w.release(lease)
				expect := test.expect
				if expect == 0 {
					expect = 1000 * time.Hour
				}
				time.Sleep(expect - time.Millisecond)
				w.wantCloses(nil)
				time.Sleep(time.Millisecond)
				if test.expect > 0 {
					w.wantCloses(map[*fakeConn]Reason{lease.Conn(): ReasonIdleTimeout})
				}
			})
		})
	}
}

func TestThePeersIdleLimitHoldsFromTheLeaseThatHeardOfIt(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		lease := w.lease("a", Terms{IdleTimeout: time.Minute})
		lease.Limit(5*time.Second, -1)
		w.release(lease)
		time.Sleep(5*time.Second - time.Nanosecond)
		w.wantCloses(nil)
		time.Sleep(time.Nanosecond)
		w.wantCloses(map[*fakeConn]Reason{lease.Conn(): ReasonIdleTimeout})
	})
}

func TestThePeersReuseLimitLowersOursAndNeverRaisesIt(t *testing.T) {
	for _, test := range []struct {
		name   string
		ours   int
		peers  []int
		expect int // leases that it still carries after the first
	}{
		{"says nothing", 2, []int{-1}, 2},
		{"lower", 5, []int{1}, 1},
		{"none left", 5, []int{0}, 0},
		{"higher", 2, []int{100}, 2},
		{"lower, then higher", 5, []int{1, 3}, 1},
		{"alone", 0, []int{3}, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, config{}, func(t *testing.T, w *world) {
				terms := Terms{MaxReuse: test.ours}
				lease := w.lease("a", terms)
				for _, peer := range test.peers {
					lease.Limit(0, peer)
				}
				for range test.expect {
					wantReason(t, w.release(lease), "")
					lease = w.try("a", terms)
				}
				wantReason(t, w.release(lease), ReasonMaxReuse)
			})
		})
	}
}

func TestLimitCountsFromTheLeaseThatItIsSaidOn(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		w.idle(1, "a", Terms{})
		lease := w.try("a", Terms{})
		lease.Limit(0, 1)
		wantReason(t, w.release(lease), "")
		lease = w.try("a", Terms{})
		wantReason(t, w.release(lease), ReasonMaxReuse)
	})
}

func TestLimitOnALeaseThatHasEndedDoesNothing(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		old := w.lease("a", Terms{})
		w.release(old)
		old.Limit(time.Nanosecond, 0)
		current := w.try("a", Terms{})
		old.Limit(time.Nanosecond, 0)
		wantReason(t, w.release(current), "")
		time.Sleep(time.Hour)
		w.wantGauges(1, 0, 0, 0)
	})
}

func TestAFailedProbeAtReleaseClosesTheConnection(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		lease := w.lease("a", Terms{})
		lease.Conn().sicken(ReasonUnexpectedData)
		wantReason(t, w.release(lease), ReasonUnexpectedData)
		w.wantCloses(map[*fakeConn]Reason{lease.Conn(): ReasonUnexpectedData})
	})
}

func TestADiscardedConnectionIsClosedForTheReasonGiven(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		lease := w.lease("a", Terms{})
		w.discard(lease, "bad_response")
		w.wantCloses(map[*fakeConn]Reason{lease.Conn(): "bad_response"})
		if n := w.pool.Stats().Closes["bad_response"]; n != 1 {
			t.Errorf("counted %d times", n)
		}
	})
}

func TestAHijackedConnectionIsTheCallers(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		lease := w.lease("a", Terms{})
		lease.Hijack()
		lease.Conn().retire("goaway") // too late
		w.pool.CloseIdle()
		wantError(t, w.pool.Shutdown(t.Context()), nil)
		w.wantCloses(nil)
		if s := w.pool.Stats(); s.Hijacked != 1 || s.Active != 0 || s.Opened != 1 {
			t.Errorf("hijacked %d, active %d, opened %d", s.Hijacked, s.Active, s.Opened)
		}
		w.wantForgotten("a")
	})
}

func TestAnIdleConnectionThatRetiresIsClosedNow(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		conns := w.idle(2, "a", Terms{})
		for range 2 {
			conns[1].retire("goaway")
		}
		w.wantCloses(map[*fakeConn]Reason{conns[1]: "goaway"})
		wantConn(t, w.try("a", Terms{}), conns[0])
	})
}

func TestAConnectionInUseThatRetiresIsClosedWhenItsLeaseEnds(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		lease := w.lease("a", Terms{MaxConns: 1})
		next := w.acquire("a", Terms{MaxConns: 1})
		lease.Conn().retire("goaway")
		lease.Conn().retire("second_thoughts")
		w.wantCloses(nil)
		lease.Conn().sicken(ReasonPeerClosed)
		wantReason(t, w.release(lease), "goaway")
		next.leasedByDial()
	})
}

func TestAnEmptyRetireReasonIsUnspecified(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		conn := w.idle(1, "a", Terms{})[0]
		conn.retire("")
		w.wantCloses(map[*fakeConn]Reason{conn: ReasonUnspecified})
	})
}

func TestARetireFromWithinProbeAndCloseIsHarmless(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		conn := w.idle(1, "a", Terms{})[0]
		conn.set(func(c *fakeConn) { c.probed = func() { conn.retire("noticed") } })
		wantReason(t, w.release(w.try("a", Terms{})), "noticed")
	})
}
