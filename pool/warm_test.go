package pool

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// warming is a call of Warm on its own goroutine.
type warming struct {
	world  *world
	cancel context.CancelCauseFunc
	done   chan error
}

func (w *world) warm(key string, n int, terms Terms) *warming {
	ctx, cancel := context.WithCancelCause(context.Background())
	c := &warming{w, cancel, make(chan error, 1)}
	go func() {
		if h := w.hosts[key]; h != nil {
			c.done <- h.Warm(ctx, w, n, terms)
		} else {
			c.done <- w.pool.Warm(ctx, key, w, n, terms)
		}
	}()
	synctest.Wait()
	return c
}

func (c *warming) returned() error {
	c.world.t.Helper()
	synctest.Wait()
	select {
	case err := <-c.done:
		return err
	default:
		c.world.t.Fatal("Warm still waits")
		return nil
	}
}

func (c *warming) stillWaits() {
	c.world.t.Helper()
	synctest.Wait()
	if len(c.done) > 0 {
		c.world.t.Fatalf("Warm returned %v, want it to wait", <-c.done)
	}
}

func TestWarmReturnsWhenItsConnectionsAreIdle(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		warm := w.warm("a", 3, Terms{})
		w.wantDials(3)
		w.dialed()
		w.dialed()
		warm.stillWaits()
		w.dialed()
		if err := warm.returned(); err != nil {
			t.Errorf("Warm returned %v", err)
		}
		w.wantGauges(3, 0, 0, 0)
		for range 3 {
			if lease := w.try("a", Terms{}); lease.Uses() != 0 {
				t.Error("Warm counts as a use of the connection")
			}
		}
	})
}

func TestWarmCountsWhatIsThere(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		w.idle(1, "a", Terms{})
		warm := w.warm("a", 1, Terms{})
		if err := warm.returned(); err != nil {
			t.Errorf("Warm returned %v", err)
		}
		warm = w.warm("a", 2, Terms{})
		w.wantDials(1)
		w.dialed()
		if err := warm.returned(); err != nil {
			t.Errorf("Warm returned %v", err)
		}
	})
}

func TestWarmGoesOnWhenARequestTakesOneOfItsConnections(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		warm := w.warm("a", 2, Terms{})
		request := w.acquire("a", Terms{}) // takes the first that comes
		w.dialed()
		lease := request.leased()
		for range w.dials() {
			w.dialed()
		}
		if err := warm.returned(); err != nil {
			t.Errorf("Warm returned %v", err)
		}
		w.release(lease)
	})
}

func TestWarmReturnsTheErrorOfADial(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		warm := w.warm("a", 2, Terms{})
		w.dialFails(errDial)
		wantError(t, warm.returned(), errDial)
		w.dialed()
		w.wantGauges(1, 0, 0, 0)
		w.wantDials(0)
	})
}

// ends makes the oldest dial bring a connection that has ended already.
func (w *world) ends(reason Reason) {
	w.t.Helper()
	w.wantDials(-1)
	conn := w.newConn()
	conn.sick = reason
	w.finish(w.dials()[0], func() (*fakeConn, error) { return conn, nil })
}

func TestWarmDialsAgainIfAConnectionRetiredAtOnce(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		warm := w.warm("a", 4, Terms{})
		for range 2 { // a server that restarts ends all of them
			for range 4 {
				w.ends(ReasonPeerClosed)
			}
			warm.stillWaits()
			w.wantDials(4)
		}
		for range 4 {
			w.dialed()
		}
		if err := warm.returned(); err != nil {
			t.Errorf("Warm returned %v", err)
		}
		w.wantGauges(4, 0, 0, 0)
	})
}

func TestWarmDialsAgainIfAConnectionHasNoCapacityYet(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		w.shares = true
		warm := w.warm("a", 3, Terms{Expect: ExpectUnknown})
		w.dialed()
		w.capacity = 3
		w.dialed()
		if err := warm.returned(); err != nil {
			t.Errorf("Warm returned %v", err)
		}
	})
}

