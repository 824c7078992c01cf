package pool

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestAReleasedConnectionGoesToTheOldestWant(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		lease := w.lease("a", Terms{MaxConns: 1})
		older := w.acquire("a", Terms{MaxConns: 1})
		younger := w.acquire("a", Terms{MaxConns: 1})
		time.Sleep(2 * time.Second)
		wantReason(t, w.release(lease), "")
		got := older.leased()
		wantConn(t, got, lease.Conn())
		if got.Miss() != MissBusy || !got.Reused() || got.Waited() != 2*time.Second || got.IdleTime() != 0 {
			t.Errorf("miss %q, reused %v, waited %v, idle %v",
				got.Miss(), got.Reused(), got.Waited(), got.IdleTime())
		}
		younger.stillWaits()
		w.release(got)
		wantConn(t, younger.leased(), lease.Conn())
	})
}

func TestARequestTakesWhatComesFirstAReleaseOrADial(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		lease := w.lease("a", Terms{})
		c := w.acquire("a", Terms{})
		w.wantDials(1)
		w.release(lease)
		wantConn(t, c.leased(), lease.Conn())
		w.dialed() // for nobody any more
		w.wantGauges(1, 1, 0, 0)
	})
}

func TestAWantThatLeavesLeavesNothingBehind(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		c := w.acquire("a", Terms{})
		c.giveUp()
		w.dialFails(errDial)
		w.wantForgotten("a")
		if n := len(w.pool.Stats().Keys); n != 0 {
			t.Errorf("%d keys are known, want none", n)
		}
	})
}

func TestACanceledContextIsLookedAtFirst(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		w.idle(1, "a", Terms{})
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(errDial)
		if _, err := w.pool.Acquire(ctx, "a", w, Terms{}); !errors.Is(err, errDial) {
			t.Errorf("error is %v, want the context's cause", err)
		}
		w.wantGauges(1, 0, 0, 0)
	})
}

// lateContext ends without notice: only a caller that checks it sees that it has ended.
type lateContext struct {
	context.Context
	ended bool
}

func (c *lateContext) Err() error {
	if c.ended {
		return context.DeadlineExceeded
	}
	return nil
}

func TestAConnectionDeliveredToAWantWhoseContextHasEndedGoesToTheNext(t *testing.T) {
	for _, waiting := range []bool{true, false} {
		inBubble(t, config{}, func(t *testing.T, w *world) {
			ctx := &lateContext{Context: context.Background()}
			failed := make(chan error, 1)
			go func() {
				_, err := w.pool.Acquire(ctx, "a", w, Terms{MaxConns: 1})
				failed <- err
			}()
			w.wantDials(1)
			next := (*call)(nil)
			if waiting {
				next = w.acquire("a", Terms{MaxConns: 1})
			}
			ctx.ended = true
			conn := w.dialed()
			wantError(t, <-failed, context.DeadlineExceeded)
			if !waiting {
				w.wantGauges(1, 0, 0, 0)
				next = w.acquire("a", Terms{})
			}
			lease := next.leased()
			wantConn(t, lease, conn)
			if lease.Uses() != 0 {
				t.Error("the lease that never began was counted")
			}
		})
	}
}

func TestLeavingAndBeingServedAtOnceLosesNothing(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		lease := w.lease("a", Terms{MaxConns: 1})
		for range 200 { // which of the two is first is not in our hands
			c := w.acquire("a", Terms{MaxConns: 1})
			conn := lease.Conn().letGo()
			go c.cancel(errGaveUp)
			go lease.Release()
			if c.waits() {
				t.Fatal("the want waits although its context has ended and a connection came")
			}
			lease = c.lease
			if c.err != nil {
				lease = w.try("a", Terms{MaxConns: 1})
			}
			wantConn(t, lease, conn)
		}
		w.release(lease)
		w.wantGauges(1, 0, 0, 0)
	})
}

func TestADiscardMakesRoomForTheNextDial(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		lease := w.lease("a", Terms{MaxConns: 1})
		c := w.acquire("a", Terms{MaxConns: 1})
		w.wantDials(0)
		w.discard(lease, "")
		w.wantCloses(map[*fakeConn]Reason{lease.Conn(): ReasonUnspecified})
		c.leasedByDial()
	})
}

