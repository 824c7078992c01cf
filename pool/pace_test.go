package pool

import (
	"testing"
	"time"
)

func TestABurstBeginsAFewDialsAndTheOthersAsTheseEnd(t *testing.T) {
	inBubble(t, config{DialBurst: 2}, func(t *testing.T, w *world) {
		for range 4 {
			w.acquire("a", Terms{})
		}
		if n := len(w.dials()); n != 2 {
			t.Fatalf("%d dials are under way, want 2", n)
		}
		w.finish(w.dials()[0], func() (*fakeConn, error) { return nil, errDial })
		if n := len(w.dials()); n != 2 {
			t.Errorf("%d dials are under way after one has ended, want 2", n)
		}
	})
}

func TestNobodyOfABurstDependsOnDialsThatHang(t *testing.T) {
	inBubble(t, config{DialBurst: 2}, func(t *testing.T, w *world) {
		for range 10 {
			w.acquire("a", Terms{})
		}
		time.Sleep(liftAfter)
		if n := len(w.dials()); n != 10 {
			t.Errorf("%d dials are under way, want one for each of 10 wants", n)
		}
		w.acquire("a", Terms{})
		if n := len(w.dials()); n != 11 {
			t.Errorf("a later want does not dial at once: %d dials are under way", n)
		}
	})
}

func TestABurstWaitsAsLongAsItsDialsEnd(t *testing.T) {
	inBubble(t, config{DialBurst: 1}, func(t *testing.T, w *world) {
		for range 3 {
			w.acquire("a", Terms{})
		}
		time.Sleep(liftAfter - 1)
		w.finish(w.dials()[0], func() (*fakeConn, error) { return nil, errDial })
		time.Sleep(liftAfter - 1)
		if n := len(w.dials()); n != 1 {
			t.Errorf("%d dials are under way, want 1", n)
		}
		time.Sleep(time.Nanosecond)
		if n := len(w.dials()); n != 2 {
			t.Errorf("%d dials are under way, want one for each of 2 wants", n)
		}
	})
}

func TestABurstOfOneKeyDoesNotHoldBackAnother(t *testing.T) {
	inBubble(t, config{DialBurst: 1}, func(t *testing.T, w *world) {
		w.acquire("a", Terms{})
		w.acquire("a", Terms{})
		w.acquire("b", Terms{})
		if n := len(w.dials()); n != 2 {
			t.Errorf("%d dials are under way, want one for each key", n)
		}
	})
}
