package pool

import (
	"fmt"
	"math"
	"testing"
)

// crowd lets n Acquires wait, with ids from 1.
func (w *world) crowd(n int, key string, terms Terms) []*call {
	calls := make([]*call, n)
	for i := range calls {
		calls[i] = w.acquireAs(i+1, key, terms)
	}
	return calls
}

// served says how many of the calls have a lease, and fails the test where one has an error.
func served(t reporter, calls []*call) (n int) {
	t.Helper()
	for i, c := range calls {
		if c.waits() {
			continue
		}
		n++
		if c.err != nil {
			t.Fatalf("want %d got %v", i+1, c.err)
		}
	}
	return n
}

func (w *world) wantDialed(n uint64) {
	w.t.Helper()
	if got := w.pool.Stats().Dials; got != n {
		w.t.Errorf("%d dials were begun, want %d", got, n)
	}
}

func TestManyWantsOfAnUnknownKeyBeginAFewDials(t *testing.T) {
	for _, capacity := range []int{100, 250, 256, math.MaxInt} {
		t.Run(fmt.Sprint(capacity), func(t *testing.T) {
			inSharedBubble(t, capacity, func(t *testing.T, w *world) {
				calls := w.crowd(256, "a", Terms{Expect: ExpectUnknown})
				w.wantDials(unknownDials)
				for n := 0; n < 256; n = min(256, n+capacity) {
					if got := served(t, calls); got != n {
						t.Fatalf("%d wants are served, want %d", got, n)
					}
					w.dialed()
				}
				if got := served(t, calls); got != 256 {
					t.Errorf("%d wants are served, want all", got)
				}
				w.wantDialed(unknownDials)
			})
		})
	}
}

func TestWantsOfAnUnknownKeyBeginMoreDialsOnlyForTheExcess(t *testing.T) {
	inSharedBubble(t, 30, func(t *testing.T, w *world) {
		calls := w.crowd(256, "a", Terms{Expect: ExpectUnknown})
		w.dialed()
		w.wantDials(8) // 226 wants are left: three dials under way bring room for 90, five more for 136
		for range 8 {
			w.dialed()
		}
		if got := served(t, calls); got != 256 {
			t.Errorf("%d wants are served, want all", got)
		}
		w.wantDialed(9)
	})
}

func TestAllWantsDialOnceTheFirstConnectionTurnsOutExclusive(t *testing.T) {
	inBubble(t, config{}, func(t *testing.T, w *world) {
		calls := w.crowd(20, "a", Terms{Expect: ExpectUnknown})
		w.wantDials(unknownDials)
		w.dialed()
		w.wantDials(19)
		for range 19 {
			w.dialed()
		}
		if got := served(t, calls); got != 20 {
			t.Errorf("%d wants are served, want all", got)
		}
		w.wantDialed(20)
	})
}

func TestWantsThatExpectOneLeaseAtOnceDialForThemselves(t *testing.T) {
	for _, expect := range []int{0, 1} {
		inBubble(t, config{}, func(t *testing.T, w *world) {
			w.crowd(20, "a", Terms{Expect: expect})
			w.wantDials(20)
		})
	}
}

func TestOneDialIsBegunForAsManyWantsAsExpected(t *testing.T) {
	for _, test := range []struct{ expect, wants, dials int }{
		{2, 1, 1}, {2, 2, 1}, {2, 3, 2}, {10, 10, 1}, {10, 11, 2}, {10, 100, 10}, {math.MaxInt, 100, 1},
	} {
		t.Run(fmt.Sprint(test), func(t *testing.T) {
			inSharedBubble(t, test.expect, func(t *testing.T, w *world) {
				calls := w.crowd(test.wants, "a", Terms{Expect: test.expect})
				w.wantDials(test.dials)
				for range test.dials {
					w.dialed()
				}
				if got := served(t, calls); got != test.wants {
					t.Errorf("%d wants are served, want %d", got, test.wants)
				}
				w.wantDialed(uint64(test.dials))
			})
		})
	}
}

