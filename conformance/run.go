package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// job is one test at the top of a file. It runs in its own process, so that it cannot affect the next test.
type job struct {
	plan *plan
	test string
}

// outcome says how a process ended.
type outcome struct {
	statuses map[string]string // of the test and its subtests: "PASS", "FAIL" or "SKIP"
	cause    string            // cause of a failure outside a test: a panic or a time limit
	output   string
}

// failed reports whether a test failed that should have passed.
func (o *outcome) failed() bool {
	return slices.ContainsFunc(leaves("", o), func(l result) bool { return l.Status == "FAIL" && expectation(l.Test) == "" })
}

// runner runs jobs.
type runner struct {
	timeout time.Duration // for one test, each time it runs
	count   int           // times that each test runs
	done    func(job, *outcome)
}

// all runs the jobs, as many at a time as there are processors, and returns their outcomes.
func (r *runner) all(ctx context.Context, jobs []job) map[job]*outcome {
	outcomes := make(map[job]*outcome, len(jobs))
	var mu sync.Mutex // guards outcomes; held while done is called, so that the calls do not overlap
	var workers sync.WaitGroup
	queue := make(chan job)
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for j := range queue {
				o := r.run(ctx, j)
				mu.Lock()
				outcomes[j] = o
				r.done(j, o)
				mu.Unlock()
			}
		})
	}
	for _, j := range jobs {
		if ctx.Err() == nil {
			queue <- j
		}
	}
	close(queue)
	workers.Wait()
	return outcomes
}

// maxAgain is the largest number of failed tests that are run again. If there are more, something is broken for good.
const maxAgain = 25

// again runs the jobs that failed unexpectedly once more, one at a time, and returns those that then pass. If a job fails
// again, its new outcome replaces the first one.
func (r *runner) again(ctx context.Context, outcomes map[job]*outcome, jobs []job) (flaky []job) {
	failed := slices.DeleteFunc(slices.Clone(jobs), func(j job) bool { return !outcomes[j].failed() })
	if len(failed) > maxAgain {
		return nil
	}
	for _, j := range failed {
		outcomes[j] = r.run(ctx, j)
		if !outcomes[j].failed() {
			flaky = append(flaky, j)
		}
	}
	return flaky
}

func (r *runner) run(ctx context.Context, j job) *outcome {
	timeout := r.timeout * time.Duration(r.count)
	// The test binary ends itself and says what it was doing. This limit is for a binary that cannot.
	ctx, cancel := context.WithTimeout(ctx, timeout+10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, j.plan.binary,
		"-test.v=test2json", "-test.run", "^"+regexp.QuoteMeta(j.test)+"$",
		"-test.skip", skipped(leftOutModes), "-test.timeout", timeout.String(), "-test.count", strconv.Itoa(r.count))
	cmd.Dir = j.plan.suite.dir
	cmd.Env = testEnviron(os.Environ())
	cmd.WaitDelay = 2 * time.Second // in case a grandchild holds the pipe
	output, err := cmd.CombinedOutput()
	return judge(j.test, output, err)
}

// skipped returns the pattern of the modes to leave out. Modes are subtests at the first or second level.
func skipped(modes []rule) string {
	var patterns []string
	for _, mode := range modes {
		patterns = append(patterns, "./^"+mode.test+"$", "././^"+mode.test+"$")
	}
	return strings.Join(patterns, "|")
}

// disturbing holds environment variables that would send the tests' requests elsewhere, or change what net/http does.
var disturbing = []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "REQUEST_METHOD", "GODEBUG"}

func testEnviron(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(disturbing, strings.ToUpper(name))
	})
}

// With -test.v=test2json, every line of the test framework begins with this byte, and no line of a test does. Since Go 1.27,
// two more of these bytes enclose what a test reports.
const mark = "\x16"

var unmark = strings.NewReplacer(mark, "", "\x0f", "", "\x0e", "")

var (
	started = regexp.MustCompile(mark + `=== RUN\s+(\S+)`)
	ended   = regexp.MustCompile(mark + `\s*--- (PASS|FAIL|SKIP): (\S+) \(`)
	// These are the lines with which a process ends early.
	crashed = regexp.MustCompile(`(?m)^` + mark + `?(panic: .*|fatal error: .*|Too many goroutines running after .*)$`)
)

// judge returns the outcome of a test from the output of its process and from how the process ended.
func judge(test string, output []byte, err error) *outcome {
	o := &outcome{statuses: map[string]string{test: "FAIL"}, output: unmark.Replace(string(output))}
	for _, m := range started.FindAllSubmatch(output, -1) {
		o.statuses[string(m[1])] = "FAIL" // until a line says otherwise
	}
	failed := make(map[string]bool) // failed in at least one of several runs
	for _, m := range ended.FindAllSubmatch(output, -1) {
		status, name := string(m[1]), string(m[2])
		failed[name] = failed[name] || status == "FAIL"
		if !failed[name] {
			o.statuses[name] = status
		} else {
			o.statuses[name] = "FAIL"
		}
	}
	if err == nil {
		return o
	}
	if m := crashed.FindSubmatch(output); m != nil {
		o.cause = string(m[1])
	}
	if o.statuses[test] != "FAIL" {
		o.statuses[test] = "FAIL"
		if o.cause == "" {
			o.cause = fmt.Sprintf("the process ended with %v", err)
		}
	}
	return o
}
