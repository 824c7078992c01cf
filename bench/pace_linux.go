package main

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// newSleeper returns a sleep that wakes on time within some microseconds, where time.Sleep may be a millisecond
// late. It ties the calling goroutine to a thread that sleeps in the kernel; the goroutine ends with the thread.
func newSleeper() func(time.Duration) {
	runtime.LockOSThread()
	unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // without it, 50 µs late
	return func(d time.Duration) {
		t := unix.NsecToTimespec(d.Nanoseconds())
		unix.Nanosleep(&t, nil) // cut short by a signal, it is called again for the rest
	}
}
