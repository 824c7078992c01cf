//go:build !linux

package main

import "time"

// newSleeper returns time.Sleep, which may be a millisecond late.
func newSleeper() func(time.Duration) { return time.Sleep }
