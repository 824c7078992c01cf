package pool

import (
	"testing"
	"testing/synctest"
	"time"
)

func (w *world) keepIdle(key string, n int, terms Terms) {
	if h := w.hosts[key]; h != nil {
		h.KeepIdle(w, n, terms)
	} else {
		w.pool.KeepIdle(key, w, n, terms)
	}
	synctest.Wait()
}

func TestAFloorIsKeptWhateverClosesAConnection(t *testing.T) {
	terms := Terms{IdleTimeout: 5 * time.Minute, MaxLifetime: 8 * time.Minute}
	for name, take := range map[string]func(w *world){
		"a request":        func(w *world) { w.try("a", terms) },
		"its timeout":      func(w *world) { time.Sleep(5 * time.Minute) },
		"the peer":         func(w *world) { lease := w.try("a", terms); w.discard(lease, ReasonPeerClosed) },
		"an old age":       func(w *world) { time.Sleep(4 * time.Minute); w.release(w.try("a", terms)); time.Sleep(4 * time.Minute) },
		"a Drain":          func(w *world) { w.pool.Drain("a", "drain") },
		"the peer, late":   func(w *world) { time.Sleep(2 * time.Minute); w.conn(1).retire(ReasonPeerClosed) },
		"a failed probe":   func(w *world) { w.conn(1).sicken(ReasonPeerClosed); w.tryNothing("a", terms) },
		"a failed release": func(w *world) { lease := w.try("a", terms); w.conn(1).sicken("x"); w.release(lease) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, config{}, func(t *testing.T, w *world) {
				w.keepIdle("a", 1, terms)
				w.dialed()
				take(w)
				w.keepIdle("a", 1, terms) // as the Transport does with each request
				time.Sleep(2 * floorPause)
				w.wantDials(1)
				w.dialed()
				w.wantDials(0)
			})
		})
	}
}

func (w *world) conn(id int) (c *fakeConn) {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	for e := w.pool.idle.first; e != nil; e = e.in[inPool].next {
		if e.conn.fake().id == id {
			c = e.conn.fake()
		}
	}
	if c == nil {
		for _, g := range w.pool.groups {
			for e := g.all.first; e != nil; e = e.in[inAll].next {
				c = e.conn.fake()
			}
		}
	}
	return c
}

func TestAFloorPausesLongerAfterEachFailure(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		w.keepIdle("a", 2, Terms{})
		dials := 0
		for start := time.Now(); time.Since(start) < 10*time.Minute; time.Sleep(100 * time.Millisecond) {
			for len(w.dials()) > 0 {
				dials++
				w.dialFails(errDial)
			}
		}
		// Two at first, and two after each of 1, 2, 4, 8, 16, 32, 60, 60 ... seconds, each by a quarter more or less.
		if dials < 2*12 || dials > 2*20 {
			t.Errorf("%d dials in ten minutes", dials)
		}
		time.Sleep(2 * maxFloorPause)
		w.dialed()
		w.dialed()
		w.wantGauges(2, 0, 0, 0)
	})
}

func TestAFloorPausesIfThePeerClosesWhatNobodyHasUsed(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		w.keepIdle("a", 1, Terms{})
		dials := 0
		for start := time.Now(); time.Since(start) < 10*time.Minute; time.Sleep(10 * time.Millisecond) {
			for len(w.dials()) > 0 {
				dials++
				w.dialed().retire(ReasonPeerClosed)
			}
		}
		if dials < 12 || dials > 20 {
			t.Errorf("%d dials in ten minutes", dials)
		}
	})
}

func TestAFloorKeepsWithinTheLimits(t *testing.T) {
	for name, c := range map[string]struct {
		config config
		terms  Terms
		want   int
	}{
		"MaxConns":       {config{}, Terms{MaxConns: 2}, 2},
		"MaxIdle":        {config{MaxIdle: 3}, Terms{}, 3},
		"MaxIdlePerKey":  {config{MaxIdlePerKey: 4}, Terms{}, 4},
		"MaxDialsPerKey": {config{MaxDialsPerKey: 1}, Terms{}, 5},
		"none at all":    {config{MaxIdlePerKey: -1}, Terms{}, 0},
		"none in all":    {config{MaxIdle: -1}, Terms{}, 0},
		"unpooled":       {config{}, Terms{Unpooled: true}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, c.config, func(t *testing.T, w *world) {
				w.keepIdle("a", 5, c.terms)
				for len(w.dials()) > 0 {
					if n := len(w.dials()); c.config.MaxDialsPerKey > 0 && n > c.config.MaxDialsPerKey {
						t.Errorf("%d dials at once", n)
					}
					w.dialed()
				}
				time.Sleep(time.Minute)
				w.wantGauges(c.want, 0, 0, 0)
				w.wantCloses(nil)
			})
		})
	}
}

