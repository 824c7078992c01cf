package main

import (
	"bytes"
	"io"
	"os"
	"regexp"
	"testing"
	"time"
)

func TestBadArgumentsAreRefused(t *testing.T) {
	for _, args := range [][]string{{"-run", "("}, {"TestA"}, {"-count", "0"}, {"-timeout", "-1s"}, {"-unknown"}} {
		var said bytes.Buffer
		if _, err := parseOptions(args, &said); err == nil || said.Len() == 0 {
			t.Errorf("%q: error %v, said %q", args, err, &said)
		}
	}
}

func TestTheDefaultsRunEverythingOnce(t *testing.T) {
	opts, err := parseOptions(nil, io.Discard)
	if err != nil || opts.run.String() != "" || opts.count != 1 || opts.timeout != 30*time.Second {
		t.Errorf("%+v, %v", opts, err)
	}
}

func TestADownloadedToolchainGetsAnotherName(t *testing.T) {
	tc := &toolchain{temp: t.TempDir(), command: "go"}
	cache := t.TempDir()
	if root, err := tc.settle("/usr/lib/go", cache); err != nil || root != "/usr/lib/go" || tc.command != "go" {
		t.Errorf("elsewhere: %s, %v, command %s", root, err, tc.command)
	}
	root, err := tc.settle(cache+"/toolchain", cache)
	if err != nil {
		t.Skip("no symbolic links here: ", err)
	}
	if target, err := os.Readlink(root); err != nil || target != cache+"/toolchain" {
		t.Errorf("%s leads to %s, %v", root, target, err)
	}
}

// TestTheToolchainsOwnTests is what "go run ./conformance" does, for some tests that need each kind of stand-in.
func TestTheToolchainsOwnTests(t *testing.T) {
	if os.Getenv("PEERPOOL_CONFORMANCE") == "" {
		t.Skip("builds and runs tests of net/http: set PEERPOOL_CONFORMANCE=1")
	}
	match := "^(TestTransport(Clone|IdleCacheKeys|MaxConnsPerHostDialCancellation)|TestRetryRequestsOnError" +
		"|TestClientTimeoutCancel|TestReverseProxy)$"
	opts := &options{run: regexp.MustCompile(match), timeout: 30 * time.Second, count: 1}
	r, err := conform(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if !r.ok() || r.Passed < 6 {
		var text bytes.Buffer
		r.print(&text)
		t.Errorf("%s", &text)
	}
}
