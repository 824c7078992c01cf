package main

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
)

var errExit = errors.New("exit status 1")

// judged lists the leaves of an outcome as "name status".
func judged(o *outcome) string {
	var list []string
	for _, r := range leaves("net/http", o) {
		list = append(list, r.Test+" "+r.Status)
	}
	return strings.Join(list, ", ")
}

func TestAProcessIsJudgedByItsLeaves(t *testing.T) {
	for _, tt := range []struct {
		name, output string
		err          error
		want         string
	}{
		{"all pass", "\x16=== RUN   TestA\n\x16=== RUN   TestA/h1\n\x16=== RUN   TestA/h2\n\x16--- PASS: TestA (0.01s)\n\x16    --- PASS: TestA/h1 (0.01s)\n\x16    --- SKIP: TestA/h2 (0.00s)\nPASS\n", nil,
			"TestA/h1 PASS, TestA/h2 SKIP"},
		{"one fails", "\x16=== RUN   TestA\n\x16=== RUN   TestA/h1\n\x16=== RUN   TestA/h2\n\x16--- FAIL: TestA (0.01s)\n\x16    --- FAIL: TestA/h1 (0.01s)\n\x16    --- PASS: TestA/h2 (0.00s)\nFAIL\n", errExit,
			"TestA/h1 FAIL, TestA/h2 PASS"},
		{"the parent fails by itself", "\x16=== RUN   TestA\n\x16=== RUN   TestA/h1\n\x16--- FAIL: TestA (0.01s)\n\x16    --- PASS: TestA/h1 (0.01s)\nFAIL\n", errExit,
			"TestA FAIL, TestA/h1 PASS"},
		{"one hangs", "\x16=== RUN   TestA\n\x16=== RUN   TestA/h1\n\x16=== RUN   TestA/h2\n\x16    --- PASS: TestA/h1 (0.01s)\npanic: test timed out after 1s\n", errExit,
			"TestA/h1 PASS, TestA/h2 FAIL"},
		{"goroutines are left", "\x16=== RUN   TestA\n\x16--- PASS: TestA (0.01s)\nPASS\nToo many goroutines running after net/http test(s).\n", errExit,
			"TestA FAIL"},
		{"the test does not exist", "PASS\n", nil,
			"TestA FAIL"},
		{"one of two runs fails", "\x16=== RUN   TestA\n\x16=== RUN   TestA/h1\n\x16--- FAIL: TestA (0.01s)\n\x16    --- FAIL: TestA/h1 (0.01s)\n\x16=== RUN   TestA\n\x16=== RUN   TestA/h1\n\x16--- PASS: TestA (0.01s)\n\x16    --- PASS: TestA/h1 (0.01s)\nFAIL\n", errExit,
			"TestA/h1 FAIL"},
		{"a test prints what looks like a result", "\x16=== RUN   TestA\n--- FAIL: TestA (0.01s)\n\x16--- PASS: TestA (0.01s)\nPASS\n", nil,
			"TestA PASS"},
	} {
		if got := judged(judge("TestA", []byte(tt.output), tt.err)); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestAFailureShowsItsOwnFirstLines(t *testing.T) {
	o := judge("TestA", []byte("\x16=== RUN   TestA\n\x16=== RUN   TestA/h1\n    a_test.go:1: not mine\n\x16=== RUN   TestA/h2\n\x0f    a_test.go:2: mine\x0e\n\x16=== NAME  TestA/h1\n    a_test.go:3: not mine either\n\x16--- FAIL: TestA (0.01s)\n\x16    --- PASS: TestA/h1 (0.01s)\n\x16    --- FAIL: TestA/h2 (0.01s)\nFAIL\n"), errExit)
	if got := details("TestA/h2", o); got != "a_test.go:2: mine" {
		t.Errorf("details %q", got)
	}
}

func TestACrashIsTheFirstLineOfAFailure(t *testing.T) {
	o := judge("TestA", []byte("\x16=== RUN   TestA\n\x16panic: test timed out after 1s\ngoroutine 1\n"), errExit)
	if got, _, _ := strings.Cut(details("TestA", o), "\n"); got != "panic: test timed out after 1s" {
		t.Errorf("details begin with %q", got)
	}
}

func TestOnlyFailuresThatAreNotMeantCallForAnotherRun(t *testing.T) {
	setRules(t)
	top, mode, _ := strings.Cut(expected[0].test, "/")
	meant := &outcome{statuses: map[string]string{top: "FAIL", top + "/" + mode: "FAIL"}}
	if meant.failed() {
		t.Errorf("%s failed as it should, and the outcome counts as failed", expected[0].test)
	}
	unmeant := &outcome{statuses: maps.Clone(meant.statuses)}
	unmeant.statuses[top+"/other"] = "FAIL"
	if !unmeant.failed() {
		t.Errorf("%s/other failed, and the outcome does not count as failed", top)
	}
}

func TestTheEnvironmentOfTheTestsNamesNoProxy(t *testing.T) {
	got := testEnviron([]string{"PATH=/bin", "http_proxy=x", "HTTPS_PROXY=y", "GODEBUG=z", "HOME=/"})
	if want := []string{"PATH=/bin", "HOME=/"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
