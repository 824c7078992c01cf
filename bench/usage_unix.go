//go:build unix

package main

import (
	"syscall"
	"time"
)

// processTimes returns the user and system time of this process, all threads together.
func processTimes() (user, sys time.Duration, ok bool) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, 0, false
	}
	return time.Duration(u.Utime.Nano()), time.Duration(u.Stime.Nano()), true
}
