// Command bench measures peerpool side by side with net/http, fasthttp and a bare socket.
//
// The walk of a run is the files in order: main.go (flags), suite.go (what is compared), compare.go (rounds,
// interleaved), process.go (the server's and the clients' processes), worker.go (a client's side of a round),
// stats.go (medians and ratios), and table.go, json.go, plot.go (what comes out). Each suite is a file of its own,
// suite_*.go.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
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
	json   string
	plot   string
}

func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	names := flags.String("suite", "", "suites to run, separated by commas (default: all)")
	flags.IntVar(&s.rounds, "rounds", defaultRounds, "how often each candidate is measured")
	flags.BoolVar(&s.short, "short", false, "a fraction of the time and sizes, to see that everything runs")
	flags.BoolVar(&s.list, "list", false, "list the suites and what they compare")
	flags.StringVar(&s.json, "json", "", "write the results to `file` as JSON; - is standard output, in place of the tables")
	flags.StringVar(&s.plot, "plot", "", "draw an SVG picture of each suite into `directory`")
	if err := flags.Parse(args); err != nil {
		return settings{}, err
	}
	if flags.NArg() > 0 {
		return settings{}, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if s.rounds < 1 {
		return settings{}, fmt.Errorf("-rounds %d: want at least 1", s.rounds)
	}
	var err error
	s.suites, err = chooseSuites(*names)
	return s, err
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
	if s.plot != "" {
		if err := os.MkdirAll(s.plot, 0o755); err != nil {
			return err
		}
	}
	about := environment(s.rounds)
	printEnvironment(tables, about)
	r := runner{ctx: ctx, rounds: s.rounds, progress: newProgress(stderr, s)}
	whole := report{Environment: about}
	for _, suite := range s.suites {
		found, err := r.suite(suite, s.short)
		if err != nil {
			return fmt.Errorf("%s: %w", suite.name, err)
		}
		whole.Suites = append(whole.Suites, found)
		printSuite(tables, found)
		if s.plot != "" {
			if err := plotSuite(s.plot, found); err != nil {
				return err
			}
		}
	}
	whole.Seconds = time.Since(about.Started).Seconds()
	if !s.short { // whose figures mean nothing
		printTargets(tables, whole)
		printScatter(tables, whole)
	}
	if err := writeJSON(s.json, stdout, whole); err != nil {
		return err
	}
	if failures := whole.failures(); len(failures) > 0 {
		return fmt.Errorf("not all candidates could be measured:\n%s", strings.Join(failures, "\n"))
	}
	return nil
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
