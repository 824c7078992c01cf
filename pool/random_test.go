package pool

import (
	"flag"
	"os"
	"testing"
)

// TestMain makes the random tests draw the same in each run, so that they fail only because of a change of the code. The flags
// -rapid.seed and -rapid.checks make them draw something else, and more of it.
func TestMain(m *testing.M) {
	flag.Parse()
	if seed := flag.Lookup("rapid.seed"); seed.Value.String() == "0" {
		_ = seed.Value.Set("1")
	}
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		_ = checks.Value.Set("200")
	}
	os.Exit(m.Run())
}