func TestAHijackMakesRoomForTheNextDial(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		lease := w.lease("a", Terms{MaxConns: 1})
		c := w.acquire("a", Terms{MaxConns: 1})
		lease.Hijack()
		c.leasedByDial()
	})
}

func TestAReleasedConnectionThatIsSpentIsNotHandedOn(t *testing.T) {
	for _, test := range []struct {
		name  string
		terms Terms
		sick  Reason
		want  Reason
	}{
		{"reuse", Terms{MaxReuse: 1, MaxConns: 1}, "", ReasonMaxReuse},
		{"age", Terms{MaxLifetime: time.Minute, MaxConns: 1}, "", ReasonMaxLifetime},
		{"probe", Terms{MaxConns: 1}, ReasonPeerClosed, ReasonPeerClosed},
		{"unpooled", Terms{MaxConns: 1, Unpooled: true}, "", ReasonUnpooled},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, config{}, func(t *testing.T, w *world) {
				lease := w.lease("a", test.terms)
				if !test.terms.Unpooled {
					w.release(lease)
					lease = w.try("a", test.terms)
				}
				next := w.acquire("a", test.terms)
				time.Sleep(time.Minute)
				lease.Conn().sicken(test.sick)
				wantReason(t, w.release(lease), test.want)
				if got := next.leasedByDial(); got.Conn() == lease.Conn() {
					t.Error("the spent connection was handed on")
				}
			})
		})
	}
}

func TestAReleasedConnectionBeyondWhatTheOldestWantAllowsIsClosed(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		w.idle(1, "a", Terms{})
		lease := w.try("a", Terms{}) // its second
		strict := w.acquire("a", Terms{MaxConns: 1, MaxReuse: 1})
		wantReason(t, w.release(lease), ReasonMaxReuse)
		strict.leasedByDial()
	})
}

func TestFreshWantsTakeOnlyDialsBegunAfterThem(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		w.acquireAs(1, "a", Terms{}).giveUp()
		fresh := w.acquireAs(2, "a", Terms{Fresh: true})
		w.wantDials(2)
		early := w.dialed()
		fresh.stillWaits()
		own := w.dialed()
		wantConn(t, fresh.leased(), own)
		wantConn(t, w.try("a", Terms{}), early)
	})
}

func TestFreshWantsTakeADialThatAnotherBeganAfterThem(t *testing.T) {
	inBubble(t, config{MaxDialsPerKey: 1}, func(t *testing.T, w *world) {
		first := w.acquireAs(1, "a", Terms{})
		second := w.acquireAs(2, "a", Terms{})
		fresh := w.acquireAs(3, "a", Terms{Fresh: true})
		first.leasedByDial()
		second.giveUp() // its dial has just begun
		fresh.leasedByDial()
		w.wantDials(0)
	})
}

func TestReleasedConnectionsPassByThoseThatNeedTheirOwn(t *testing.T) {
	for _, terms := range []Terms{{Fresh: true}, {Unpooled: true}} {
		inBubble(t, config{}, func(t *testing.T, w *world) {
			lease := w.lease("a", Terms{})
			own := w.acquireAs(1, "a", terms)
			plain := w.acquireAs(2, "a", Terms{})
			w.release(lease)
			wantConn(t, plain.leased(), lease.Conn())
			own.stillWaits()
			w.dialed()
			if got := own.leased(); got.Reused() {
				t.Error("it was leased a used connection")
			}
		})
	}
}

func TestAnExpiredCandidateDoesNotForgetItsKeyBeforeTheDial(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		w.idle(1, "a", Terms{})[0].sicken(ReasonPeerClosed)
		c := w.acquire("a", Terms{})
		c.leasedByDial()
		w.wantForgotten()
	})
}

func TestManyWantsAreServedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, config{})
		t.Cleanup(w.end)
		lease := w.lease("a", Terms{MaxConns: 1})
		var calls []*call
		for range 100 {
			calls = append(calls, w.acquire("a", Terms{MaxConns: 1}))
		}
		for i, c := range calls {
			w.release(lease)
			if c.waits() {
				t.Fatalf("want %d was passed over", i)
			}
			lease = c.leased()
		}
		w.release(lease)
		w.settled()
		if s := fmt.Sprint(w.pool.Stats().Misses); s != "map[busy:100 cold:1]" {
			t.Errorf("misses are %s", s)
		}
	})
}
