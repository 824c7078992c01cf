package httptestutil

import (
	"testing"
	"time"
)

// CheckLeaksWithin is CheckLeaks with less patience.
func CheckLeaksWithin(t testing.TB, bound time.Duration, parts ...string) {
	checkLeaks(t, bound, parts)
}