func TestTwoFloorsThatAreMoreThanMaxIdleLeaveEachOtherAlone(t *testing.T) {
	inBubble(t, config{MaxIdle: 3}, func(t *testing.T, w *world) {
		w.keepIdle("a", 2, Terms{})
		w.keepIdle("b", 2, Terms{})
		for start := time.Now(); time.Since(start) < time.Minute; time.Sleep(100 * time.Millisecond) {
			for len(w.dials()) > 0 {
				w.dialed()
			}
		}
		w.wantGauges(3, 0, 0, 0)
		w.wantCloses(nil)
	})
}

func TestAFloorTakesNoRoomFromARequestThatWaits(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		terms := Terms{MaxConns: 1}
		lease := w.lease("a", terms)
		waiting := w.acquire("a", terms)
		w.keepIdle("a", 1, terms)
		w.discard(lease, "x")
		w.wantDials(1)
		w.dialed()
		waiting.leased()
	})
}

func TestAFloorOfSharedConnectionsCountsPlaces(t *testing.T) {
	inSharedBubble(t, 4, func(t *testing.T, w *world) {
		w.keepIdle("a", 3, Terms{Expect: ExpectUnknown})
		w.wantDials(1)
		w.dialed()
		w.wantDials(0)
		leases := []testLease{w.try("a", Terms{}), w.try("a", Terms{})}
		w.keepIdle("a", 3, Terms{Expect: ExpectUnknown})
		w.wantDials(1)
		w.dialed()
		w.wantGauges(1, 1, 0, 0)
		w.releaseAll(leases...)
		w.wantDials(0)
		w.wantCloses(nil)
	})
}

func TestAFloorOfPrivateConnectionsPauses(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		w.keepIdle("a", 1, Terms{})
		conn := w.privately()
		w.wantCloses(map[*fakeConn]Reason{conn: ReasonUnpooled})
		w.wantDials(0)
	})
}

func TestAFloorEnds(t *testing.T) {
	for name, end := range map[string]func(w *world){
		"when KeepIdle says so":          func(w *world) { w.keepIdle("a", 0, Terms{}) },
		"when the peer is not pooled":    func(w *world) { w.keepIdle("a", 1, Terms{Unpooled: true}) },
		"an hour after the last request": func(w *world) { time.Sleep(floorEnds) },
		"with CloseIdle":                 func(w *world) { w.pool.CloseIdle() },
		"with KeepNone":                  func(w *world) { w.pool.KeepNone() },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, config{}, func(t *testing.T, w *world) {
				w.keepIdle("a", 1, Terms{})
				w.dialFails(errDial)
				w.wantForgotten()
				for until := time.Now().Add(10 * time.Second); time.Now().Before(until); time.Sleep(time.Second) {
					for len(w.dials()) > 0 {
						w.dialed()
					}
				}
				end(w)
				for _, c := range []*fakeConn{w.conn(1)} {
					if c != nil {
						c.retire("x")
					}
				}
				for len(w.dials()) > 0 {
					w.dialFails(errDial)
				}
				time.Sleep(time.Hour)
				w.wantDials(0)
				w.wantForgotten("a")
			})
		})
	}
}

func TestAFloorGoesOnForAsLongAsItIsUsed(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		terms := Terms{IdleTimeout: time.Minute}
		w.keepIdle("a", 1, terms)
		for range 5 {
			for range 59 {
				for len(w.dials()) > 0 {
					w.dialed()
				}
				w.wantGauges(1, 0, 0, 0)
				time.Sleep(time.Minute)
			}
			w.keepIdle("a", 1, terms)
		}
	})
}

func TestAHostHasOneFloorForAllItsKeys(t *testing.T) {
	for _, balance := range []Balance{BalanceNone, BalanceRoundRobin} {
		inBubble(t, config{}, func(t *testing.T, w *world) {
			h := w.pool.NewHost([]string{"a", "b"}, nil)
			h.SetBalance(balance, w, 0)
			w.hosts["x"] = h
			w.keepIdle("x", 4, Terms{})
			w.wantDials(4)
			for i := range 4 {
				conn := w.newConn()
				if balance == BalanceNone {
					conn.key = []string{"a", "b"}[i%2]
				}
				w.finish(w.dials()[0], func() (*fakeConn, error) { return conn, nil })
			}
			if keys := w.pool.Stats().Keys; keys["a"].Idle != 2 || keys["b"].Idle != 2 {
				t.Errorf("the keys are %+v", keys)
			}
			h.SetKeys([]string{"b"})
			w.wantDials(2)
			for range 2 {
				conn := w.newConn()
				conn.key = "b"
				w.finish(w.dials()[0], func() (*fakeConn, error) { return conn, nil })
			}
			w.wantDials(0)
			w.pool.CloseIdle()
			w.wantDials(0)
		})
	}
}

