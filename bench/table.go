package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
)

func printEnvironment(w io.Writer, e environmentReport) {
	fmt.Fprintf(w, "%s, %s/%s, %d CPUs %s; %s; %d rounds\n", e.Go, e.OS, e.Arch, e.CPUs, e.CPU, e.versions(), e.Rounds)
	if e.Note != "" {
		fmt.Fprintln(w, e.Note)
	}
}

// printAll prints the tables of a whole report.
func printAll(w io.Writer, r report) {
	printEnvironment(w, r.Environment)
	for _, s := range r.Suites {
		printSuite(w, s)
	}
}

func printSuite(w io.Writer, s suiteReport) {
	fmt.Fprintf(w, "\n%s: %s\n", strings.ToUpper(s.Name), s.About)
	if s.Unsupported != "" {
		fmt.Fprintf(w, "not measured: %s\n", s.Unsupported)
	}
	for _, c := range s.Comparisons {
		printComparison(w, c)
	}
}

func printComparison(w io.Writer, c comparisonReport) {
	fmt.Fprintf(w, "\n%s (ratio of %s)\n", c.Name, metrics[c.Metric].title)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	titles := []string{""}
	for _, name := range c.Columns {
		titles = append(titles, metrics[name].title)
	}
	titles = append(titles, "ratio to "+string(c.Baseline), "range", "target")
	if c.Rows[0].Protocol != "" {
		titles = append(titles, "protocol")
	}
	printLine(t, titles)
	for _, r := range c.Rows {
		cells := []string{string(r.Candidate)}
		for _, name := range c.Columns {
			cells = append(cells, figureCell(r.Figures, name))
		}
		ratio, spread := "-", "-"
		if r.Ratio != nil {
			ratio, spread = showRatio(r.Ratio.Median), showSpread(*r.Ratio)
		}
		cells = append(cells, ratio, spread, targetCell(c, r.Candidate))
		if r.Protocol != "" {
			cells = append(cells, r.Protocol)
		}
		printLine(t, cells)
	}
	t.Flush()
	for _, r := range c.Rows {
		if r.Error != "" {
			fmt.Fprintf(w, "%s was measured %d times, and then failed: %s\n", r.Candidate, r.Rounds, r.Error)
		}
	}
}

// printLine prints the cells so that each is aligned by the one after it.
func printLine(t *tabwriter.Writer, cells []string) {
	fmt.Fprintln(t, strings.Join(cells, "\t")+"\t")
}

func figureCell(figures map[string]span, name string) string {
	s, ok := figures[name]
	if !ok {
		return "-"
	}
	return showFigure(name, s.Median)
}

func showFigure(name string, v float64) string {
	v = rounded(v, metrics[name].digits)
	if v == 0 {
		v = 0 // no minus sign before a zero
	}
	return strconv.FormatFloat(v, 'f', metrics[name].digits, 64)
}

func showRatio(v float64) string { return strconv.FormatFloat(v, 'f', ratioDigits, 64) }

func showSpread(s span) string { return showRatio(s.Min) + ".." + showRatio(s.Max) }

// targetCell is the target of the ratio that the row shows.
func targetCell(c comparisonReport, who candidate) string {
	if limit, ok := c.ratioTarget(who); ok {
		return "<= " + showRatio(limit)
	}
	return ""
}

// printTargets prints what was measured beside what was to be reached.
func printTargets(w io.Writer, r report) {
	var lines [][]string
	for _, s := range r.Suites {
		for _, c := range s.Comparisons {
			for _, goal := range c.Targets {
				lines = append(lines, append([]string{s.Name, c.Name}, goal.cells()...))
			}
		}
	}
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(w, "\nTARGETS of peerpool\n\n")
	printLines(w, append([][]string{{"suite", "comparison", "what", "measured", "range", "target", ""}}, lines...))
}

func (t targetReport) cells() []string {
	what, show := metrics[t.Metric].title, func(v float64) string { return showFigure(t.Metric, v) }
	if t.Against != "" {
		what, show = what+" / "+string(t.Against)+"'s", showRatio
	}
	limit := "<= " + show(t.Limit)
	if t.Measured == nil {
		return []string{what, "-", "-", limit, "not measured"}
	}
	verdict := "MISSED"
	if t.Met {
		verdict = "met"
	}
	m := *t.Measured
	return []string{what, show(m.Median), show(m.Min) + ".." + show(m.Max), limit, verdict}
}

// printScatter prints how far apart the same candidate came out when it was measured twice.
func printScatter(w io.Writer, r report) {
	var lines [][]string
	for _, s := range r.Suites {
		for _, c := range s.Comparisons {
			if c.Scatter != nil {
				title := metrics[c.Metric].title
				lines = append(lines, []string{s.Name, c.Name, title, showRatio(c.Scatter.Median), showSpread(*c.Scatter)})
			}
		}
	}
	if len(lines) > 0 {
		fmt.Fprintf(w, "\nSCATTER: the ratio of a candidate to itself, measured as the others are. A difference within it is none.\n\n")
		printLines(w, append([][]string{{"suite", "comparison", "metric", "ratio", "range"}}, lines...))
	}
	fmt.Fprintf(w, "\n%.0f s\n", r.Seconds)
}

// printLines prints lines of cells, aligned on the left.
func printLines(w io.Writer, lines [][]string) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, line := range lines {
		printLine(t, line)
	}
	t.Flush()
}
