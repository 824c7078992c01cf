package pool

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
)

func TestADialServesTheWantThatAskedForItThoughAnotherWaitsLonger(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		older, younger := w.acquireAs(1, "a", Terms{}), w.acquireAs(2, "a", Terms{})
		w.wantDials(2)
		conn := younger.dialed()
		wantConn(t, younger.leased(), conn)
		older.stillWaits()
		older.leasedByDial()
	})
}

func TestADialWhoseAskerHasLeftServesTheOldestWant(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		gone := w.acquireAs(1, "a", Terms{})
		older, younger := w.acquireAs(2, "a", Terms{}), w.acquireAs(3, "a", Terms{})
		gone.giveUp()
		conn := gone.dialed()
		wantConn(t, older.leased(), conn)
		younger.stillWaits()
		conn = older.dialed() // nobody's own any more
		wantConn(t, younger.leased(), conn)
		w.wantDials(1)
		younger.dialed()
		w.wantGauges(1, 2, 0, 0)
	})
}

func TestAWantDependsOnNoDialButItsOwn(t *testing.T) {
	for name, orphan := range map[string]func(w *world){
		"the one before has left": func(w *world) {
			w.acquire("a", Terms{}).giveUp()
		},
		"the one before was served by a release": func(w *world) {
			lease := w.lease("a", Terms{})
			before := w.acquire("a", Terms{})
			w.release(lease)
			before.leased()
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, config{}, func(t *testing.T, w *world) {
				orphan(w)
				w.wantDials(1) // it hangs
				c := w.acquireAs(1, "a", Terms{})
				w.wantDials(2)
				conn := c.dialed()
				wantConn(t, c.leased(), conn)
				w.wantDials(1)
			})
		})
	}
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
		gone := w.acquireAs(1, "a", Terms{})
		gone.giveUp()
		next := w.acquireAs(2, "a", Terms{})
		conn := gone.dialed()
		wantConn(t, next.leased(), conn)
		w.wantDials(1) // its own, which comes to nobody
		w.dialed()
		w.wantGauges(1, 1, 0, 0)
	})
}

func TestAFailedDialFailsTheWantThatAskedForIt(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		older, younger := w.acquireAs(1, "a", Terms{}), w.acquireAs(2, "a", Terms{})
		younger.dialFails(errDial)
		wantError(t, younger.failed(), errDial)
		older.stillWaits()
		older.leasedByDial()
	})
}

func TestTheErrorOfADialThatNobodyAskedForAnyMoreIsOnlyCounted(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		gone := w.acquireAs(1, "a", Terms{})
		gone.giveUp()
		next := w.acquireAs(2, "a", Terms{})
		gone.dialFails(errDial)
		next.stillWaits()
		next.leasedByDial()
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

func TestAnUnpooledDialServesNobodyButItsAsker(t *testing.T) {
	inBubble(t, config{MaxDialsPerKey: 1}, func(t *testing.T, w *world) {
		w.acquire("a", Terms{Unpooled: true}).giveUp()
		plain := w.acquire("a", Terms{})
		late := w.dialed()
		w.wantCloses(map[*fakeConn]Reason{late: ReasonUnpooled})
		plain.leasedByDial()
		w.wantGauges(0, 1, 0, 0)
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

// failedConn knows why it has ended.
type failedConn struct{ *retiringConn }

func (failedConn) Failure() error { return errDial }

func (c failedConn) Attach(place Place[string, failedConn]) { place.Retire("goaway") }

func TestTheErrorOfARetiredConnectionHasItsFailure(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		p := New(Config[string, failedConn]{})
		dial := dialFunc[failedConn](func(context.Context) (failedConn, error) {
			return failedConn{&retiringConn{w.newConn()}}, nil
		})
		_, err := p.Acquire(t.Context(), "a", dial, Terms{})
		for who, err := range map[string]error{"Acquire": err, "Warm": p.Warm(t.Context(), "a", dial, 1, Terms{})} {
			gone, ok := errors.AsType[*RetiredError](err)
			if !ok || gone.Reason != "goaway" || gone.Err != errDial || !errors.Is(err, ErrRetired) || !errors.Is(err, errDial) {
				t.Errorf("%s returns %#v", who, err)
			}
		}
	})
}

// retiringConn takes itself out of the pool as soon as it can.
type retiringConn struct{ *fakeConn }

func (c *retiringConn) Probe() Reason { return "" }

func (c *retiringConn) Close() error { return nil }

func (c *retiringConn) Attach(place Place[string, *retiringConn]) { place.Retire("goaway") }

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
		{"panic with nil", func() (*fakeConn, error) { panic(nil) },
			"pool: the Dialer panicked: " + new(runtime.PanicNilError).Error()},
		{"goexit", func() (*fakeConn, error) { runtime.Goexit(); return nil, nil },
			"pool: the Dialer ended its goroutine instead of returning"},
		{"nothing", func() (*fakeConn, error) { return nil, nil },
			"pool: the Dialer returned neither a connection nor an error"},
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

func (c *clumsyConn) Probe() Reason { return "" }

func (c *clumsyConn) Close() error { c.closes++; return nil }

func (c *clumsyConn) Attach(Place[string, *clumsyConn]) { panic("clumsy") }

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

// The first probe of a connection begins the watch.
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

// A server may answer and close at once. What it has sent can still be read.
func TestADialThatSomebodyWaitsForIsNotProbed(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		c := w.acquire("a", Terms{})
		conn := w.newConn()
		conn.sicken(ReasonPeerClosed)
		w.finish(w.dials()[0], func() (*fakeConn, error) { return conn, nil })
		wantConn(t, c.leased(), conn)
	})
}
