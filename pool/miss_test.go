package pool

import (
	"maps"
	"testing"
	"time"
)

func TestTheMissSaysWhatWasFound(t *testing.T) {
	cap1s := Terms{IdleTimeout: time.Second}
	for _, test := range []struct {
		name    string
		prepare func(w *world)
		terms   Terms
		want    Miss
	}{
		{"cold when there was nothing", func(*world) {}, Terms{}, MissCold},
		{"cold when another key has connections", func(w *world) { w.idle(1, "b", Terms{}) }, Terms{}, MissCold},
		{"busy when all are in use", func(w *world) { w.lease("a", Terms{}) }, Terms{}, MissBusy},
		{"expired when the asker wants a younger one", func(w *world) {
			w.idle(1, "a", Terms{})
			time.Sleep(time.Second)
		}, cap1s, MissExpired},
		{"expired rather than busy", func(w *world) {
			w.idle(2, "a", Terms{})
			w.try("a", Terms{})
			time.Sleep(time.Second)
		}, cap1s, MissExpired},
		{"stale when the probe failed", func(w *world) {
			w.idle(1, "a", Terms{})[0].sicken(ReasonPeerClosed)
		}, Terms{}, MissStale},
		{"stale rather than expired", func(w *world) {
			conns := w.idle(2, "a", Terms{})
			time.Sleep(time.Second)
			w.release(w.try("a", Terms{}))
			conns[1].sicken(ReasonPeerClosed)
		}, cap1s, MissStale},
		{"fresh when none was looked for", func(w *world) { w.idle(1, "a", Terms{}) }, Terms{Fresh: true}, MissFresh},
		{"unpooled when none was looked for", func(w *world) { w.idle(1, "a", Terms{}) },
			Terms{Unpooled: true}, MissUnpooled},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, config{}, func(t *testing.T, w *world) {
				test.prepare(w)
				c := w.acquire("a", test.terms)
				w.dialed()
				if got := c.leased().Miss(); got != test.want {
					t.Errorf("miss is %q, want %q", got, test.want)
				}
				if n := w.pool.Stats().Misses[test.want]; n == 0 {
					t.Error("the miss was not counted")
				}
			})
		})
	}
}

// expiredThenStale leaves two idle connections. For a caller that allows one reuse, the first to be tried has expired, and
// the second fails its probe.
func expiredThenStale(w *world) {
	conns := w.idle(2, "a", Terms{})
	w.release(w.try("a", Terms{}))
	conns[0].sicken(ReasonPeerClosed)
}

// staleThenExpired leaves the reverse, for a caller with an IdleTimeout of a second.
func staleThenExpired(w *world) {
	conns := w.idle(2, "a", Terms{})
	time.Sleep(time.Second)
	w.release(w.try("a", Terms{}))
	conns[1].sicken(ReasonPeerClosed)
}

func TestAFailedTryAcquireTellsWhatItFound(t *testing.T) {
	for _, test := range []struct {
		name    string
		prepare func(w *world)
		terms   Terms
		want    Miss
	}{
		{"nothing", func(*world) {}, Terms{}, ""},
		{"all in use", func(w *world) { w.lease("a", Terms{}) }, Terms{}, ""},
		{"expired", func(w *world) {
			w.idle(1, "a", Terms{})
			w.release(w.try("a", Terms{}))
		}, Terms{MaxReuse: 1}, MissExpired},
		{"stale", func(w *world) { w.idle(1, "a", Terms{})[0].sicken(ReasonPeerClosed) }, Terms{}, MissStale},
		{"expired, then stale", expiredThenStale, Terms{MaxReuse: 1}, MissStale},
		{"stale, then expired", staleThenExpired, Terms{IdleTimeout: time.Second}, MissStale},
		{"fresh", func(w *world) { w.idle(1, "a", Terms{}) }, Terms{Fresh: true}, ""},
		{"unpooled", func(w *world) { w.idle(1, "a", Terms{}) }, Terms{Unpooled: true}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, config{}, func(t *testing.T, w *world) {
				test.prepare(w)
				before := w.pool.Stats()
				lease, ok := w.tryAcquire("a", test.terms)
				if ok || lease.Valid() || lease.Miss() != test.want {
					t.Errorf("TryAcquire: %v, %v, miss %q; want no lease, miss %q", ok, lease.Valid(), lease.Miss(), test.want)
				}
				if lease.Conn() != nil || lease.IdleTime() != 0 || lease.Waited() != 0 {
					t.Error("the Lease of a failed TryAcquire says that there is a connection")
				}
				if after := w.pool.Stats(); !maps.Equal(before.Misses, after.Misses) {
					t.Errorf("it counted a miss: %v after %v", after.Misses, before.Misses)
				}
			})
		})
	}
}

