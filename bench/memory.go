package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
)

// memory is what this process holds at a moment, in bytes.
type memory struct {
	resident   int64 // 0: this system does not tell
	heap       int64
	goroutines int
}

// memoryNow returns what is held after everything that can go has gone. What a sync.Pool holds goes with the second
// collection.
func memoryNow() memory {
	debug.FreeOSMemory()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return memory{resident: residentBytes(), heap: int64(m.HeapAlloc), goroutines: runtime.NumGoroutine()}
}

// residentBytes returns the memory that the process has from the system, or 0 where there is no /proc.
func residentBytes() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
