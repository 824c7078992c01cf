package poolz

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool"
)

// lookEvery looks at a history n times, and adds hits before each further look.
func lookEvery(h *history, d time.Duration, n int, hitsEach uint64) (now time.Time, hits uint64) {
	for range n {
		now = time.Now()
		h.tick(now, func() (uint64, uint64) { return hits, 0 })
		time.Sleep(d)
		hits += hitsEach
	}
	return time.Now(), hits
}

func TestSamplesLoseNothingHoweverOftenOneLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, every := range []time.Duration{time.Second, sampleEvery, time.Hour} {
			var h history
			now, hits := lookEvery(&h, every, 60, 7)
			var sum uint64
			for _, s := range h.spans(now, hits, 0) {
				sum += s.hits
			}
			if sum != hits {
				t.Errorf("a look every %v: %d hits in the history, want %d", every, sum, hits)
			}
		}
	})
}

func TestTheHistoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h history
		now, hits := lookEvery(&h, sampleEvery, 3*samplesKept, 1)
		if spans := h.spans(now, hits, 0); len(spans) != samplesKept || now.Sub(spans[0].from) != samplesKept*sampleEvery {
			t.Errorf("%d spans since %v, want %d", len(spans), now.Sub(spans[0].from), samplesKept)
		}
	})
}

func TestALogKeepsTheLatestAndTellsTheNewestFirst(t *testing.T) {
	var l log
	for i := range uint64(3*logKept + 5) {
		l.add(event{Count: i})
	}
	all := l.latest(2*logKept, func(*event) bool { return true })
	if len(all) != logKept || all[0].Count != 3*logKept+4 || all[logKept-1].Count != 2*logKept+5 {
		t.Errorf("%d events from %d to %d, want the latest %d", len(all), all[0].Count, all[len(all)-1].Count, logKept)
	}
	if even := l.latest(3, func(e *event) bool { return e.Count%2 == 0 }); len(even) != 3 || even[2].Count != 3*logKept {
		t.Errorf("even events %+v, want 3 of them", even)
	}
}

func TestAnObserverFillsTheHistoryWhileNobodyLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPage(&crowd{}, nil)
		o := p.Observer()
		for i := range 24 { // two minutes, with a miss in every second span
			miss := peerpool.MissReason("")
			if i%2 == 1 {
				miss = "cold"
			}
			o.AcquireDone(t.Context(), peerpool.AcquireDone{Miss: miss})
			time.Sleep(sampleEvery)
		}
		_, spans := p.look(time.Now())
		if len(spans) < 20 {
			t.Fatalf("%d spans, want one for each time that something happened", len(spans))
		}
		if sum := sumOf(spans, time.Now(), time.Hour); sum.hits != 12 || sum.misses != 12 {
			t.Errorf("%d hits and %d misses, want 12 each", sum.hits, sum.misses)
		}
	})
}

func TestACurveHasAStepForEachSpanAndAGapWhereNothingHappened(t *testing.T) {
	now := time.Now()
	at := func(s int) time.Time { return now.Add(time.Duration(s-60) * time.Second) }
	spans := []span{{at(0), at(15), 1, 1}, {at(15), at(30), 0, 0}, {at(30), at(45), 3, 1}, {at(45), at(60), 1, 0}}
	hitRatio, rate := charts(spans, now)
	if want := "M0.0 50.0V50.0H150.0M300.0 25.0V25.0H450.0V0.0H600.0"; hitRatio.Line != want {
		t.Errorf("the curve is %s, want %s", hitRatio.Line, want)
	}
	if rate.Top != "1" || strings.Count(rate.Line, "M") != 1 {
		t.Errorf("the rate up to %s is %s, want one curve up to 1", rate.Top, rate.Line)
	}
}

func TestNumbersAndDurationsAreShort(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{grouped(0), "0"}, {grouped(999), "999"}, {grouped(1000), "1,000"}, {grouped(uint64(12345678)), "12,345,678"},
		{percent(0, 0), "–"}, {percent(973, 27), "97.3 %"}, {percent(99999, 1), "99.9 %"}, {percent(5, 0), "100.0 %"},
		{brief(0), "0 s"}, {brief(time.Microsecond), "<1 ms"}, {brief(1500 * time.Microsecond), "1 ms"},
		{brief(9990 * time.Millisecond), "9.9 s"}, {brief(59900 * time.Millisecond), "59 s"},
		{brief(time.Minute), "1 min"}, {brief(61 * time.Second), "1 min 1 s"}, {brief(25*time.Hour + time.Minute), "25 h 1 min"},
		{brief(72 * time.Hour), "3 days"}, {ago(0), "now"}, {ago(5 * time.Second), "5 s ago"},
		{ago(99 * time.Second), "1 min ago"}, {ago(150 * time.Minute), "2 h ago"},
		{number64(0.25), "0.2"}, {number64(12345.6), "12,346"}, {number64(roundUp(2100)), "5,000"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}
