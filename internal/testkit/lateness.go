package testkit

import (
	"testing"
	"time"
)

// slow is how late a goroutine may run on a machine that keeps up with a test.
const slow = 50 * time.Millisecond

// Lateness watches how late the machine runs a goroutine. Call the returned function when the part of a test is over whose
// result depends on that: it reports whether the machine has kept up, and logs it if it has not. Such a test then holds only
// what is so on a machine of any load.
func Lateness(t *testing.T) (keptUp func() bool) {
	const beat = 10 * time.Millisecond
	over, most := make(chan struct{}), make(chan time.Duration)
	go func() { // ends with the call of keptUp, or with the test
		late := time.Duration(0)
		for {
			begun := time.Now()
			select {
			case <-over:
				most <- late
				return
			case <-t.Context().Done():
				return
			case <-time.After(beat):
				late = max(late, time.Since(begun)-beat)
			}
		}
	}()
	return func() bool {
		over <- struct{}{}
		late := <-most
		if late > slow {
			t.Logf("a goroutine was late by %v: the machine is short of processor time", late)
		}
		return late <= slow
	}
}
