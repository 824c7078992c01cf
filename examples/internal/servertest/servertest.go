// Package servertest runs the servers of the examples in tests.
package servertest

import (
	"context"
	"os"
	"os/exec"
	"testing"

	"github.com/peerpool/peerpool/examples/internal/server"
)

// Need returns the paths of programs. One that is not installed skips the test with a line that says what to
// install; unless PEERPOOL_REQUIRE_SERVERS=1 says that it should be there, and it is none of the heavy ones.
func Need(t testing.TB, programs ...server.Program) []string {
	t.Helper()
	var paths []string
	for _, p := range programs {
		path, err := p.Find()
		switch {
		case err == nil:
			paths = append(paths, path)
		case os.Getenv("PEERPOOL_REQUIRE_SERVERS") == "1" && !p.Heavy:
			t.Fatal(err)
		default:
			t.Skip(err)
		}
	}
	return paths
}

// Addr returns an address on loopback that nobody listens on now.
func Addr(t testing.TB) string {
	t.Helper()
	addr, err := server.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// Start runs a server until the test ends, and shows what it has printed if the test has failed.
func Start(t testing.TB, cmd *exec.Cmd, ready func(context.Context) error) *server.Process {
	t.Helper()
	p, err := server.Start(t.Context(), cmd, ready)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Stop()
		if t.Failed() {
			t.Logf("%s said:\n%s", cmd.Args[0], p.Output())
		}
	})
	return p
}
