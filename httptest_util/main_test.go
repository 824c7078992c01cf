package httptestutil_test

import (
	"os"
	"testing"
)

// TestMain turns HTTP/2 on, which some tests speak: the last of several settings counts, whatever the environment says.
func TestMain(m *testing.M) {
	os.Setenv("GODEBUG", os.Getenv("GODEBUG")+",http2client=1")
	os.Exit(m.Run())
}
