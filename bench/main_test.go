package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain lets the test binary be the processes of a comparison, as the command is.
func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		if err := playRole(role); err != nil {
			fmt.Fprintln(os.Stderr, role+":", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// TestEverySuiteMeasuresEveryCandidate runs the first comparison of each suite, small and once.
func TestEverySuiteMeasuresEveryCandidate(t *testing.T) {
	for _, s := range suites {
		t.Run(s.name, func(t *testing.T) {
			if s.unsupported != "" {
				t.Skip(s.unsupported)
			}
			c := s.comparisons(true)[0]
			r := runner{ctx: t.Context(), rounds: 1, progress: newProgress(io.Discard, settings{})}
			found, err := r.compare(s, c)
			if err != nil {
				t.Fatal(err)
			}
			if len(found.Rows) != len(c.candidates) {
				t.Fatalf("%d rows for %d candidates", len(found.Rows), len(c.candidates))
			}
			for _, row := range found.Rows {
				wantFigures(t, row, c.columns)
			}
		})
	}
}

func TestRunSelectsComparisonsByName(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-list", "-run", "^GET of 16 KiB|12 fields"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(out.String(), "net/http again"); got != 2 || !strings.Contains(out.String(), "GET, 12 fields") {
		t.Errorf("%d comparisons are listed, want 2:\n%s", got, out.String())
	}
}

// wantFigures wants a figure in every column that this system can fill.
func wantFigures(t *testing.T, r row, columns []string) {
	t.Helper()
	_, _, cpu := processTimes()
	for _, name := range columns {
		if _, ok := r.Figures[name]; ok || !cpu || name == "rss" && residentBytes() == 0 {
			continue
		}
		t.Errorf("%s has no figure for %q", r.Candidate, name)
	}
}

func TestARunPrintsWritesAndDrawsWhatItFound(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "found.json")
	var out bytes.Buffer
	err := run(t.Context(), []string{"-short", "-rounds", "1", "-suite", "latency", "-json", file, "-plot", dir}, &out, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"GET at half", "peerpool", "<= 0.80"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the tables do not say %q:\n%s", want, out.String())
		}
	}
	for _, verdict := range []string{"SCATTER", "TARGETS", "MISSED"} {
		if strings.Contains(out.String(), verdict) {
			t.Errorf("a short run, whose figures mean nothing, says %q:\n%s", verdict, out.String())
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var found report
	if err := json.Unmarshal(text, &found); err != nil {
		t.Fatal(err)
	}
	if len(found.Suites) != 1 || len(found.Suites[0].Comparisons) != len(latencyComparisons(true)) {
		t.Errorf("the JSON holds %+v", found.Suites)
	}
	picture, err := os.ReadFile(filepath.Join(dir, "latency.svg"))
	if err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal(picture, new(struct{})); err != nil {
		t.Errorf("the picture is no XML: %v", err)
	}
}

// during calls a function when a given text is written.
type during struct {
	said string
	call func()
}

func (d during) Write(p []byte) (int, error) {
	if strings.Contains(string(p), d.said) {
		d.call()
	}
	return len(p), nil
}

func TestARunThatIsInterruptedEndsItsProcesses(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := runner{ctx: ctx, rounds: 2, progress: &progress{w: during{"round 2 of 2", cancel}, terminal: true}}
	_, err := r.compare(poolSuite, poolSuite.comparisons(true)[0])
	if !errors.Is(err, context.Canceled) {
		t.Errorf("it ends with %v, want %v", err, context.Canceled)
	}
}

func TestAWorkerSaysWhatWentWrong(t *testing.T) {
	p, err := start(t.Context(), "", workerRole)
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	_, err = p.ask(job{Suite: "no such suite"})
	if err == nil || !strings.Contains(err.Error(), "no such suite") {
		t.Errorf("the worker says %v", err)
	}
}

func TestJSONOnStandardOutputIsAlone(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-short", "-rounds", "1", "-suite", "latency", "-json", "-"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	if !json.Valid(out.Bytes()) {
		t.Errorf("not JSON:\n%s", out.String())
	}
}

func TestTheListNamesEverySuite(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-list"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, s := range suites {
		if !strings.Contains(out.String(), "\n"+s.name) && !strings.HasPrefix(out.String(), s.name) {
			t.Errorf("the list does not name %q", s.name)
		}
	}
}

func TestABadCommandLineIsRefused(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-suite", "requests,nonsense"}, `no suite "nonsense"`},
		{[]string{"-run", "nonsense"}, "the name of no comparison matches"},
		{[]string{"-run", "("}, "-run: error parsing regexp"},
		{[]string{"-rounds", "0"}, "-rounds 0"},
		{[]string{"nonsense"}, `unexpected argument "nonsense"`},
		{[]string{"-nonsense"}, "not defined"},
	} {
		if _, err := parse(c.args, io.Discard); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.args, err, c.want)
		}
	}
	if _, err := parse([]string{"-h"}, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-h: %v", err)
	}
}

func TestASuiteThatCannotRunSaysWhy(t *testing.T) {
	if why := tooFewFiles(1024); !strings.Contains(why, "1024") {
		t.Errorf("with 1024 files: %q", why)
	}
	if why := tooFewFiles(1 << 20); why != "" {
		t.Errorf("with a million files: %q", why)
	}
	r := runner{ctx: t.Context(), rounds: 1, progress: newProgress(io.Discard, settings{})}
	found, err := r.suite(suite{name: "example", unsupported: "the reason"}, true)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	printSuite(&out, found)
	if !strings.Contains(out.String(), "not measured: the reason") {
		t.Errorf("it says %q", out.String())
	}
}
