// Command api writes the exported API of this module into api/next.txt:
//
//	go run ./api
//
// The file is under version control, so that a change of the API is a change that a reviewer sees. A test in docs fails
// while the file differs from the API.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/peerpool/peerpool/internal/apilist"
)

func main() {
	if err := write(); err != nil {
		fmt.Fprintln(os.Stderr, "api:", err)
		os.Exit(1)
	}
}

// write lists the packages of the current directory, which must be the root of the module.
func write() error {
	lines, err := apilist.List(".")
	if err != nil {
		return err
	}
	return os.WriteFile("api/next.txt", []byte(strings.Join(lines, "\n")+"\n"), 0o644)
}
