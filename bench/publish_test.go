package main

import (
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// publishedReport holds one comparison of the README, and one that the README does not show.
func publishedReport() report {
	ratio := func(who candidate, median, cpu float64) row {
		return row{
			Candidate: who, Rounds: 5, Ratio: &span{Median: median, Min: median, Max: median},
			Figures: map[string]span{"cpu": {Median: cpu}, "allocs": {Median: cpu}},
		}
	}
	return report{
		Environment: environmentReport{
			Started: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC), Go: "go1.26.8", OS: "linux", Arch: "amd64",
			CPU: "Example CPU", CPUs: 2, Rounds: 5, Versions: map[string]string{"reqwest": "0.13.5", "fasthttp": "1.74.0"},
		},
		Suites: []suiteReport{{Name: "requests", Comparisons: []comparisonReport{
			{
				Name: "GET, 16 callers", Baseline: netHTTP, Metric: "cpu", Scatter: &span{Median: 1, Min: 0.9, Max: 1.1},
				Rows: []row{ratio(netHTTP, 1, 37), ratio(again, 1.01, 37), ratio(ours, 0.4567, 4), ratio(reqwest, 0.93, 9), ratio(bare, 0.3, 0)},
			},
			{Name: "GET, 1,024 callers", Baseline: netHTTP, Metric: "cpu", Rows: []row{ratio(netHTTP, 1, 1), ratio(hertz, 0.77, 1)}},
		}}},
	}
}

func TestTheREADMEGetsTheFiguresBetweenItsMarks(t *testing.T) {
	text, err := replaceFigures("# Title\n\n"+headlineBegin+headlineEnd+figuresBegin+"old\n"+figuresEnd+"\nThe rest.\n", publishedReport())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"# Title\n", "\nThe rest.\n", "28 November 2026", "go1.26.8", "2 CPUs (Example CPU)", "5 rounds", "fasthttp 1.74.0, reqwest 0.13.5",
		"| CPU time of the client, net/http's being 1 | peerpool | reqwest | bare socket | net/http itself |\n",
		"|  | HTTP/1.1, 16 callers |\n|---|---|\n| peerpool, net/http being 1 | 0.46 |\n",
		"| GET, 16 callers | 0.46 | 0.93 | 0.30 | 0.90 to 1.10 |\n",
		"| allocations of a GET with 4 response fields | 37 | 4 |  | 0 |\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q:\n%s", want, text)
		}
	}
	for _, unwanted := range []string{"old\n", "hertz"} {
		if strings.Contains(text, unwanted) {
			t.Errorf("it says %q:\n%s", unwanted, text)
		}
	}
	again, err := replaceFigures(text, publishedReport())
	if err != nil || again != text {
		t.Errorf("a second time it becomes (error %v):\n%s", err, again)
	}
}

func TestAREADMEWithoutMarksIsLeftAlone(t *testing.T) {
	if _, err := replaceFigures("# Title\n", publishedReport()); err == nil {
		t.Error("no error")
	}
}

func TestAShortRunIsNotPublished(t *testing.T) {
	r := publishedReport()
	r.Environment.Short = true
	if err := publish(t.TempDir(), r); err == nil || !strings.Contains(err.Error(), "-short") {
		t.Errorf("the error is %v", err)
	}
}

func TestThePictureOfTheREADMEIsXMLAndShowsTheCheapestFirst(t *testing.T) {
	picture := drawCost(publishedReport())
	if err := xml.Unmarshal([]byte(picture), new(struct{})); err != nil {
		t.Fatal(err)
	}
	oursAt, reqwestAt, netHTTPAt := strings.Index(picture, ">peerpool<"), strings.Index(picture, ">reqwest<"), strings.Index(picture, ">net/http<")
	if oursAt < 0 || oursAt > reqwestAt || reqwestAt > netHTTPAt {
		t.Errorf("peerpool is at %d, reqwest at %d, net/http at %d", oursAt, reqwestAt, netHTTPAt)
	}
	if strings.Contains(picture, ">bare socket<") {
		t.Error("the bare socket, which is not a client, is drawn")
	}
}

// TestWhatIsPublishedIsMeasured compares the tables of the README with the suites. Without this test, a comparison that is
// renamed would vanish from the README unnoticed.
func TestWhatIsPublishedIsMeasured(t *testing.T) {
	names := map[published]bool{}
	for _, s := range suites {
		for _, c := range s.comparisons(false) {
			names[published{suite: s.name, name: c.name}] = true
		}
	}
	wanted := append([]published(nil), publishedRatios...)
	for _, p := range publishedFigures {
		wanted = append(wanted, p.published)
	}
	for _, p := range slices.Concat(wanted, costPanels, headlines) {
		if !names[published{suite: p.suite, name: p.name}] {
			t.Errorf("suite %s has no comparison %q", p.suite, p.name)
		}
	}
}

func TestAnEarlierRunIsShownWithoutMeasuring(t *testing.T) {
	file := filepath.Join(t.TempDir(), "results.json")
	if err := writeJSON(file, io.Discard, publishedReport()); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := run(t.Context(), []string{"-from", file}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Example CPU", "GET, 16 callers", "0.46", "SCATTER"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, out.String())
		}
	}
}

// TestTheREADMEShowsTheFiguresOfTheResults holds the repository's README and picture to results.json.
func TestTheREADMEShowsTheFiguresOfTheResults(t *testing.T) {
	r, err := readReport("results.json")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	updated, err := replaceFigures(string(text), r)
	if err != nil {
		t.Fatal(err)
	}
	picture, err := os.ReadFile("../docs/cost.svg")
	if err != nil {
		t.Fatal(err)
	}
	if updated != string(text) || drawCost(r) != string(picture) {
		t.Errorf("run: cd bench && go run . -from results.json -publish ..")
	}
}
