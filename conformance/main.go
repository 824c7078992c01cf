package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"time"
)

// These are the exit codes.
const (
	exitOK      = 0
	exitFailed  = 1 // a test failed that should have passed, or the other way round
	exitTrouble = 2 // the tests could not be run
)

// options holds the options on the command line.
type options struct {
	run     *regexp.Regexp
	verbose bool
	json    bool
	timeout time.Duration
	count   int
}

func main() {
	opts, err := parseOptions(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(exitOK)
	case err != nil:
		os.Exit(exitTrouble)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	report, err := conform(ctx, opts)
	stop()
	if err == nil {
		err = show(report, opts)
	}
	switch {
	case err != nil:
		fmt.Fprintf(os.Stderr, "conformance: %v\n", err)
		os.Exit(exitTrouble)
	case !report.ok():
		os.Exit(exitFailed)
	}
	os.Exit(exitOK)
}

func parseOptions(args []string, complaints io.Writer) (*options, error) {
	opts := &options{}
	flags := flag.NewFlagSet("conformance", flag.ContinueOnError)
	flags.SetOutput(complaints)
	run := flags.String("run", "", "run the tests whose `regexp` matches (names at the top, not of subtests)")
	flags.BoolVar(&opts.verbose, "v", false, "print each test as it ends")
	flags.BoolVar(&opts.json, "json", false, "print the report as one JSON object, and nothing else")
	flags.DurationVar(&opts.timeout, "timeout", 30*time.Second, "give a test up after this long")
	flags.IntVar(&opts.count, "count", 1, "run each test this many times")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	var err error
	opts.run, err = regexp.Compile(*run)
	switch {
	case err != nil:
		err = fmt.Errorf("-run: %w", err)
	case flags.NArg() > 0:
		err = fmt.Errorf("this program has no argument %q", flags.Arg(0))
	case opts.timeout <= 0 || opts.count <= 0:
		err = fmt.Errorf("-timeout and -count must be above zero")
	}
	if err != nil {
		fmt.Fprintf(complaints, "conformance: %v\n", err)
	}
	return opts, err
}

// conform runs the tests and returns the report.
func conform(ctx context.Context, opts *options) (*report, error) {
	temp, err := os.MkdirTemp("", "peerpool-conformance-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(temp)
	tc, err := findToolchain(ctx, temp)
	if err != nil {
		return nil, err
	}
	suites, err := readSuites(tc)
	if err != nil {
		return nil, err
	}
	var plans []*plan
	var jobs []job
	for _, s := range suites {
		p, err := prepare(ctx, tc, s)
		if err != nil {
			return nil, err
		}
		plans = append(plans, p)
		for _, test := range p.tests {
			if opts.run.MatchString(test) {
				jobs = append(jobs, job{p, test})
			}
		}
	}

	r := &runner{timeout: opts.timeout, count: opts.count, done: func(j job, o *outcome) {
		if opts.verbose && !opts.json {
			fmt.Printf("%-4s %s %s\n", verdict(o), j.plan.suite.name, j.test)
		}
	}}
	outcomes := r.all(ctx, jobs)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	flaky := r.again(ctx, outcomes, jobs)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return newReport(tc.version, plans, outcomes, flaky, opts.run), nil
}

func verdict(o *outcome) string {
	if o.failed() {
		return "FAIL"
	}
	return "ok"
}

func show(r *report, opts *options) error {
	if opts.json {
		return r.printJSON(os.Stdout)
	}
	r.print(os.Stdout)
	return nil
}
