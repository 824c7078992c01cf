// Package servertest finds the servers of the examples for their tests.
package servertest

import (
	"os"
	"testing"

	"github.com/peerpool/peerpool/examples/internal/server"
)

// Need returns the paths of programs. If one is not installed, Need skips the test with a line that says what to install. With
// PEERPOOL_REQUIRE_SERVERS=1 it fails the test, unless the program is optional.
func Need(t testing.TB, programs ...server.Program) []string {
	t.Helper()
	var paths []string
	for _, p := range programs {
		path, err := p.Find()
		switch {
		case err == nil:
			paths = append(paths, path)
		case os.Getenv("PEERPOOL_REQUIRE_SERVERS") == "1" && !p.Optional:
			t.Fatal(err)
		default:
			t.Skip(err)
		}
	}
	return paths
}