func TestAnAcquireReportsTheMoreTellingOfItsOwnMissAndTheOneBefore(t *testing.T) {
	nothing := func(*world) {}
	allInUse := func(w *world) { w.lease("a", Terms{}) }
	oneStale := func(w *world) { w.idle(1, "a", Terms{})[0].sicken(ReasonPeerClosed) }
	oneExpired := func(w *world) {
		w.idle(1, "a", Terms{})
		w.release(w.try("a", Terms{}))
	}
	for _, test := range []struct {
		name    string
		prepare func(w *world)
		terms   Terms
		want    Miss
	}{
		{"stale before, now cold", nothing, Terms{Missed: MissStale}, MissStale},
		{"stale before, now busy", allInUse, Terms{Missed: MissStale}, MissStale},
		{"stale before, now expired", oneExpired, Terms{Missed: MissStale, MaxReuse: 1}, MissStale},
		{"expired before, now cold", nothing, Terms{Missed: MissExpired}, MissExpired},
		{"expired before, now busy", allInUse, Terms{Missed: MissExpired}, MissExpired},
		{"expired before, now stale", oneStale, Terms{Missed: MissExpired}, MissStale},
		{"busy before, now cold", nothing, Terms{Missed: MissBusy}, MissBusy},
		{"cold before, now busy", allInUse, Terms{Missed: MissCold}, MissBusy},
		{"nothing before, now busy", allInUse, Terms{}, MissBusy},
		{"stale before, now fresh", nothing, Terms{Missed: MissStale, Fresh: true}, MissFresh},
		{"stale before, now unpooled", nothing, Terms{Missed: MissStale, Unpooled: true}, MissUnpooled},
		{"fresh, which finds nothing", nothing, Terms{Missed: MissFresh}, MissCold},
		{"unpooled, which finds nothing", allInUse, Terms{Missed: MissUnpooled}, MissBusy},
		{"a made-up one", nothing, Terms{Missed: "lost"}, MissCold},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, config{}, func(t *testing.T, w *world) {
				test.prepare(w)
				before := w.pool.Stats().Misses[test.want]
				if got := w.acquire("a", test.terms).leasedByDial().Miss(); got != test.want {
					t.Errorf("miss is %q, want %q", got, test.want)
				}
				if n := w.pool.Stats().Misses[test.want] - before; n != 1 {
					t.Errorf("it was counted %d times", n)
				}
			})
		})
	}
}

func TestAnAcquireThatFindsAConnectionAfterAllIsAHit(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		conn := w.idle(1, "a", Terms{})[0]
		lease := w.acquire("a", Terms{Missed: MissStale}).leased()
		wantConn(t, lease, conn)
		if lease.Miss() != "" {
			t.Errorf("miss is %q", lease.Miss())
		}
	})
}

func TestALeaseTellsThatAnIdleConnectionHeldUnexpectedData(t *testing.T) {
	for _, reason := range []Reason{ReasonUnexpectedData, ReasonPeerClosed} {
		want := reason == ReasonUnexpectedData
		check := func(t *testing.T, l testLease, miss Miss) {
			t.Helper()
			if l.FoundUnexpectedData() != want || l.Miss() != miss {
				t.Errorf("after %s: unexpected data %v, miss %q", reason, l.FoundUnexpectedData(), l.Miss())
			}
		}
		inBubble(t, config{}, func(t *testing.T, w *world) {
			w.idle(1, "a", Terms{})[0].sicken(reason)
			l, ok := w.tryAcquire("a", Terms{})
			if ok {
				t.Fatal("there is a lease")
			}
			check(t, l, MissStale)

			w.idle(1, "a", Terms{})[0].sicken(reason)
			c := w.acquire("a", Terms{})
			w.dialed()
			dialed := c.leased()
			check(t, dialed, MissStale)
			w.discard(dialed, "")

			w.idle(2, "a", Terms{})[1].sicken(reason)
			hit := w.try("a", Terms{})
			check(t, hit, "")
			if !hit.Reused() {
				t.Error("the connection was not idle")
			}
			w.release(hit)
			if w.try("a", Terms{}).FoundUnexpectedData() {
				t.Error("the next lease tells so, too")
			}
		})
	}
}
