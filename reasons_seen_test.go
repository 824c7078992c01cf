package peerpool

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
)

// TestMain fails the run if a connection was closed in any test for a reason that CloseReasons does not list. A program that
// counts by that list, as a Prometheus collector does, would lose the close.
//
// The tests speak HTTP/2, so it is on: the last of several settings counts, whatever the environment says.
func TestMain(m *testing.M) {
	os.Setenv("GODEBUG", os.Getenv("GODEBUG")+",http2client=1")
	var mu sync.Mutex
	seen := make(map[CloseReason]bool)
	reasonSeen = func(reason CloseReason) {
		mu.Lock()
		defer mu.Unlock()
		seen[reason] = true
	}
	code := m.Run()
	mu.Lock()
	defer mu.Unlock()
	for reason := range seen {
		if !slices.Contains(CloseReasons(), reason) {
			fmt.Fprintf(os.Stderr, "--- FAIL: connections were closed as %q, which CloseReasons does not list\n", reason)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}