func TestTheDialsOfAFloorSeeNoRequest(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		w.lease("a", Terms{})
		w.keepIdle("a", 1, Terms{})
		if asker := w.dials()[0].asker; asker != nil {
			t.Errorf("the dial has the value %v of a request", asker)
		}
		w.dialed()
	})
}

// A request may ask for a floor when CloseIdle has been called since it got its connection.
func TestNoFloorBeginsBetweenCloseIdleAndTheNextRequest(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		call := w.acquire("a", Terms{})
		w.dialed()
		w.pool.CloseIdle()
		w.keepIdle("a", 1, Terms{})
		w.wantDials(0)
		w.release(call.leased())
		time.Sleep(time.Hour)
		w.wantDials(0)
		w.acquire("a", Terms{})
		w.keepIdle("a", 1, Terms{})
		w.wantDials(2)
	})
}

// The keys of a host may change during a dial, and a HostDialer may find that no listed key can be dialed.
func TestAFloorPausesIfItsDialLeadsToAKeyThatIsNotListed(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		h := w.pool.NewHost([]string{"a"}, nil)
		w.hosts["x"] = h
		w.keepIdle("x", 1, Terms{})
		for range 3 {
			conn := w.newConn()
			conn.key = "b"
			w.finish(w.dials()[0], func() (*fakeConn, error) { return conn, nil })
			w.wantDials(0)
			time.Sleep(2 * maxFloorPause)
			w.wantDials(1)
		}
		conn := w.newConn()
		conn.key = "a"
		w.finish(w.dials()[0], func() (*fakeConn, error) { return conn, nil })
		time.Sleep(2 * maxFloorPause)
		w.wantDials(0)
	})
}

func TestAFloorDialsAsSoonAsARequestTakesAConnection(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		w.keepIdle("a", 1, Terms{})
		w.dialed()
		lease := w.try("a", Terms{})
		w.wantDials(1)
		w.dialed()
		w.release(lease)
		w.pool.CloseIdle()
	})
}

func TestAHostThatWasAskedToKeepNothingIsForgotten(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		w.hosts["x"] = w.pool.NewHost([]string{"a", "b"}, nil)
		w.acquire("a", Terms{}) // so that one of its keys is known
		w.keepIdle("x", 0, Terms{})
		if keys := w.pool.Stats().Keys; len(keys) != 1 {
			t.Errorf("the pool knows %v, want a", keys)
		}
		w.dialed()
	})
}

func TestAFloorFollowsAHigherLimitOnIdleConnections(t *testing.T) {
	inBubble(t, config{MaxIdlePerKey: 1}, func(t *testing.T, w *world) {
		w.keepIdle("a", 2, Terms{})
		w.dialed()
		w.wantDials(0)
		w.pool.SetLimits(0, 0, nil)
		w.wantDials(1)
		w.dialed()
		w.wantGauges(2, 0, 0, 0)
	})
}

func TestAFloorDialsWhenTheLastConnectionOfAnUnlistedKeyHasMadeRoom(t *testing.T) {
	inBubble(t, config{MaxIdlePerKey: 1}, func(t *testing.T, w *world) {
		h := w.pool.NewHost([]string{"a"}, nil)
		w.hosts["x"] = h
		terms := Terms{IdleTimeout: time.Minute}
		call := w.acquire("x", terms)
		conn := w.newConn()
		conn.key = "a"
		w.finish(w.dials()[0], func() (*fakeConn, error) { return conn, nil })
		w.release(call.leased())
		w.keepIdle("x", 1, terms)
		h.SetKeys([]string{"b"})
		synctest.Wait()
		w.wantDials(0) // the idle connection of a counts toward the limit
		time.Sleep(time.Minute)
		w.wantDials(1)
	})
}

func TestAHostKeepsToTheIdleLimitWhenItsKeysAreKnownAlready(t *testing.T) {
	inBubble(t, config{MaxIdlePerKey: 1}, func(t *testing.T, w *world) {
		for _, key := range []string{"a", "b"} {
			w.keepIdle(key, 1, Terms{})
			w.dialed()
		}
		w.hosts["x"] = w.pool.NewHost([]string{"a", "b"}, nil)
		w.keepIdle("a", 0, Terms{})
		w.keepIdle("b", 0, Terms{})
		w.keepIdle("x", 2, Terms{})
		if idle := w.pool.Stats().Idle; idle != 1 {
			t.Errorf("%d connections of the host are idle, MaxIdlePerKey is 1", idle)
		}
	})
}
