// Command bench measures peerpool side by side with net/http, other clients and a bare socket.
//
// The walk of a run is the files in order: main.go (flags), suite.go (what is compared), compare.go (rounds,
// interleaved), process.go (the server's and the clients' processes), worker.go (a client's side of a round),
// stats.go (medians and ratios), and table.go, json.go, plot.go, publish.go (what comes out). Each suite is a file of
// its own, suite_*.go. The clients written in Go are client_*.go; rust.go builds those written in Rust.
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
	"slices"
	"strings"
	"time"
)

func main() {
	if role := os.Getenv(roleEnv); role != "" {
		if err := playRole(role); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", role+":", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// defaultRounds is how often every candidate of a comparison is measured: the fewest whose median shrugs off two
// that went wrong.
const defaultRounds = 5

// settings are what the command line says.
type settings struct {
	suites []suite
	rounds int
	short  bool
	list   bool
	rust   bool
	from   string
	json   string
	plot   string
	// publish is the repository whose README gets the figures; "": none.
	publish string
}

func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	names := flags.String("suite", "", "suites to run, separated by commas (default: all)")
	only := flags.String("run", "", "of these, run only the comparisons whose name matches `regexp`")
	flags.IntVar(&s.rounds, "rounds", defaultRounds, "how often each candidate is measured")
	flags.BoolVar(&s.short, "short", false, "a fraction of the time and sizes, to see that everything runs")
	flags.BoolVar(&s.list, "list", false, "list the suites and what they compare")
	flags.StringVar(&s.json, "json", "", "write the results to `file` as JSON; - is standard output, in place of the tables")
	flags.StringVar(&s.plot, "plot", "", "draw an SVG picture of each suite into `directory`")
	flags.BoolVar(&s.rust, "rust", false, "measure clients written in Rust too; cargo builds them, which takes minutes the first time")
	flags.StringVar(&s.from, "from", "", "measure nothing: take what an earlier run wrote to `file` with -json")
	flags.StringVar(&s.publish, "publish", "", "put the figures into README.md and docs/cost.svg of the repository in `directory`")
	if err := flags.Parse(args); err != nil {
		return settings{}, err
	}
	if flags.NArg() > 0 {
		return settings{}, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if s.rounds < 1 {
		return settings{}, fmt.Errorf("-rounds %d: want at least 1", s.rounds)
	}
	match, err := regexp.Compile(*only)
	if err != nil {
		return settings{}, fmt.Errorf("-run: %w", err)
	}
	if s.suites, err = chooseSuites(*names); err != nil {
		return settings{}, err
	}
	if s.suites = matching(s.suites, match, s.short); len(s.suites) == 0 {
		return settings{}, fmt.Errorf("-run %s: the name of no comparison matches", *only)
	}
	return s, nil
}

// matching returns the suites with only those of their comparisons whose name matches.
func matching(all []suite, match *regexp.Regexp, short bool) (found []suite) {
	for _, s := range all {
		whole := s.comparisons
		s.comparisons = func(short bool) []comparison {
			return slices.DeleteFunc(whole(short), func(c comparison) bool { return !match.MatchString(c.name) })
		}
		if len(s.comparisons(short)) > 0 {
			found = append(found, s)
		}
	}
	return found
}

// chooseSuites returns the suites with the names given, in the order of a whole run.
func chooseSuites(names string) ([]suite, error) {
	if names == "" {
		return suites, nil
	}
	wanted := map[string]bool{}
	for _, name := range strings.Split(names, ",") {
		wanted[strings.TrimSpace(name)] = true
	}
	var chosen []suite
	var known []string
	for _, s := range suites {
		known = append(known, s.name)
		if wanted[s.name] {
			chosen = append(chosen, s)
			delete(wanted, s.name)
		}
	}
	for name := range wanted {
		return nil, fmt.Errorf("-suite: no suite %q; there are %s", name, strings.Join(known, ", "))
	}
	return chosen, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	s, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if s.list {
		return list(stdout, s)
	}
	tables := stdout
	if s.json == "-" {
		tables = io.Discard
	}
	var whole report
	if s.from != "" {
		whole, err = readReport(s.from)
	} else {
		whole, err = measureAll(ctx, s, stderr, tables)
	}
	if err != nil {
		return err
	}
	if s.from != "" {
		printAll(tables, whole)
	}
	if !whole.Environment.Short { // whose figures mean nothing
		printTargets(tables, whole)
		printScatter(tables, whole)
	}
	if err := write(s, stdout, whole); err != nil {
		return err
	}
	if failures := whole.failures(); len(failures) > 0 {
		return fmt.Errorf("not all candidates could be measured:\n%s", strings.Join(failures, "\n"))
	}
	return nil
}

// measureAll runs the suites. It prints each as soon as it is over.
func measureAll(ctx context.Context, s settings, stderr, tables io.Writer) (report, error) {
	r := runner{ctx: ctx, rounds: s.rounds, progress: newProgress(stderr, s)}
	if s.rust {
		var err error
		if r.rust, err = buildRust(ctx, stderr); err != nil {
			return report{}, err
		}
	}
	whole := report{Environment: environment(s)}
	printEnvironment(tables, whole.Environment)
	for _, suite := range s.suites {
		found, err := r.suite(suite, s.short)
		if err != nil {
			return report{}, fmt.Errorf("%s: %w", suite.name, err)
		}
		whole.Suites = append(whole.Suites, found)
		printSuite(tables, found)
	}
	whole.Seconds = time.Since(whole.Environment.Started).Seconds()
	return whole, nil
}

// write writes what the command line asks for besides the tables.
func write(s settings, stdout io.Writer, whole report) error {
	if s.plot != "" {
		if err := os.MkdirAll(s.plot, 0o755); err != nil {
			return err
		}
		for _, suite := range whole.Suites {
			if err := plotSuite(s.plot, suite); err != nil {
				return err
			}
		}
	}
	if s.publish != "" {
		if err := publish(s.publish, whole); err != nil {
			return err
		}
	}
	return writeJSON(s.json, stdout, whole)
}

func list(w io.Writer, s settings) error {
	for _, suite := range s.suites {
		fmt.Fprintf(w, "%-12s %s\n", suite.name, suite.about)
		for _, c := range suite.comparisons(s.short) {
			names := make([]string, len(c.candidates))
			for i, candidate := range c.candidates {
				names[i] = string(candidate)
			}
			fmt.Fprintf(w, "    %-44s %s\n", c.name, strings.Join(names, ", "))
		}
	}
	return nil
}
