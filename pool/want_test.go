package pool

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
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

func TestADialServesTheOldestWantWhoeverAskedForIt(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		older := w.acquireAs(1, "a", Terms{})
		younger := w.acquireAs(2, "a", Terms{})
		dials := w.dials()
		if len(dials) != 2 {
			t.Fatalf("%d dials for two wants", len(dials))
		}
		second := dials[0]
		if second.asker != 2 {
			second = dials[1]
		}
		conn := w.newConn()
		w.finish(second, func() (*fakeConn, error) { return conn, nil })
		wantConn(t, older.leased(), conn)
		younger.stillWaits()
		w.dialed()
		younger.leased()
	})
}

func TestADialOutlivesTheAcquireThatAskedForIt(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		c := w.acquireAs(7, "a", Terms{})
		d := w.dials()[0]
		c.giveUp()
		if d.ctx.Err() != nil || d.asker != 7 {
			t.Errorf("the dial's context: %v, value %v; want it alive with the value 7", d.ctx.Err(), d.asker)
		}
		if _, limited := d.ctx.Deadline(); limited {
			t.Error("the dial has a deadline that is not its own")
		}
		conn := w.dialed()
		wantConn(t, w.try("a", Terms{}), conn)
	})
}

func TestADialThatNobodyWaitsForAnyMoreServesTheNextToCome(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		w.acquire("a", Terms{}).giveUp()
		next := w.acquire("a", Terms{})
		w.wantDials(1)
		next.leasedByDial()
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

// lateContext ends without telling anybody: only who looks sees it.
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
			if lease.Reused() {
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

func TestAFailedDialFailsTheWantThatAskedForIt(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		older, younger := w.acquireAs(1, "a", Terms{}), w.acquireAs(2, "a", Terms{})
		for _, d := range w.dials() {
			if d.asker == 2 {
				w.finish(d, func() (*fakeConn, error) { return nil, errDial })
			}
		}
		wantError(t, younger.failed(), errDial)
		older.stillWaits()
		w.dialed()
		older.leased()
	})
}

func TestTheErrorOfADialThatNobodyAskedForAnyMoreIsOnlyCounted(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		w.acquire("a", Terms{}).giveUp()
		next := w.acquire("a", Terms{})
		w.wantDials(1)
		w.dialFails(errDial)
		next.stillWaits()
		w.wantDials(1) // its own now
		w.dialed()
		next.leased()
		if s := w.pool.Stats(); s.Dials != 2 || s.DialFailures != 1 {
			t.Errorf("%d dials, %d failures; want 2 and 1", s.Dials, s.DialFailures)
		}
	})
}

func TestNobodyStarvesBehindAFailedDial(t *testing.T) {
	for _, limit := range []Terms{{MaxConns: 1}, {}} {
		inBubble(t, config{MaxDialsPerKey: 1}, func(t *testing.T, w *world) {
			var calls []*call
			for range 4 {
				calls = append(calls, w.acquire("a", limit))
			}
			w.wantDials(1)
			w.dialFails(errDial) // the first one's
			wantError(t, calls[0].failed(), errDial)
			w.wantDials(1)
			calls[1].giveUp() // the second one leaves, its dial fails later
			w.dialFails(errDial)
			w.wantDials(1)
			w.dialed()
			lease := calls[2].leased()
			w.discard(lease, "done")
			w.wantDials(1)
			w.dialed()
			calls[3].leased()
		})
	}
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

func TestAnUnpooledDialServesAnOlderWantButIsNeverLeftIdle(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		w.acquireAs(1, "a", Terms{Unpooled: true}).giveUp()
		plain := w.acquireAs(2, "a", Terms{})
		kept := plain.leasedByDial()
		wantReason(t, w.release(kept), "") // the lease was a pooled one

		w.acquireAs(3, "a", Terms{Unpooled: true}).giveUp()
		late := w.dialed()
		w.wantCloses(map[*fakeConn]Reason{late: ReasonUnpooled})
		w.wantGauges(1, 0, 0, 0)
	})
}

