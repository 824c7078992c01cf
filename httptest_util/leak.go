package httptestutil

import (
	"bytes"
	"fmt"
	"maps"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
)

// leakBound is how long goroutines and sockets of a test may take to go away.
const leakBound = 20 * time.Second

// CheckLeaks fails t if, at the end of the test, there are goroutines or
// sockets that did not exist when CheckLeaks was called. A goroutine counts
// if its stack contains one of parts, or "peerpool" if there are no parts.
// Sockets are checked only on Linux. CheckLeaks gives goroutines and sockets
// that are about to end some seconds.
//
// Call CheckLeaks first in a test. Cleanups run in reverse order, and those
// of the servers and clients of the test must run before CheckLeaks looks.
// CheckLeaks looks at the whole process, so nothing may run in parallel with
// the test.
func CheckLeaks(t testing.TB, parts ...string) {
	t.Helper()
	if len(parts) == 0 {
		parts = []string{"peerpool"}
	}
	checkLeaks(t, leakBound, parts)
}

func checkLeaks(t testing.TB, bound time.Duration, parts []string) {
	t.Helper()
	goroutines, sockets := goroutinesWith(parts), openSockets()
	t.Cleanup(func() {
		t.Helper()
		leaked := func() []string {
			return append(added(goroutines, goroutinesWith(parts)), added(sockets, openSockets())...)
		}
		for _, l := range lasting(leaked, bound) {
			t.Errorf("httptestutil: leaked %s", l)
		}
	})
}

// lasting calls leaked until it returns nothing, or until bound has passed.
// It returns what the last call returned.
func lasting(leaked func() []string, bound time.Duration) []string {
	// A collection would run finalizers, and these close forgotten sockets.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	giveUp := time.NewTimer(bound)
	defer giveUp.Stop()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		left := leaked()
		if len(left) == 0 {
			return nil
		}
		select {
		case <-again.C:
		case <-giveUp.C:
			return left
		}
	}
}

// added returns what after has and before has not, in the order of its keys.
func added(before, after map[string]string) []string {
	var names []string
	for _, key := range slices.Sorted(maps.Keys(after)) {
		if _, known := before[key]; !known {
			names = append(names, after[key])
		}
	}
	return names
}

// goroutinesWith returns the stacks that contain one of parts, by the
// goroutine's number. The calling goroutine is left out.
func goroutinesWith(parts []string) map[string]string {
	stacks := map[string]string{}
	for i, stack := range strings.Split(string(allStacks()), "\n\n") {
		// "goroutine 17 [select]:"; the first one is the caller's.
		fields := strings.Fields(stack)
		if i == 0 || len(fields) < 2 {
			continue
		}
		if slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(stack, part) }) {
			stacks[fields[1]] = fmt.Sprintf("a goroutine:\n%s", stack)
		}
	}
	return stacks
}

func allStacks() []byte {
	for size := 1 << 18; ; size *= 2 {
		buf := make([]byte, size)
		if n := runtime.Stack(buf, true); n < size {
			return bytes.TrimSpace(buf[:n])
		}
	}
}
