package parity_test

import (
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
)

var (
	_ testkit.Transport = (*http.Transport)(nil)
	_ testkit.Transport = (*peerpool.Transport)(nil)
)

// sideBySideInBubble is sideBySide with a clock of its own. Servers listen in memory.
func sideBySideInBubble(t *testing.T, scenario func(s *testkit.Scene)) {
	t.Helper()
	testkit.Compare(t, scenario, synctest.Test, synctest.Test)
}