func TestAConnectionThatRetiresAtOnceIsAnErrorToItsAsker(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		c := w.acquire("a", Terms{})
		d := w.dials()[0]
		conn := &retiringConn{w.newConn()}
		w.finish(d, func() (*fakeConn, error) { return conn.fakeConn, nil })
		c.leased()

		p := New(Config[string, *retiringConn]{})
		_, err := p.Acquire(context.Background(), "a", dialFunc[*retiringConn](
			func(context.Context) (*retiringConn, error) { return &retiringConn{w.newConn()}, nil }), Terms{})
		wantError(t, err, ErrRetired)
		if !strings.Contains(err.Error(), "goaway") {
			t.Errorf("%q does not say why", err)
		}
		if s := p.Stats(); s.Opened != 1 || s.Closes["goaway"] != 1 || s.DialFailures != 0 {
			t.Errorf("opened %d, closes %v, failures %d", s.Opened, s.Closes, s.DialFailures)
		}
	})
}

// retiringConn takes itself out of the pool as soon as it can.
type retiringConn struct{ *fakeConn }

func (c *retiringConn) Probe() Reason              { return "" }
func (c *retiringConn) Close() error               { return nil }
func (c *retiringConn) Attach(retire func(Reason)) { retire("goaway") }

type dialFunc[C Conn] func(context.Context) (C, error)

func (dial dialFunc[C]) Dial(ctx context.Context) (C, error) { return dial(ctx) }

func TestADialerThatDoesNotReturnIsAnErrorToItsAsker(t *testing.T) {
	boom := errors.New("boom")
	for _, test := range []struct {
		name string
		end  func() (*fakeConn, error)
		want string
	}{
		{"panic with a value", func() (*fakeConn, error) { panic("boom") }, "pool: the Dialer panicked: boom"},
		{"panic with an error", func() (*fakeConn, error) { panic(boom) }, "pool: the Dialer panicked: boom"},
		{"panic with nil", func() (*fakeConn, error) { panic(nil) }, "pool: the Dialer panicked: panic called with nil argument"},
		{"goexit", func() (*fakeConn, error) { runtime.Goexit(); return nil, nil }, "pool: the Dialer ended its goroutine instead of returning"},
		{"nothing", func() (*fakeConn, error) { return nil, nil }, "pool: the Dialer returned neither a connection nor an error"},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, config{}, func(t *testing.T, w *world) {
				c := w.acquire("a", Terms{MaxConns: 1})
				next := w.acquire("a", Terms{MaxConns: 1})
				w.finish(w.dials()[0], test.end)
				if got := c.failed().Error(); !strings.HasPrefix(got, test.want) {
					t.Errorf("error is %q, want %q", got, test.want)
				}
				if test.name == "panic with an error" {
					wantError(t, c.err, boom)
				}
				next.leasedByDial()
				if n := w.pool.Stats().DialFailures; n != 1 {
					t.Errorf("%d dial failures, want 1", n)
				}
			})
		})
	}
}

// clumsyConn panics as it is attached.
type clumsyConn struct{ closes int }

func (c *clumsyConn) Probe() Reason       { return "" }
func (c *clumsyConn) Close() error        { c.closes++; return nil }
func (c *clumsyConn) Attach(func(Reason)) { panic("clumsy") }

func TestAConnectionThatPanicsAsItIsAttachedIsClosedAndCountsAsAFailedDial(t *testing.T) {
	p, conn := New(Config[string, *clumsyConn]{}), new(clumsyConn)
	_, err := p.Acquire(t.Context(), "a", dialFunc[*clumsyConn](
		func(context.Context) (*clumsyConn, error) { return conn, nil }), Terms{})
	if err == nil || !strings.Contains(err.Error(), "clumsy") {
		t.Errorf("error is %v, want one that names the panic", err)
	}
	if s := p.Stats(); conn.closes != 1 || s.Opened != 0 || s.DialFailures != 1 {
		t.Errorf("%d closes, opened %d, %d failures; want 1, 0, 1", conn.closes, s.Opened, s.DialFailures)
	}
}

func TestANilDialerIsAnErrorOnlyWhereItIsNeeded(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		w.idle(1, "a", Terms{})
		lease, err := w.pool.Acquire(t.Context(), "a", nil, Terms{})
		wantError(t, err, nil)
		if _, err := w.pool.Acquire(t.Context(), "a", nil, Terms{}); !errors.Is(err, errNoDialer) {
			t.Errorf("error is %v, want %v", err, errNoDialer)
		}
		lease.Release()
		w.wantGauges(1, 0, 0, 0)
	})
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
