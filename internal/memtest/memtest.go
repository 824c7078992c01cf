// Package memtest measures memory in tests of several packages. Only tests import it.
package memtest

import (
	"math"
	"runtime"
)

// HeapInUse collects garbage, also what is in a sync.Pool, and returns how many bytes of the heap are in use.
func HeapInUse() int64 {
	for range 3 { // what a sync.Pool holds goes with the second collection
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BytesPerRun returns how many bytes of the heap a call of f takes, as testing.AllocsPerRun does for the number of
// allocations. It calls f once before it measures. All goroutines count. So that those of the runtime do not, BytesPerRun
// measures three times, and returns the lowest result.
func BytesPerRun(runs int, f func()) uint64 {
	f()
	lowest := uint64(math.MaxUint64)
	for range 3 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			f()
		}
		runtime.ReadMemStats(&after)
		lowest = min(lowest, (after.TotalAlloc-before.TotalAlloc)/uint64(runs))
	}
	return lowest
}