func TestWarmDoesNotDialAgainForAConnectionThatAnotherMayNotUse(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		warm := w.warm("a", 1, Terms{})
		conn := w.newConn()
		conn.private = true
		w.finish(w.dials()[0], func() (*fakeConn, error) { return conn, nil })
		wantError(t, warm.returned(), ErrRetired)
		w.wantDials(0)
	})
}

func TestWarmSaysWhyConnectionsRetiredAtOnce(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		warm := w.warm("a", 1, Terms{})
		for range warmTries {
			warm.stillWaits()
			w.ends(ReasonPeerClosed)
		}
		err := warm.returned()
		wantError(t, err, ErrRetired)
		if err.Error() != ErrRetired.Error()+": peer_closed" {
			t.Errorf("Warm returned %v", err)
		}
		w.wantForgotten("a")
	})
}

func TestWarmSaysWhichLimitDoesNotAllowItsConnections(t *testing.T) {
	for _, c := range []struct {
		config config
		terms  Terms
	}{
		{config{}, Terms{MaxConns: 2}},
		{config{MaxIdle: 2}, Terms{}},
		{config{MaxIdlePerKey: 2}, Terms{}},
		{config{MaxIdlePerKey: -1}, Terms{}},
		{config{MaxIdle: -1}, Terms{}},
	} {
		inBubble(t, c.config, func(t *testing.T, w *world) {
			err := w.warm("a", 3, c.terms).returned()
			if limit, ok := errors.AsType[*LimitError](err); !ok || limit.Conns != 3 || limit.Max > 2 {
				t.Errorf("Warm returned %v", err)
			}
			w.wantDials(0)
		})
	}
}

func TestWarmKeepsWithinTheLimits(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		terms := Terms{MaxConns: 3}
		lease := w.lease("a", terms)
		warm := w.warm("a", 3, terms)
		w.wantDials(2)
		w.dialed()
		w.dialed()
		warm.stillWaits() // until the third is not in use any more
		w.release(lease)
		if err := warm.returned(); err != nil {
			t.Errorf("Warm returned %v", err)
		}
	})
}

func TestWarmEndsWithItsContextAndItsDialsGoOn(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		warm := w.warm("a", 2, Terms{})
		warm.cancel(errGaveUp)
		wantError(t, warm.returned(), errGaveUp)
		w.dialed()
		w.dialed()
		w.wantGauges(2, 0, 0, 0)
	})
}

func TestWarmOverSharedConnectionsCountsPlaces(t *testing.T) {
	for _, expect := range []int{ExpectUnknown, 5} {
		inSharedBubble(t, 5, func(t *testing.T, w *world) {
			warm := w.warm("a", 12, Terms{Expect: expect})
			for len(w.dials()) > 0 {
				w.dialed()
			}
			if err := warm.returned(); err != nil {
				t.Errorf("Warm returned %v", err)
			}
			w.wantGauges(3, 0, 0, 0)
		})
	}
}

func TestWarmFailsWhenThePoolIsShutDown(t *testing.T) {
	for name, end := range map[string]func(w *world){
		"Shutdown": func(w *world) { go w.pool.Shutdown(context.Background()) },
		"KeepNone": func(w *world) { w.pool.KeepNone() },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, config{}, func(t *testing.T, w *world) {
				warm := w.warm("a", 1, Terms{})
				end(w)
				wantError(t, warm.returned(), ErrClosed)
				w.dialed()
				w.wantGauges(0, 0, 0, 0)
				wantError(t, w.warm("a", 1, Terms{}).returned(), ErrClosed)
			})
		})
	}
}

func TestWarmFailsWhenIdleConnectionsAreClosedMeanwhile(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		warm := w.warm("a", 1, Terms{})
		w.pool.CloseIdle()
		if warm.returned() == nil {
			t.Error("Warm succeeded")
		}
		w.dialed()
		w.wantGauges(0, 0, 0, 0)
	})
}

