package poolz

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// The size of a chart in its own units. The browser stretches it to the available width.
const (
	chartWidth  = 600
	chartHeight = 100
)

// windows are the times that a chart can cover. A chart covers the shortest that holds all samples, or the longest.
var windows = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute}

// chart is a curve that ends now.
type chart struct {
	Line, Area string // paths
	Top        string // the label of its upper edge
	Window     time.Duration
}

// charts draws the hit ratio and the attempts per second.
func charts(spans []span, now time.Time) (hitRatio, rate chart) {
	window := windowOf(spans, now)
	busiest := 0.0
	for _, s := range spans {
		busiest = max(busiest, s.perSecond())
	}
	top := roundUp(busiest)
	hitRatio = draw(spans, now, window, func(s span) (float64, bool) {
		return ratio(s.hits, s.misses), s.attempts() > 0
	})
	rate = draw(spans, now, window, func(s span) (float64, bool) { return s.perSecond() / top, true })
	hitRatio.Top, rate.Top = "100 %", number64(top)
	return hitRatio, rate
}

func windowOf(spans []span, now time.Time) time.Duration {
	longest := windows[len(windows)-1]
	if len(spans) == 0 {
		return windows[0]
	}
	past := now.Sub(spans[0].from)
	if i := slices.IndexFunc(windows, func(w time.Duration) bool { return w >= past }); i >= 0 {
		return windows[i]
	}
	return longest
}

// draw returns a curve with a step for each span. value returns a number from 0 to 1, or false to leave a gap.
func draw(spans []span, now time.Time, window time.Duration, value func(span) (float64, bool)) chart {
	var line, area strings.Builder
	end := math.Inf(-1) // of the step before
	closeArea := func() {
		if !math.IsInf(end, -1) {
			fmt.Fprintf(&area, "V%dZ", chartHeight)
		}
	}
	x := func(t time.Time) float64 {
		return chartWidth * max(0, 1-now.Sub(t).Seconds()/window.Seconds())
	}
	for _, s := range spans {
		v, ok := value(s)
		from, to := x(s.from), x(s.to)
		if !ok || to <= 0 {
			continue
		}
		y := chartHeight * (1 - min(1, v))
		if from != end {
			closeArea()
			fmt.Fprintf(&line, "M%.1f %.1f", from, y)
			fmt.Fprintf(&area, "M%.1f %d", from, chartHeight)
		}
		fmt.Fprintf(&line, "V%.1fH%.1f", y, to)
		fmt.Fprintf(&area, "V%.1fH%.1f", y, to)
		end = to
	}
	closeArea()
	return chart{Line: line.String(), Area: area.String(), Window: window}
}

// roundUp returns the next of 1, 2 and 5, times a power of ten.
func roundUp(v float64) float64 {
	if v <= 1 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, step := range []float64{1, 2, 5} {
		if v <= step*unit {
			return step * unit
		}
	}
	return 10 * unit
}

// sumOf returns the sum of the spans that end within the window before now.
func sumOf(spans []span, now time.Time, window time.Duration) span {
	var sum span
	for _, s := range spans {
		if now.Sub(s.to) >= window {
			continue
		}
		if sum.from.IsZero() {
			sum.from = s.from
		}
		sum.to = s.to
		sum.hits += s.hits
		sum.misses += s.misses
	}
	return sum
}
