// Package memtest measures memory in tests of several packages. Only tests import it.
package memtest

import "runtime"

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
// allocations. It calls f once before it measures. All goroutines count.
func BytesPerRun(runs int, f func()) uint64 {
	f()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		f()
	}
	runtime.ReadMemStats(&after)
	return (after.TotalAlloc - before.TotalAlloc) / uint64(runs)
}
