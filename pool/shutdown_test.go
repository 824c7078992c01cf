package pool

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// shutdown is a Shutdown on its own goroutine.
type shutdown struct {
	cancel context.CancelCauseFunc
	err    chan error
}

func (w *world) shutdown() *shutdown {
	ctx, cancel := context.WithCancelCause(context.Background())
	s := &shutdown{cancel: cancel, err: make(chan error, 1)}
	go func() { s.err <- w.pool.Shutdown(ctx) }()
	w.dials() // until it waits
	return s
}

func (s *shutdown) stillWaits(t *testing.T) {
	t.Helper()
	select {
	case err := <-s.err:
		t.Fatalf("Shutdown returned %v, want it to wait", err)
	default:
	}
}

func TestShutdownClosesWhatIsIdleAndLeasesNothingMore(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		conn := w.idle(1, "a", Terms{IdleTimeout: time.Minute})[0]
		wantError(t, w.pool.Shutdown(t.Context()), nil)
		w.wantCloses(map[*fakeConn]Reason{conn: ReasonShutdown})
		w.tryNothing("a", Terms{})
		wantError(t, w.acquire("a", Terms{}).failed(), ErrClosed)
		wantError(t, w.acquire("b", Terms{}).failed(), ErrClosed)
		w.wantDials(0)
		wantError(t, w.pool.Shutdown(t.Context()), nil)
		w.pool.CloseIdle()
	})
}

func TestAPoolThatKeepsNoneClosesWhatIdlesAndStillServesWants(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		idle := w.idle(1, "a", Terms{})[0]
		lease := w.lease("b", Terms{MaxConns: 1})
		waits := w.acquire("b", Terms{MaxConns: 1})
		w.pool.KeepNone()
		w.wantCloses(map[*fakeConn]Reason{idle: ReasonShutdown})
		wantReason(t, w.release(lease), "")
		wantConn(t, waits.leased(), lease.Conn())
		later := w.acquire("b", Terms{MaxConns: 1})
		wantReason(t, w.release(waits.lease), "")
		wantConn(t, later.leased(), lease.Conn())
		wantReason(t, w.release(later.lease), ReasonShutdown)
	})
}

func TestShutdownWaitsForLeases(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		first, second, third := w.lease("a", Terms{}), w.lease("a", Terms{}), w.lease("b", Terms{})
		s, another := w.shutdown(), w.shutdown()
		wantReason(t, w.release(first), ReasonShutdown)
		s.stillWaits(t)
		w.discard(second, "done")
		s.stillWaits(t)
		third.Hijack()
		wantError(t, <-s.err, nil)
		wantError(t, <-another.err, nil)
	})
}

func TestShutdownCancelsDialsAndWaitsForThem(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		c := w.acquire("a", Terms{})
		w.acquire("b", Terms{}).giveUp()
		dials := w.dials()
		s := w.shutdown()
		wantError(t, c.failed(), ErrClosed)
		for _, d := range dials {
			wantError(t, context.Cause(d.ctx), ErrClosed)
		}
		s.stillWaits(t)
		late := w.dialed() // this Dialer takes no notice
		w.wantCloses(map[*fakeConn]Reason{late: ReasonShutdown})
		s.stillWaits(t)
		w.dialFails(errDial)
		wantError(t, <-s.err, nil)
	})
}

func TestADialersOwnTimeoutWorksAndEndsWithThePool(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		ends := make(chan error, 2)
		dialer := dialFunc[fake](func(ctx context.Context) (fake, error) {
			ctx, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			<-ctx.Done()
			ends <- context.Cause(ctx)
			return nil, ctx.Err()
		})
		_, err := w.pool.Acquire(t.Context(), "a", dialer, Terms{})
		wantError(t, err, context.DeadlineExceeded)
		wantError(t, <-ends, context.DeadlineExceeded)

		go w.pool.Acquire(t.Context(), "a", dialer, Terms{})
		w.wantGauges(0, 0, 1, 1)
		wantError(t, w.pool.Shutdown(t.Context()), nil)
		wantError(t, <-ends, ErrClosed)
	})
}

func TestShutdownGivesUpWithItsContextAndTheRestClosesAsItsLeasesEnd(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		lease := w.lease("a", Terms{})
		s := w.shutdown()
		s.cancel(errGaveUp)
		wantError(t, <-s.err, errGaveUp)
		w.wantGauges(0, 1, 0, 0)
		wantReason(t, w.release(lease), ReasonShutdown)
		wantError(t, w.pool.Shutdown(t.Context()), nil)
	})
}

func TestShutdownReturnsAfterTheLastCloseHasReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		proceed := make(chan bool)
		w := &world{t: t}
		w.pool = New(config{OnClose: func(string, fake, Closing) { <-proceed }})
		lease := w.lease("a", Terms{})
		lease.Conn().letGo()
		go lease.Discard("done")
		synctest.Wait() // it has closed the connection, and is in the hook
		w.wantGauges(0, 0, 0, 0)
		s := w.shutdown()
		s.stillWaits(t)
		proceed <- true
		wantError(t, <-s.err, nil)
	})
}
