package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/peerpool/peerpool/examples/connect/conformance/pooled"
	"github.com/peerpool/peerpool/examples/internal/server"
	"github.com/peerpool/peerpool/examples/internal/servertest"
)

func TestAllCasesPassOnConnectionsThatAreKept(t *testing.T) {
	if testing.Short() {
		t.Skip("the suite takes a minute")
	}
	runner := servertest.Need(t, server.Conformance)[0]
	v, err := judge(t.Context(), t.Output(), "peerpool", ours, runner, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if v.failed > 0 || v.passed < 4000 {
		t.Errorf("%d cases passed, %d failed", v.passed, v.failed)
	}
	if c := v.counts; c.Connections == 0 || c.Connections > c.Requests/2 {
		t.Errorf("%d requests on %d connections: they were not kept", c.Requests, c.Connections)
	}
}

func TestFailuresAreReadFromWhatTheSuitePrints(t *testing.T) {
	v, err := parse([]byte("FAILED: Basic/a/b:\n\tbroken\nFAILED: Basic/c\nTotal cases: 7\n5 passed, 2 failed\n"))
	if err != nil || v.passed != 5 || v.failed != 2 || !slices.Equal(v.failures, []string{"Basic/a/b", "Basic/c"}) {
		t.Errorf("%+v, %v", v, err)
	}
	if _, err := parse([]byte("panic: no memory")); err == nil || !strings.Contains(err.Error(), "no memory") {
		t.Errorf("a suite that broke off: %v", err)
	}
}

func TestAnEditThatDoesNotFitIsAnError(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f.go"), []byte("a a"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := (edit{file: "f.go", old: "a", new: "b", times: 1}).apply(dir); err == nil {
		t.Error("a text that is there twice was taken for one that is there once")
	}
	if err := (edit{file: "f.go", old: "a", new: "b", times: 2}).apply(dir); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "f.go")); string(got) != "b b" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestTheReportsOfAllProcessesAreAddedUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report")
	lines := `{"Requests":3,"Connections":1,"Attempts":4,"Reused":2,"Retries":1}` + "\n" + `{"Requests":1,"Attempts":1}` + "\n"
	if err := os.WriteFile(path, []byte(lines), 0o644); err != nil {
		t.Fatal(err)
	}
	want := pooled.Counts{Requests: 4, Connections: 1, Attempts: 5, Reused: 2, Retries: 1}
	if got, err := readCounts(path); got != want || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
}