func TestWhatTheLatestConnectionHasShownGoesBeforeWhatIsExpected(t *testing.T) {
	for _, test := range []struct {
		name  string
		show  func(w *world)
		dials int
	}{
		{"shared", func(w *world) { w.share(5); w.leases(5, "a", Terms{}) }, 2},
		{"raised", func(w *world) { w.share(1); w.lease("a", Terms{}).Conn().resizes(10); w.leasesLeft("a") }, 1},
		{"exclusive", func(w *world) { w.lease("a", Terms{}) }, 10},
		{"exclusive after shared", func(w *world) {
			w.share(5)
			w.leases(5, "a", Terms{})
			w.shares = false
			w.lease("a", Terms{})
		}, 10},
		{"no capacity left", func(w *world) {
			w.share(5)
			w.lease("a", Terms{}).Conn().resizes(0)
		}, 2},
		{"retired and small", func(w *world) {
			w.share(5)
			conn := w.lease("a", Terms{}).Conn()
			conn.retire("goaway")
			conn.resizes(1)
		}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, config{}, func(t *testing.T, w *world) {
				test.show(w)
				w.crowd(10, "a", Terms{Expect: 3})
				w.wantDials(test.dials)
			})
		})
	}
}

func TestWantsDialWhenConnectionsProveSmallerThanTheirDialsWereToBring(t *testing.T) {
	inSharedBubble(t, 10, func(t *testing.T, w *world) {
		idle := w.idle(1, "a", Terms{})[0]
		w.crowd(10, "a", Terms{Fresh: true})
		w.wantDials(1)
		idle.resizes(5)
		w.wantDials(2)
	})
}

// leasesLeft leases whatever there is room for.
func (w *world) leasesLeft(key string) {
	for {
		lease, ok := w.tryAcquire(key, Terms{})
		if !ok {
			return
		}
		lease.Conn().hold()
	}
}

func TestWantsThatExpectDifferentThingsEachGetTheirOwn(t *testing.T) {
	inSharedBubble(t, 10, func(t *testing.T, w *world) {
		w.acquireAs(1, "a", Terms{Expect: 10})
		w.acquireAs(2, "a", Terms{Expect: 10})
		w.wantDials(1)
		w.acquireAs(3, "a", Terms{})
		w.wantDials(2) // although what the first one brings would do for the second, this one counts on its own
		w.acquireAs(4, "a", Terms{Expect: 10})
		w.wantDials(2)
	})
}

func TestUnpooledWantsDialForThemselvesAndCountForNobody(t *testing.T) {
	inSharedBubble(t, 5, func(t *testing.T, w *world) {
		alone := w.crowd(3, "a", Terms{Unpooled: true, Expect: 5})
		w.wantDials(3)
		plain := w.crowd(5, "a", Terms{Expect: 5})
		w.wantDials(4)
		for range 4 {
			w.dialed()
		}
		if a, p := served(t, alone), served(t, plain); a != 3 || p != 5 {
			t.Errorf("%d unpooled and %d plain wants are served", a, p)
		}
		w.wantDialed(4)
	})
}

func TestADialWhoseAskerGaveUpCoversNobody(t *testing.T) {
	for _, terms := range []Terms{{Expect: 10}, {Expect: 10, Fresh: true}} {
		inSharedBubble(t, 10, func(t *testing.T, w *world) {
			calls := w.crowd(3, "a", terms)
			w.wantDials(1)
			calls[0].giveUp() // and its dial hangs
			w.wantDials(2)
			calls[1].dialed()
			if got := served(t, calls[1:]); got != 2 {
				t.Errorf("%d of the others are served, want both", got)
			}
		})
	}
}

