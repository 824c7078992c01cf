package pool

import (
	"context"
	"testing"
	"time"
)

func TestRoomOnASharedConnectionGoesToTheOldestWants(t *testing.T) {
	inSharedBubble(t, 2, func(t *testing.T, w *world) {
		leases := w.leases(2, "a", Terms{MaxConns: 1})
		calls := w.crowd(6, "a", Terms{MaxConns: 1})
		w.wantDials(0)
		for i, c := range calls {
			w.release(leases[i])
			wantConn(t, c.leased(), leases[0].Conn())
			if i+1 < len(calls) {
				calls[i+1].stillWaits()
			}
			leases = append(leases, c.lease)
		}
	})
}

func TestAWantForItsOwnConnectionDoesNotStarveBehindABusySharedOne(t *testing.T) {
	for _, terms := range []Terms{{Fresh: true, MaxConns: 1}, {Unpooled: true, MaxConns: 1}} {
		inSharedBubble(t, 2, func(t *testing.T, w *world) {
			plain := Terms{MaxConns: 1}
			leases := w.leases(2, "a", plain)
			own := w.acquireAs(1, "a", terms)
			next := w.acquireAs(2, "a", plain)
			wantReason(t, w.release(leases[0]), ReasonMakeRoom)
			next.stillWaits()
			w.tryNothing("a", plain)
			wantReason(t, w.release(leases[1]), ReasonMakeRoom)
			own.dialed()
			own.leased()
			if terms.Unpooled { // else both share it
				next.stillWaits()
				w.release(own.lease)
				next.dialed()
			}
			next.leased()
		})
	}
}

func TestEachWantDrainsOneConnectionAtMost(t *testing.T) {
	inSharedBubble(t, 2, func(t *testing.T, w *world) {
		plain := Terms{MaxConns: 3}
		first, second, third := w.leases(2, "a", plain), w.leases(2, "a", plain), w.leases(2, "a", plain)
		own := w.crowd(2, "a", Terms{Unpooled: true, MaxConns: 3})
		wantReason(t, w.release(first[0]), ReasonMakeRoom)
		wantReason(t, w.release(second[0]), ReasonMakeRoom)
		wantReason(t, w.release(third[0]), "") // two are on their way out, for two wants
		wantConn(t, w.try("a", plain), third[0].Conn())
		w.release(third[1])
		wantReason(t, w.release(second[1]), ReasonMakeRoom)
		w.wantDials(1)
		own[0].dialed()
		own[0].leased()
		own[1].stillWaits()
		wantReason(t, w.release(first[1]), ReasonMakeRoom)
		own[1].dialed()
		own[1].leased()
	})
}

func TestASharedConnectionThatComesBackUnusedMakesRoomWhateverElseIsLeaving(t *testing.T) {
	inSharedBubble(t, 2, func(t *testing.T, w *world) {
		plain := Terms{MaxConns: 2}
		lasting, short := w.leases(2, "a", plain), w.leases(1, "a", plain)
		own := w.acquire("a", Terms{Unpooled: true, MaxConns: 2})
		wantReason(t, w.release(lasting[0]), ReasonMakeRoom)
		wantReason(t, w.release(short[0]), ReasonMakeRoom)
		own.leasedByDial()
	})
}

func TestAWantThatADialCoversDrainsNoConnection(t *testing.T) {
	inSharedBubble(t, 2, func(t *testing.T, w *world) {
		leases := w.leases(2, "a", Terms{MaxConns: 2})
		w.crowd(2, "a", Terms{Fresh: true, MaxConns: 2})
		w.wantDials(1)
		wantReason(t, w.release(leases[0]), "")
		wantConn(t, w.try("a", Terms{}), leases[0].Conn())
	})
}

func TestAWantThatLeavesASharedConnectionsQueueLeavesNothingBehind(t *testing.T) {
	for _, terms := range []Terms{{Expect: 10}, {Expect: ExpectUnknown}, {Fresh: true, Expect: 10}, {Unpooled: true}} {
		inSharedBubble(t, 10, func(t *testing.T, w *world) {
			calls := w.crowd(5, "a", terms)
			for _, c := range calls {
				c.giveUp()
			}
			for range w.dials() {
				w.dialFails(errDial)
			}
			w.wantForgotten("a")
		})
	}
}

func TestAPlaceDeliveredToAWantWhoseContextHasEndedGoesToTheNext(t *testing.T) {
	inSharedBubble(t, 2, func(t *testing.T, w *world) {
		terms := Terms{MaxConns: 1, MaxReuse: 2}
		leases := w.leases(2, "a", terms)
		ctx := &lateContext{Context: context.Background()}
		failed := make(chan error, 1)
		go func() {
			_, err := w.pool.Acquire(ctx, "a", w, terms)
			failed <- err
		}()
		w.wantGauges(0, 1, 0, 1)
		next := w.acquire("a", terms)
		ctx.ended = true
		w.release(leases[0])
		wantError(t, <-failed, context.DeadlineExceeded)
		lease := next.leased()
		wantConn(t, lease, leases[0].Conn())
		if lease.Uses() != 2 { // the third of three that it may carry
			t.Error("the lease that never began was counted")
		}
	})
}

func TestAnIdleSharedConnectionThatWasNeverLeasedIsUnused(t *testing.T) {
	inSharedBubble(t, 2, func(t *testing.T, w *world) {
		ctx := &lateContext{Context: context.Background()}
		failed := make(chan error, 1)
		go func() {
			_, err := w.pool.Acquire(ctx, "a", w, Terms{MaxConns: 1})
			failed <- err
		}()
		w.wantDials(1)
		ctx.ended = true
		conn := w.dialed()
		wantError(t, <-failed, context.DeadlineExceeded)
		w.wantGauges(1, 0, 0, 0)
		lease := w.try("a", Terms{})
		wantConn(t, lease, conn)
		if lease.Uses() != 0 {
			t.Error("the lease that never began was counted")
		}
	})
}

func TestLeavingAndGettingAPlaceAtOnceLosesNothing(t *testing.T) {
	inSharedBubble(t, 2, func(t *testing.T, w *world) {
		terms := Terms{MaxConns: 1}
		leases := w.leases(2, "a", terms)
		lease := leases[0]
		for range 200 { // which of the two is first is not in our hands
			c := w.acquire("a", terms)
			conn := lease.Conn().letGo()
			go c.cancel(errGaveUp)
			go lease.Release()
			if c.waits() {
				t.Fatal("the want waits although its context has ended and a place was given back")
			}
			lease = c.lease
			if c.err != nil {
				lease = w.try("a", terms)
			}
			wantConn(t, lease, conn)
			w.tryNothing("a", terms)
		}
		w.releaseAll(lease, leases[1])
		w.wantGauges(1, 0, 0, 0)
	})
}

func TestARequestThatRefusedAnIdleConnectionSharesItWhenAnotherUsesIt(t *testing.T) {
	inSharedBubble(t, 2, func(t *testing.T, w *world) {
		w.idle(1, "a", Terms{})
		time.Sleep(5 * time.Second)
		refuses := w.acquire("a", Terms{MaxIdleTime: time.Second})
		w.wantDials(1)
		lease := w.try("a", Terms{})
		w.releaseAll(lease, refuses.leased())
		w.dialFails(errDial)
	})
}
