package soak

import (
	"fmt"
	"os"
	"runtime"
	"time"
)

// census counts what a run must give back.
type census struct{ goroutines, descriptors int }

func takeCensus() census {
	return census{runtime.NumGoroutine(), openDescriptors()}
}

// openDescriptors counts those of the process, where the system lists them; -1: it does not.
func openDescriptors() int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return -1
	}
	return len(list)
}

// waitForReturn waits until there is not more than there was, for a while at most, and says what is left; "": nothing.
func (c census) waitForReturn(settle time.Duration) string {
	for end := time.Now().Add(settle); ; time.Sleep(10 * time.Millisecond) {
		now := takeCensus()
		if now.goroutines <= c.goroutines && now.descriptors <= c.descriptors {
			return ""
		}
		if time.Now().After(end) {
			return fmt.Sprintf("%d goroutines and %d descriptors, before: %d and %d",
				now.goroutines, now.descriptors, c.goroutines, c.descriptors)
		}
	}
}
