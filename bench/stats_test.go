package main

import (
	"testing"
	"time"
)

func TestTheMedianIsInTheMiddle(t *testing.T) {
	for _, c := range []struct {
		figures []float64
		want    span
	}{
		{[]float64{7}, span{7, 7, 7}},
		{[]float64{3, 1, 2}, span{2, 1, 3}},
		{[]float64{4, 1, 3, 2}, span{2.5, 1, 4}},
		{[]float64{1, 1000, 2, 3, 2}, span{2, 1, 1000}},
	} {
		if got := spanOf(c.figures); got != c.want {
			t.Errorf("%v: %v, want %v", c.figures, got, c.want)
		}
	}
}

func TestFiguresStayInTheirOrder(t *testing.T) {
	figures := []float64{3, 1, 2}
	spanOf(figures)
	if figures[0] != 3 || figures[1] != 1 || figures[2] != 2 {
		t.Errorf("they are %v now: rounds can no longer be matched", figures)
	}
}

// TestARatioIsOfOneRound checks that a ratio compares two figures of the same round. In the test the machine was slow in
// the second and third rounds, and the two medians alone would be equal.
func TestARatioIsOfOneRound(t *testing.T) {
	got, ok := ratios([]float64{1, 30, 20}, []float64{2, 20, 40})
	if want := (span{0.5, 0.5, 1.5}); !ok || got != want {
		t.Errorf("%v, %v; want %v", got, ok, want)
	}
}

func TestARoundWithoutABaseDoesNotCount(t *testing.T) {
	got, ok := ratios([]float64{1, 9, 3}, []float64{2, -1, 4})
	if want := (span{0.625, 0.5, 0.75}); !ok || got != want {
		t.Errorf("%v, %v; want %v", got, ok, want)
	}
}

func TestThereIsNoRatioToNothing(t *testing.T) {
	for _, c := range []struct{ figures, base []float64 }{
		{nil, nil},
		{[]float64{1}, nil},
		{[]float64{1, 2}, []float64{1}},
		{[]float64{1, 2}, []float64{1, 0}},
		{[]float64{1, 2}, []float64{1, -1}},
	} {
		if got, ok := ratios(c.figures, c.base); ok {
			t.Errorf("%v to %v is %v", c.figures, c.base, got)
		}
	}
}

func TestAQuantileIsOneOfTheFigures(t *testing.T) {
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = i + 1
	}
	for q, want := range map[float64]int{0: 1, 0.5: 50, 0.99: 99, 0.999: 100, 1: 100} {
		if got := quantile(hundred, q); got != want {
			t.Errorf("quantile %v is %d, want %d", q, got, want)
		}
	}
	if got := quantile([]int{5}, 0.99); got != 5 {
		t.Errorf("the quantile of one figure is %d", got)
	}
}

// TestOneBadMomentDoesNotDecideATypicalQuantile checks that one bad moment does not change the typical quantile. It does
// change the quantile of all figures together.
func TestOneBadMomentDoesNotDecideATypicalQuantile(t *testing.T) {
	var waits []wait
	start := time.Now()
	for i := range 1000 {
		took := 100 * time.Microsecond
		if i < 50 {
			took = 10 * time.Millisecond
		}
		waits = append(waits, wait{start.Add(time.Duration(i) * time.Microsecond), took})
	}
	if got := typical(waits, 0.99); got != 100 {
		t.Errorf("the typical quantile is %v µs, want 100", got)
	}
	if got := overall(waits, 0.99); got != 10_000 {
		t.Errorf("the quantile of all is %v µs, want 10,000", got)
	}
}

func TestCostIsSpreadOverTheRequests(t *testing.T) {
	before := usage{at: time.Unix(100, 0), user: time.Second, sys: time.Second, measured: true, mallocs: 10, bytes: 100}
	after := usage{at: time.Unix(102, 0), user: 3 * time.Second, sys: 2 * time.Second, measured: true, mallocs: 4010, bytes: 64_100}
	got := after.since(before).perRequest(1000)
	for name, want := range map[string]float64{"rate": 500, "user": 2000, "sys": 1000, "cpu": 3000, "allocs": 4, "bytes": 64} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
}

func TestTimesThatTheSystemDoesNotTellAreNoZeros(t *testing.T) {
	before, after := usage{at: time.Unix(1, 0)}, usage{at: time.Unix(2, 0)}
	if got, ok := after.since(before).perRequest(1)["cpu"]; ok {
		t.Errorf("the CPU time is %v", got)
	}
}
