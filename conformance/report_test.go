package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var all = regexp.MustCompile("")

// setRules gives the program tables of its own for the time of a test.
func setRules(t *testing.T) {
	oldExpected, oldLeftOut, oldAdaptations := expected, leftOut, adaptations
	t.Cleanup(func() { expected, leftOut, adaptations = oldExpected, oldLeftOut, oldAdaptations })
	expected = []rule{{"TestMeant/h1", "a rule of ours"}, {"TestMeantToo", "another rule"}}
	leftOut = []rule{{"TestInside", "looks inside"}}
	adaptations = []adaptation{{"TestFine", "net/http.X", "Y", "it is better so"}}
}

// perfect returns a plan and outcomes in which every rule has been kept, and one test more has passed.
func perfect(t *testing.T) (*plan, map[job]*outcome) {
	setRules(t)
	p := &plan{suite: &suite{name: "net/http"}, leftOut: make(map[string]string), applied: make(map[adaptation]bool)}
	outcomes := make(map[job]*outcome)
	for _, a := range adaptations {
		p.applied[a] = true
	}
	for _, l := range leftOut {
		p.leftOut[l.test] = l.why
	}
	for _, e := range expected {
		top, _, _ := strings.Cut(e.test, "/")
		p.tests = append(p.tests, top)
		outcomes[job{p, top}] = &outcome{statuses: map[string]string{top: "FAIL", e.test: "FAIL"}}
	}
	p.tests = append(p.tests, "TestFine")
	outcomes[job{p, "TestFine"}] = &outcome{statuses: map[string]string{"TestFine": "PASS"}}
	return p, outcomes
}

func report126(p *plan, outcomes map[job]*outcome) *report {
	return newReport("go1.26.8", []*plan{p}, outcomes, nil, all)
}

func TestAReportInWhichEveryRuleWasKeptIsGood(t *testing.T) {
	r := report126(perfect(t))
	if !r.ok() || r.Passed != 1 || r.Failed != 2 || r.Documented != 2 || r.LeftOut != 1 {
		t.Errorf("%+v", r)
	}
}

func TestAFailureWithoutARuleIsBad(t *testing.T) {
	p, outcomes := perfect(t)
	outcomes[job{p, "TestFine"}].statuses = map[string]string{"TestFine": "PASS", "TestFine/h1": "PASS", "TestFine/h2": "FAIL"}
	if r := report126(p, outcomes); r.ok() || r.Failed != r.Documented+1 {
		t.Errorf("%+v", r)
	}
}

func TestAnExpectedFailureThatPassesIsBad(t *testing.T) {
	p, outcomes := perfect(t)
	e := expected[0]
	top, _, _ := strings.Cut(e.test, "/")
	outcomes[job{p, top}].statuses = map[string]string{top: "PASS", e.test: "PASS"}
	r := report126(p, outcomes)
	if r.ok() || len(r.Mistakes) != 1 {
		t.Fatalf("mistakes %q", r.Mistakes)
	}
	wantIn(t, r.Mistakes[0], e.test, e.why)
}

func TestAnExpectedFailureThatDoesNotRunIsBad(t *testing.T) {
	p, outcomes := perfect(t)
	top, _, _ := strings.Cut(expected[0].test, "/")
	delete(outcomes, job{p, top})
	if r := report126(p, outcomes); r.ok() {
		t.Errorf("%+v", r)
	}
}

func TestATestLeftOutWithoutARuleIsBadWhereTheRulesAreMade(t *testing.T) {
	p, outcomes := perfect(t)
	p.leftOut["TestNew"], p.unasked = "does not compile: at all", []string{"TestNew"}
	r := report126(p, outcomes)
	if r.ok() || len(r.Mistakes) != 1 {
		t.Fatalf("mistakes %q", r.Mistakes)
	}
	wantIn(t, r.Mistakes[0], "TestNew", "does not compile: at all")
	if r := newReport("go1.27.0", []*plan{p}, outcomes, nil, all); !r.ok() {
		t.Errorf("with another Go: %q", r.Mistakes)
	}
}

func TestARuleThatNothingCameUnderIsBad(t *testing.T) {
	p, outcomes := perfect(t)
	delete(p.leftOut, leftOut[0].test)
	p.applied[adaptations[0]] = false
	r := report126(p, outcomes)
	if r.ok() || len(r.Mistakes) != 2 {
		t.Errorf("mistakes %q", r.Mistakes)
	}
}

func TestARunOfSomeTestsLooksForNoStaleRules(t *testing.T) {
	p, outcomes := perfect(t)
	only := map[job]*outcome{{p, "TestFine"}: outcomes[job{p, "TestFine"}]}
	r := newReport("go1.26.8", []*plan{p}, only, nil, regexp.MustCompile("Fine"))
	if !r.ok() || r.Passed != 1 || r.LeftOut != 0 {
		t.Errorf("%+v", r)
	}
}

func TestAReportWithoutAnyTestIsBad(t *testing.T) {
	if r := newReport("go1.26.8", nil, nil, nil, regexp.MustCompile("NoSuchTest")); r.ok() {
		t.Errorf("%+v", r)
	}
}

func TestTheReportEndsWithTheSum(t *testing.T) {
	p, outcomes := perfect(t)
	p.tests = append(p.tests, "TestWrong")
	outcomes[job{p, "TestWrong"}] = judge("TestWrong", []byte("\x16=== RUN   TestWrong\n    a_test.go:7: wrong\n\x16--- FAIL: TestWrong (0.00s)\nFAIL\n"), errExit)
	r := newReport("go1.26.8", []*plan{p}, outcomes, []job{{p, "TestFine"}}, all)
	var text bytes.Buffer
	r.print(&text)
	wantIn(t, text.String(), "FAILED      net/http TestWrong\n            a_test.go:7: wrong\n",
		"documented  net/http "+expected[0].test, "left out    net/http "+leftOut[0].test, "FLAKY       TestFine")
	lines := strings.Split(strings.TrimSpace(text.String()), "\n")
	if got, want := lines[len(lines)-1], "passed 1 of 4, failed 3 (of which 2 documented in docs/differences.md), left out 1"; got != want {
		t.Errorf("the last line is\n%s\nwant\n%s", got, want)
	}
}

func TestTheReportIsJSONToo(t *testing.T) {
	want := report126(perfect(t))
	var text bytes.Buffer
	if err := want.printJSON(&text); err != nil {
		t.Fatal(err)
	}
	var got report
	if err := json.Unmarshal(text.Bytes(), &got); err != nil || got.Passed != want.Passed || !slices.Equal(got.Results, want.Results) {
		t.Errorf("%v\n%s", err, &text)
	}
}

func TestEveryExpectedFailureQuotesTheDifferences(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "docs", "differences.md"))
	if err != nil {
		t.Fatal(err)
	}
	unwrapped := strings.Join(strings.Fields(string(text)), " ")
	for _, e := range expected {
		if !strings.Contains(unwrapped, e.why) {
			t.Errorf("docs/differences.md does not say %q, for which %s is expected to fail", e.why, e.test)
		}
	}
}
