package pool

import (
	"testing"
	"time"
)

func (w *world) setLimits(maxIdle, maxIdlePerKey int, terms Terms) {
	w.pool.SetLimits(maxIdle, maxIdlePerKey, map[string]Terms{"a": terms, "b": terms})
}

func TestALowerIdleLimitClosesThoseThatHaveBeenIdleLongest(t *testing.T) {
	for name, set := range map[string]func(w *world){
		"in all":      func(w *world) { w.setLimits(2, 0, Terms{}) },
		"of the key":  func(w *world) { w.setLimits(0, 2, Terms{}) },
		"of MaxConns": func(w *world) { w.setLimits(0, 0, Terms{MaxConns: 2}) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, config{}, func(t *testing.T, w *world) {
				leases := []testLease{w.lease("a", Terms{}), w.lease("a", Terms{}), w.lease("a", Terms{})}
				for _, lease := range leases {
					w.release(lease)
				}
				set(w)
				w.wantCloses(map[*fakeConn]Reason{leases[0].Conn(): ReasonLimitLowered})
			})
		})
	}
}

func TestANegativeIdleLimitClosesAllIdleConnections(t *testing.T) {
	for _, limits := range [][2]int{{-1, 0}, {0, -1}} {
		inBubble(t, config{}, func(t *testing.T, w *world) {
			w.release(w.lease("a", Terms{}))
			w.setLimits(limits[0], limits[1], Terms{})
			w.wantGauges(0, 0, 0, 0)
			w.wantForgotten("a")
		})
	}
}

func TestALowerIdleTimeoutHoldsForWhatIsIdle(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		conns := w.idle(1, "a", Terms{IdleTimeout: time.Hour})
		time.Sleep(time.Minute)
		w.setLimits(0, 0, Terms{IdleTimeout: 2 * time.Minute})
		time.Sleep(time.Minute - 1)
		w.wantCloses(nil)
		time.Sleep(time.Nanosecond)
		w.wantCloses(map[*fakeConn]Reason{conns[0]: ReasonIdleTimeout})
	})
}

func TestAHigherIdleTimeoutHoldsForWhatIsIdle(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		conns := w.idle(1, "a", Terms{IdleTimeout: time.Minute})
		w.setLimits(0, 0, Terms{IdleTimeout: time.Hour})
		time.Sleep(time.Hour - 1)
		w.wantCloses(nil)
		time.Sleep(time.Nanosecond)
		w.wantCloses(map[*fakeConn]Reason{conns[0]: ReasonIdleTimeout})
		w.idle(1, "a", Terms{IdleTimeout: time.Minute})
		w.setLimits(0, 0, Terms{})
		time.Sleep(1000 * time.Hour)
		w.wantGauges(1, 0, 0, 0)
	})
}

func TestALowerLifetimeAndReuseClose(t *testing.T) {
	for reason, terms := range map[Reason]Terms{
		ReasonMaxLifetime: {MaxLifetime: time.Minute},
		ReasonMaxReuse:    {MaxReuse: 1},
	} {
		inBubble(t, config{}, func(t *testing.T, w *world) {
			conn := w.idle(1, "a", Terms{})[0]
			w.release(w.try("a", Terms{}))
			time.Sleep(time.Minute)
			w.setLimits(0, 0, terms)
			w.wantCloses(map[*fakeConn]Reason{conn: reason})
		})
	}
}

func TestNewTermsBindTheConnectionOfARequestThatWaits(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		old := Terms{MaxLifetime: time.Minute, MaxReuse: 1, IdleTimeout: time.Minute}
		waiting := w.acquire("a", old)
		w.setLimits(0, 0, Terms{IdleTimeout: time.Hour})
		conn := w.dialed()
		w.release(waiting.leased())
		time.Sleep(59 * time.Minute)
		for range 3 {
			w.release(w.try("a", Terms{}))
		}
		w.wantCloses(nil)
		w.setLimits(0, 0, Terms{IdleTimeout: time.Second})
		time.Sleep(time.Second + time.Millisecond)
		w.wantCloses(map[*fakeConn]Reason{conn: ReasonIdleTimeout})
	})
}

func TestALowerMaxConnsCutsNoLeaseAndClosesAtTheirEnds(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		var leases []testLease
		for range 5 {
			leases = append(leases, w.lease("a", Terms{}))
		}
		terms := Terms{MaxConns: 2}
		w.setLimits(0, 0, terms)
		w.wantCloses(nil)
		waiting := w.acquire("a", terms)
		waiting.stillWaits()
		want := map[*fakeConn]Reason{}
		for _, lease := range leases[:3] {
			lease.Rebind(terms)
			wantReason(t, w.release(lease), ReasonLimitLowered)
			want[lease.Conn()] = ReasonLimitLowered
		}
		w.wantCloses(want)
		waiting.stillWaits()
		w.wantDials(0)
		leases[3].Rebind(terms)
		wantReason(t, w.release(leases[3]), "")
		wantConn(t, waiting.leased(), leases[3].Conn())
	})
}

func TestALowerMaxConnsDrainsSharedConnections(t *testing.T) {
	inSharedBubble(t, 2, func(t *testing.T, w *world) {
		var leases []testLease
		for range 3 {
			leases = append(leases, w.lease("a", Terms{Expect: 2}), w.try("a", Terms{}))
		}
		terms := Terms{MaxConns: 1, Expect: 2}
		w.setLimits(0, 0, terms)
		for _, lease := range leases {
			lease.Rebind(terms)
			w.release(lease)
		}
		w.wantGauges(1, 0, 0, 0)
	})
}

func TestAHigherMaxConnsLetsThoseWhoWaitDial(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		terms := Terms{MaxConns: 1}
		w.lease("a", terms)
		waiting := w.acquire("a", terms)
		waiting.stillWaits()
		w.wantDials(0)
		w.setLimits(0, 0, Terms{MaxConns: 2})
		w.wantDials(1)
		w.dialed()
		waiting.leased()
	})
}

func TestLimitsOfAHostHoldForAllItsKeys(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		h := w.pool.NewHost([]string{"a", "b"}, nil)
		w.hosts["x"] = h
		for _, key := range []string{"a", "b", "a", "b"} {
			c := w.acquire("x", Terms{})
			conn := w.newConn()
			conn.key = key
			w.finish(w.dials()[0], func() (*fakeConn, error) { return conn, nil })
			c.leased()
		}
		for _, c := range w.calls {
			w.release(c.leased())
		}
		w.setLimits(0, 3, Terms{})
		w.wantGauges(3, 0, 0, 0)
		w.setLimits(0, 0, Terms{MaxConns: 2})
		w.wantGauges(2, 0, 0, 0)
	})
}

func TestRebindDoesNothingAfterTheLease(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		lease := w.lease("a", Terms{})
		w.release(lease)
		lease.Rebind(Terms{MaxConns: 1, IdleTimeout: time.Second})
		time.Sleep(time.Hour)
		w.wantGauges(1, 0, 0, 0)
	})
}
