package main

import (
	"math"
	"math/bits"
	"time"
)

// Latencies are kept in a histogram of a fixed size and not in a list, so ten million requests take no more memory than
// ten. Each power of two is divided into 64 steps. A quantile is therefore at most 1/64 (1.6 %) too high, and never too
// low. The maximum is exact.
const (
	stepBits = 6
	steps    = 1 << stepBits
	buckets  = steps * (64 - stepBits)
)

// histogram counts durations. The zero value is empty. It is not safe for concurrent use.
type histogram struct {
	counts [buckets]uint64
	total  uint64
	max    time.Duration
}

func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	h.counts[bucketOf(d)]++
	h.total++
	h.max = max(h.max, d)
}

// bucketOf returns the number of a duration's bucket. A bucket below 64 ns holds one value; later ones hold 2, 4, 8 and so on.
func bucketOf(d time.Duration) int {
	v := uint64(d)
	if v < steps {
		return int(v)
	}
	shift := bits.Len64(v) - 1 - stepBits
	return shift<<stepBits + int(v>>shift)
}

// highest returns the largest duration in a bucket.
func highest(bucket int) time.Duration {
	if bucket < steps {
		return time.Duration(bucket)
	}
	shift := bucket>>stepBits - 1
	step := uint64(bucket - shift<<stepBits)
	return time.Duration((step+1)<<shift - 1)
}

// quantile returns the smallest duration that at least this share of all durations does not exceed. It returns 0 if
// there are none.
func (h *histogram) quantile(share float64) time.Duration {
	rank := uint64(math.Ceil(share * float64(h.total)))
	var seen uint64
	for bucket, n := range h.counts {
		if seen += n; seen >= rank && seen > 0 {
			return min(highest(bucket), h.max)
		}
	}
	return 0
}
