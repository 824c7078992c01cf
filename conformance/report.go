package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// result is the result of one leaf: a test without subtests, or a test that failed by itself.
type result struct {
	Package string `json:"package"`
	Test    string `json:"test"`
	Status  string `json:"status"`            // "PASS", "FAIL", "SKIP" or "LEFT OUT"
	Rule    string `json:"rule,omitempty"`    // rule in docs/differences.md, for an expected failure
	Reason  string `json:"reason,omitempty"`  // why the test is left out
	Details string `json:"details,omitempty"` // the first lines of a failure
}

// report is the report about all tests.
type report struct {
	Go         string   `json:"go"`
	Passed     int      `json:"passed"`
	Failed     int      `json:"failed"`
	Documented int      `json:"documented"` // failed tests that are documented
	Skipped    int      `json:"skipped"`    // tests that skipped themselves
	LeftOut    int      `json:"leftOut"`
	Flaky      []string `json:"flaky,omitempty"`    // failed at first and passed alone
	Mistakes   []string `json:"mistakes,omitempty"` // in the tables of this program
	Results    []result `json:"results"`
}

// ok reports whether every test ended as expected, and the tables are right.
func (r *report) ok() bool { return r.Failed == r.Documented && len(r.Mistakes) == 0 }

// newReport sums up the tests that match. If all tests match, a rule that applied to no test is a mistake.
func newReport(version string, plans []*plan, outcomes map[job]*outcome, flaky []job, match *regexp.Regexp) *report {
	r := &report{Go: version}
	for _, p := range plans {
		for _, test := range p.tests {
			if o := outcomes[job{p, test}]; o != nil {
				r.Results = append(r.Results, leaves(p.suite.name, o)...)
			}
		}
		for _, test := range slices.Sorted(maps.Keys(p.leftOut)) {
			if match.MatchString(test) {
				out := result{Package: p.suite.name, Test: test, Status: "LEFT OUT", Reason: p.leftOut[test]}
				r.Results = append(r.Results, out)
			}
		}
		// Another Go version may have tests that nobody has looked at yet.
		if known(version) {
			for _, test := range p.unasked {
				r.Mistakes = append(r.Mistakes, test+" is left out, and rules.go has no reason for that: "+p.leftOut[test])
			}
		}
	}
	for _, j := range flaky {
		r.Flaky = append(r.Flaky, j.test)
	}
	r.count()
	if r.Passed+r.Failed == 0 {
		r.Mistakes = append(r.Mistakes, "no test ran")
	}
	if match.String() == "" && known(version) {
		r.findStaleRules(plans)
	}
	return r
}

// known reports whether the tables were made for this version of Go.
func known(version string) bool { return version == "go1.26" || strings.HasPrefix(version, "go1.26.") }

// leaves returns the results of the tests that count, sorted.
func leaves(pkg string, o *outcome) []result {
	parent, failedBelow := make(map[string]bool), make(map[string]bool)
	for name, status := range o.statuses {
		for up := path.Dir(name); up != "."; up = path.Dir(up) {
			parent[up] = true
			failedBelow[up] = failedBelow[up] || status == "FAIL"
		}
	}
	var results []result
	for _, name := range slices.Sorted(maps.Keys(o.statuses)) {
		status := o.statuses[name]
		if parent[name] && (status != "FAIL" || failedBelow[name]) {
			continue
		}
		r := result{Package: pkg, Test: name, Status: status}
		if status == "FAIL" {
			r.Details = details(name, o)
		}
		results = append(results, r)
	}
	return results
}

// maxDetails is the largest number of lines that are shown of a failure.
const maxDetails = 6

// details returns the first lines of the output of a failed test.
func details(test string, o *outcome) string {
	var lines []string
	if o.cause != "" {
		lines = append(lines, o.cause)
	}
	current := ""
	for line := range strings.Lines(o.output) {
		line = strings.TrimSpace(line)
		if line == o.cause {
			break // the stacks follow
		}
		if rest, ok := strings.CutPrefix(line, "=== "); ok {
			if fields := strings.Fields(rest); len(fields) > 1 {
				current = fields[1]
			}
			continue
		}
		if current == test && line != "" && line != "FAIL" && !strings.HasPrefix(line, "--- ") && len(lines) < maxDetails {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// expectation returns why a leaf is expected to fail, or "".
func expectation(test string) string {
	if i := slices.IndexFunc(expected, func(e rule) bool { return e.test == test }); i >= 0 {
		return expected[i].why
	}
	return ""
}

func (r *report) count() {
	for i := range r.Results {
		switch result := &r.Results[i]; result.Status {
		case "PASS":
			r.Passed++
		case "SKIP":
			r.Skipped++
		case "LEFT OUT":
			r.LeftOut++
		case "FAIL":
			r.Failed++
			if result.Rule = expectation(result.Test); result.Rule != "" {
				r.Documented++
			}
		}
	}
}

// findStaleRules adds the rules that applied to no test to the mistakes.
func (r *report) findStaleRules(plans []*plan) {
	status := func(test string) string {
		i := slices.IndexFunc(r.Results, func(s result) bool { return s.Test == test })
		if i < 0 {
			return ""
		}
		return r.Results[i].Status
	}
	for _, e := range expected {
		if s := status(e.test); s != "FAIL" {
			r.Mistakes = append(r.Mistakes, fmt.Sprintf("%s should have failed (%s), its result is %q", e.test, e.why, s))
		}
	}
	for _, l := range leftOut {
		if status(l.test) == "" {
			r.Mistakes = append(r.Mistakes, l.test+" is to be left out, but there is no such test")
		}
	}
	for _, a := range adaptations {
		if !slices.ContainsFunc(plans, func(p *plan) bool { return p.applied[a] }) {
			where := cmp.Or(a.in, "any test")
			r.Mistakes = append(r.Mistakes, fmt.Sprintf("there is no %s in %s for %s to replace", a.object, where, a.by))
		}
	}
}

// print writes the report for people.
func (r *report) print(w io.Writer) {
	for _, s := range r.Results {
		switch {
		case s.Rule != "":
			fmt.Fprintf(w, "documented  %s %s\n            docs/differences.md: %s\n", s.Package, s.Test, s.Rule)
		case s.Status == "FAIL":
			fmt.Fprintf(w, "FAILED      %s %s\n", s.Package, s.Test)
			for line := range strings.Lines(s.Details) {
				fmt.Fprintf(w, "            %s\n", strings.TrimSpace(line))
			}
		case s.Status == "LEFT OUT":
			fmt.Fprintf(w, "left out    %s %s\n            %s\n", s.Package, s.Test, s.Reason)
		}
	}
	for _, test := range r.Flaky {
		fmt.Fprintf(w, "FLAKY       %s failed among others and passed alone\n", test)
	}
	for _, mistake := range r.Mistakes {
		fmt.Fprintf(w, "MISTAKE     %s\n", mistake)
	}
	fmt.Fprintf(w, "%d tests skipped themselves\n", r.Skipped)
	fmt.Fprintf(w, "passed %d of %d, failed %d (of which %d documented in docs/differences.md), left out %d\n",
		r.Passed, r.Passed+r.Failed, r.Failed, r.Documented, r.LeftOut)
}

// printJSON writes the report for programs.
func (r *report) printJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "\t")
	return encoder.Encode(r)
}
