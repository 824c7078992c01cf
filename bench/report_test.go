package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"strings"
	"testing"
)

// rounds makes readings of one metric.
func rounds(metric string, figures ...float64) []reading {
	var all []reading
	for _, f := range figures {
		all = append(all, reading{Values: sample{metric: f}, Protocol: http1})
	}
	return all
}

func TestATargetIsHeldAgainstTheMedian(t *testing.T) {
	found := map[candidate][]reading{
		ours:    rounds("cpu", 4, 5, 9),
		netHTTP: rounds("cpu", 10, 10, 10),
	}
	for _, c := range []struct {
		goal     target
		measured float64
		met      bool
	}{
		{target{"cpu", netHTTP, 0.50}, 0.5, true},
		{target{"cpu", netHTTP, 0.49}, 0.5, false},
		{target{"cpu", "", 5}, 5, true},
		{target{"cpu", "", 4.99}, 5, false},
	} {
		got := c.goal.judge(found)
		if got.Measured == nil || got.Measured.Median != c.measured || got.Met != c.met {
			t.Errorf("%+v: %+v", c.goal, got)
		}
	}
}

// TestATargetIsHeldAgainstWhatIsShown checks that a target is compared with the figure as it is shown: 4.04 allocations are
// shown as 4.0, which is not more than 4.
func TestATargetIsHeldAgainstWhatIsShown(t *testing.T) {
	for figure, met := range map[float64]bool{4.04: true, 4.06: false} {
		got := target{"allocs", "", 4}.judge(map[candidate][]reading{ours: rounds("allocs", figure)})
		if got.Met != met {
			t.Errorf("%v allocations of 4: met is %v", figure, got.Met)
		}
	}
}

func TestATargetThatWasNotMeasuredIsNotMet(t *testing.T) {
	for _, found := range []map[candidate][]reading{
		{},
		{ours: rounds("rate", 1)},
		{ours: rounds("cpu", 1)},
		{ours: rounds("cpu", 1), netHTTP: rounds("rate", 1)},
	} {
		if got := (target{"cpu", netHTTP, 1}).judge(found); got.Met || got.Measured != nil {
			t.Errorf("%v: %+v", found, got)
		}
	}
}

// exampleReport is the report of a comparison in which peerpool took half of net/http's time.
func exampleReport() suiteReport {
	c := comparison{
		name: "GET <here>", candidates: []candidate{netHTTP, again, ours}, baseline: netHTTP, twin: again,
		metric: "cpu", columns: []string{"cpu", "rate"}, targets: []target{{"cpu", netHTTP, 0.40}},
	}
	return suiteReport{Name: "example", About: "a & b", Comparisons: []comparisonReport{summarize(c, map[candidate][]reading{
		netHTTP: rounds("cpu", 10, 20, 30), again: rounds("cpu", 11, 20, 30), ours: rounds("cpu", 5, 10, 18),
	}, nil)}}
}

func TestACandidateThatFailsLeavesTheFiguresOfTheOthers(t *testing.T) {
	c := comparison{
		name: "GET", candidates: []candidate{netHTTP, ours, fastHTTP}, baseline: netHTTP, metric: "cpu", columns: []string{"cpu"},
	}
	found := summarize(c, map[candidate][]reading{
		netHTTP: rounds("cpu", 10, 20), ours: rounds("cpu", 5, 10), fastHTTP: rounds("cpu", 4),
	}, map[candidate]error{fastHTTP: errors.New("timeout")})
	if r := found.Rows[1]; r.Error != "" || r.Ratio == nil || r.Ratio.Median != 0.5 {
		t.Errorf("peerpool: %+v", r)
	}
	if r := found.Rows[2]; r.Error != "timeout" || r.Rounds != 1 || r.Ratio != nil {
		t.Errorf("fasthttp: %+v", r)
	}
	whole := report{Suites: []suiteReport{{Name: "s", Comparisons: []comparisonReport{found}}}}
	if got := whole.failures(); len(got) != 1 || got[0] != "s: GET: fasthttp: timeout" {
		t.Errorf("failures: %q", got)
	}
	var out bytes.Buffer
	printSuite(&out, whole.Suites[0])
	if !strings.Contains(out.String(), "fasthttp was measured 1 times, and then failed: timeout") {
		t.Errorf("it shows:\n%s", out.String())
	}
}

func TestASummaryHoldsRatiosAndTheScatter(t *testing.T) {
	c := exampleReport().Comparisons[0]
	if got := c.Rows[2].Ratio; got == nil || got.Median != 0.5 || got.Max != 0.6 {
		t.Errorf("the ratio is %+v", got)
	}
	if c.Scatter == nil || c.Scatter.Median != 1 || c.Scatter.Max != 1.1 {
		t.Errorf("the scatter is %+v", c.Scatter)
	}
	if _, ok := c.Rows[0].Figures["rate"]; ok {
		t.Error("there is a figure for what was not measured")
	}
}

func TestATableShowsRatioRangeAndTarget(t *testing.T) {
	var out bytes.Buffer
	s := exampleReport()
	printSuite(&out, s)
	printTargets(&out, report{Suites: []suiteReport{s}})
	printScatter(&out, report{Suites: []suiteReport{s}})
	for _, want := range []string{
		"ratio to net/http", "10.00", "0.50", "0.50..0.60", "<= 0.40", "MISSED", "1.00..1.10", "HTTP/1.1",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not show %q:\n%s", want, out.String())
		}
	}
}

func TestAPictureIsWellFormedAndMarksTheTarget(t *testing.T) {
	picture := drawSuite(exampleReport())
	var svg struct {
		Bars []struct {
			Width string `xml:"width,attr"`
		} `xml:"rect"`
		Lines []struct {
			Title string `xml:"title"`
		} `xml:"line"`
	}
	if err := xml.Unmarshal([]byte(picture), &svg); err != nil {
		t.Fatalf("%v in\n%s", err, picture)
	}
	if len(svg.Bars) != 4 { // and the ground that they are on
		t.Errorf("%d rectangles for 3 candidates", len(svg.Bars))
	}
	marks := 0
	for _, l := range svg.Lines {
		if l.Title == "target 0.40" {
			marks++
		}
	}
	if marks != 1 {
		t.Errorf("the target is marked %d times", marks)
	}
}
