package main

import (
	"math"
	"slices"
)

// span is a median with the range around it.
type span struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// spanOf returns the span of some figures, of which there must be one at least.
func spanOf(figures []float64) span {
	sorted := slices.Sorted(slices.Values(figures))
	n := len(sorted)
	median := sorted[n/2]
	if n%2 == 0 {
		median = (sorted[n/2-1] + median) / 2
	}
	return span{Median: median, Min: sorted[0], Max: sorted[n-1]}
}

// ratios returns the span of the ratios of what was measured in the same round, so that a slow moment of the
// machine weighs on both sides of a ratio. A round without anything to divide by, as a difference may come to, does
// not count; it is false where not even half of the rounds do.
func ratios(figures, base []float64) (span, bool) {
	if len(figures) != len(base) {
		return span{}, false
	}
	var all []float64
	for i, b := range base {
		if b > 0 {
			all = append(all, figures[i]/b)
		}
	}
	if 2*len(all) <= len(base) {
		return span{}, false
	}
	return spanOf(all), true
}

// quantile returns the smallest of the sorted figures that a share q of them does not exceed.
func quantile[T any](sorted []T, q float64) T {
	i := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}

// rounded is what a table shows of v, so that a target is held against the same figure that a reader sees.
func rounded(v float64, digits int) float64 {
	scale := math.Pow10(digits)
	return math.Round(v*scale) / scale
}