func TestCallsOfWarmThatNeedMoreThanMaxIdleTogetherDoNotTakeEachOthersConnections(t *testing.T) {
	inBubble(t, config{MaxIdle: 4}, func(t *testing.T, w *world) {
		first := w.warm("a", 3, Terms{})
		later := w.warm("b", 2, Terms{}).returned()
		if limit, ok := errors.AsType[*LimitError](later); !ok || *limit != (LimitError{Limit: "MaxIdle", Max: 4, Conns: 2, Taken: 3}) {
			t.Errorf("the later call returned %v", later)
		}
		w.wantDials(3)
		fits := w.warm("c", 1, Terms{})
		for len(w.dials()) > 0 {
			w.dialed()
		}
		if err := errors.Join(first.returned(), fits.returned()); err != nil {
			t.Errorf("Warm returned %v", err)
		}
		w.wantGauges(4, 0, 0, 0)
		if n := w.pool.Stats().Opened; n != 4 {
			t.Errorf("%d connections were opened, want 4", n)
		}
	})
}

func TestAWarmThatHasReturnedReservesNothing(t *testing.T) {
	inBubble(t, config{MaxIdle: 2}, func(t *testing.T, w *world) {
		for _, key := range []string{"a", "b"} {
			call := w.warm(key, 2, Terms{})
			w.dialed()
			w.dialed()
			if err := call.returned(); err != nil {
				t.Errorf("Warm of %s returned %v", key, err)
			}
		}
		w.wantGauges(2, 0, 0, 0)
		if idle := w.pool.Stats().Keys["b"].Idle; idle != 2 {
			t.Errorf("%d connections of b are idle, want 2", idle)
		}
	})
}

func TestAWarmThatWaitsKeepsItsConnectionsWhileOthersAreReleased(t *testing.T) {
	inBubble(t, config{MaxIdle: 2}, func(t *testing.T, w *world) {
		leases := []testLease{w.lease("b", Terms{}), w.lease("b", Terms{}), w.lease("b", Terms{})}
		call := w.warm("a", 2, Terms{})
		w.dialed()
		w.release(leases[0]) // takes the second place
		for _, l := range leases[1:] {
			w.release(l)
		}
		call.stillWaits()
		if keys := w.pool.Stats().Keys; keys["a"].Idle != 1 || keys["b"].Idle != 1 {
			t.Errorf("%d connections of a and %d of b are idle, want 1 of each", keys["a"].Idle, keys["b"].Idle)
		}
		w.dialed()
		if err := call.returned(); err != nil {
			t.Errorf("Warm returned %v", err)
		}
		if n := w.pool.Stats().Opened; n != 5 {
			t.Errorf("%d connections were opened, want 5", n)
		}
	})
}

func TestAWarmCountsAConnectionThatIsReleasedMeanwhile(t *testing.T) {
	inBubble(t, config{MaxIdle: 2}, func(t *testing.T, w *world) {
		one, other := w.lease("a", Terms{MaxConns: 3}), w.lease("b", Terms{})
		call := w.warm("a", 2, Terms{MaxConns: 2})
		w.dialed()
		w.warm("c", 1, Terms{}).returned() // does not fit
		w.release(other)                   // fills the second place
		w.release(one)                     // takes it
		if err := call.returned(); err != nil {
			t.Errorf("Warm returned %v", err)
		}
		if idle := w.pool.Stats().Keys["a"].Idle; idle != 2 {
			t.Errorf("%d connections of a are idle, want 2", idle)
		}
	})
}

func TestAWarmThatALowerLimitNoLongerAllowsFails(t *testing.T) {
	for name, lower := range map[string]func(w *world){
		"MaxIdle":       func(w *world) { w.pool.SetLimits(1, 0, nil) },
		"MaxIdlePerKey": func(w *world) { w.pool.SetLimits(0, 1, nil) },
		"MaxConns":      func(w *world) { w.pool.SetLimits(0, 0, map[string]Terms{"a": {MaxConns: 1}}) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, config{}, func(t *testing.T, w *world) {
				call := w.warm("a", 2, Terms{})
				lower(w)
				err := call.returned()
				if limit, ok := errors.AsType[*LimitError](err); !ok || limit.Limit != name || limit.Max != 1 {
					t.Errorf("Warm returned %v", err)
				}
				w.dialed()
				w.dialed()
			})
		})
	}
}
