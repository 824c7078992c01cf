package main

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestABucketHoldsDurationsThatDifferByLittle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, "d"))
		if top := highest(bucketOf(d)); top < d || top-d > d/steps {
			t.Errorf("%d falls into a bucket that ends at %d", d, top)
		}
	})
}

func TestBucketsAreInOrderAndWithoutGaps(t *testing.T) {
	for i := range buckets - 1 {
		if top := highest(i); bucketOf(top) != i || bucketOf(top+1) != i+1 {
			t.Fatalf("bucket %d ends at %d, which lies in %d, and is followed by %d", i, top, bucketOf(top), bucketOf(top+1))
		}
	}
	if bucketOf(math.MaxInt64) != buckets-1 {
		t.Errorf("the longest duration lies in bucket %d of %d", bucketOf(math.MaxInt64), buckets)
	}
}

func TestAQuantileIsAtMostAFewPercentTooHigh(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Int64Range(0, int64(time.Hour)), 1, 200).Draw(t, "durations")
		share := rapid.Float64Range(0.01, 1).Draw(t, "share")
		var h histogram
		for _, d := range all {
			h.add(time.Duration(d))
		}
		slices.Sort(all)
		exact := time.Duration(all[int(math.Ceil(share*float64(len(all))))-1])
		if got := h.quantile(share); got < exact || got-exact > exact/steps {
			t.Errorf("quantile %v is %v, want %v", share, got, exact)
		}
		if h.quantile(1) != time.Duration(all[len(all)-1]) {
			t.Errorf("the maximum is %v, want %v", h.quantile(1), all[len(all)-1])
		}
	})
}

func TestAnEmptyHistogramHasNoQuantiles(t *testing.T) {
	if got := new(histogram).quantile(0.5); got != 0 {
		t.Errorf("median of nothing: %v", got)
	}
}

func TestTheTallyDoesNotGrowWithTheNumberOfRequests(t *testing.T) {
	var tl tally
	r := result{status: 200, bytes: 1, latency: time.Millisecond}
	tl.add(r)
	n := testing.AllocsPerRun(1000, func() {
		r.latency += time.Microsecond
		tl.add(r)
	})
	if n != 0 {
		t.Errorf("%v allocations for an answered request", n)
	}
}