func TestHangingDialsOfAnUnknownKeyStarveNobody(t *testing.T) {
	inSharedBubble(t, 10, func(t *testing.T, w *world) {
		calls := w.crowd(10, "a", Terms{Expect: ExpectUnknown})
		for _, c := range calls[:unknownDials] {
			c.giveUp()
		}
		w.wantDials(2 * unknownDials)
		calls[unknownDials].dialed()
		if got := served(t, calls[unknownDials:]); got != 10-unknownDials {
			t.Errorf("%d of the others are served, want all", got)
		}
	})
}

func TestAFailingDialFailsItsAskerOnlyAndTheOthersGetTheirOwn(t *testing.T) {
	for _, terms := range []Terms{
		{Expect: ExpectUnknown}, {Expect: 3}, {Expect: 3, Fresh: true}, {Expect: ExpectUnknown, Fresh: true},
	} {
		t.Run(fmt.Sprintf("%+v", terms), func(t *testing.T) {
			inSharedBubble(t, 10, func(t *testing.T, w *world) {
				calls := w.crowd(10, "a", terms)
				for i, c := range calls {
					c.dialFails(errDial)
					wantError(t, c.failed(), errDial)
					for _, other := range calls[i+1:] {
						other.stillWaits()
					}
				}
				w.wantDialed(10)
				w.wantForgotten("a")
			})
		})
	}
}

func TestFreshWantsShareConnectionsWhoseDialEndsAfterThem(t *testing.T) {
	inSharedBubble(t, 100, func(t *testing.T, w *world) {
		old := w.lease("a", Terms{}).Conn()
		calls := w.crowd(256, "a", Terms{Fresh: true})
		w.wantDials(3)
		for range 3 {
			w.dialed()
		}
		if got := served(t, calls); got != 256 {
			t.Errorf("%d wants are served, want all", got)
		}
		for _, c := range calls {
			if c.lease.Conn() == old {
				t.Fatal("a fresh want shares the old connection")
			}
		}
		w.wantDialed(4)
		if late := w.acquire("a", Terms{Fresh: true}); !late.waits() {
			t.Error("a later fresh want shares what was there before it")
		}
	})
}

func TestManyFreshWantsOfAnUnknownKeyBeginAFewDials(t *testing.T) {
	inSharedBubble(t, 100, func(t *testing.T, w *world) {
		calls := w.crowd(256, "a", Terms{Fresh: true, Expect: ExpectUnknown})
		w.wantDials(unknownDials)
		for range 3 {
			w.dialed()
		}
		if got := served(t, calls); got != 256 {
			t.Errorf("%d wants are served, want all", got)
		}
		w.wantDialed(unknownDials)
	})
}

func TestAConnectionWithoutCapacityIsAnErrorToItsAskerAndTheOthersDial(t *testing.T) {
	inSharedBubble(t, 0, func(t *testing.T, w *world) {
		calls := w.crowd(2, "a", Terms{Expect: 10})
		calls[0].dialed()
		wantError(t, calls[0].failed(), ErrRetired)
		w.share(10)
		calls[1].dialed()
		calls[1].leased()
	})
}

func TestASharedConnectionThatComesTooLateToBeOfUseIsClosed(t *testing.T) {
	inSharedBubble(t, 3, func(t *testing.T, w *world) {
		calls := w.crowd(2, "a", Terms{Expect: ExpectUnknown})
		w.dialed() // has room for both, and for one more
		late := w.dialed()
		if got := served(t, calls); got != 2 {
			t.Errorf("%d wants are served, want both", got)
		}
		w.wantCloses(map[*fakeConn]Reason{late: ReasonSurplus})
	})
}

func TestASharedConnectionThatComesWhileTheOthersAreFullIsKept(t *testing.T) {
	inSharedBubble(t, 2, func(t *testing.T, w *world) {
		w.crowd(2, "a", Terms{Expect: ExpectUnknown})
		w.dialed() // serves both, and is full
		w.dialed()
		w.wantGauges(1, 1, 0, 0)
	})
}
