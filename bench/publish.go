package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The README holds the headline, a row of ratios, and the figures between these lines, which stay.
const (
	headlineBegin = "<!-- The headline begins: cd bench && go run . -from results.json -publish .. -->\n"
	headlineEnd   = "<!-- The headline ends. -->\n"
	figuresBegin  = "<!-- The figures begin: cd bench && go run . -from results.json -publish .. -->\n"
	figuresEnd    = "<!-- The figures end. -->\n"
)

// publish puts the figures of a report into the README of the repository in dir, and draws its picture.
func publish(dir string, r report) error {
	if r.Environment.Short {
		return errors.New("-publish: the figures of a -short run mean nothing")
	}
	file := filepath.Join(dir, "README.md")
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	updated, err := replaceFigures(string(text), r)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if err := os.WriteFile(file, []byte(updated), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "docs", "cost.svg"), []byte(drawCost(r)), 0o644)
}

// replaceFigures returns the text with the headline and the figures of a report between their marks.
func replaceFigures(text string, r report) (string, error) {
	text, err := replaceBetween(text, headlineBegin, headlineEnd, headlineText(r))
	if err != nil {
		return "", err
	}
	return replaceBetween(text, figuresBegin, figuresEnd, figuresText(r))
}

func replaceBetween(text, begin, end, figures string) (string, error) {
	before, rest, begins := strings.Cut(text, begin)
	_, after, ends := strings.Cut(rest, end)
	if !begins || !ends {
		return "", fmt.Errorf("the lines %q and %q are not there", strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	return before + begin + "\n" + figures + "\n" + end + after, nil
}

// published is a comparison that the README shows: its suite, its name there, and what the README calls it.
type published struct{ suite, name, title string }

var publishedRatios = []published{
	{"requests", "GET, 1 caller", "GET, 1 caller"},
	{"requests", "GET, 16 callers", "GET, 16 callers"},
	{"requests", "GET, 128 callers", "GET, 128 callers"},
	{"requests", "GET, TLS 1.3, 16 callers", "GET, TLS 1.3, 16 callers"},
	{"requests", "GET, http.Client.Do with Timeout, 16 callers", "GET through an `http.Client` with a Timeout, 16 callers"},
	{"requests", "GET, NewClient with Timeout, 16 callers", "the same through a client that `NewClient` has made"},
	{"requests", "GET, 12 fields, 16 callers", "GET with 12 response fields, 16 callers"},
	{"requests", "POST of 64 B, 16 callers", "POST of 64 B, 16 callers"},
	{"requests", "POST of 16 KiB, 16 callers", "POST of 16 KiB, 16 callers"},
	{"bodies", "download to io.Discard", "1 GiB to `io.Discard`"},
	{"bodies", "download to a TCP connection", "1 GiB to a TCP connection"},
	{"bodies", "upload from a file", "1 GiB from a file"},
	{"connections", "new connections", "a new connection for each request"},
	{"connections", "new connections, TLS 1.3", "the same with TLS 1.3, where peerpool resumes sessions"},
	{"http2", "GET, 1 caller", "HTTP/2, GET, 1 caller"},
	{"http2", "GET, 16 callers", "HTTP/2, GET, 16 callers"},
	{"http2", "GET, 128 callers", "HTTP/2, GET, 128 callers"},
	{"http2", "GET, 256 callers", "HTTP/2, GET, 256 callers"},
	{"bodies", "HTTP/2, download to io.Discard", "HTTP/2, 256 MiB to `io.Discard`"},
	{"bodies", "HTTP/2, upload from a file", "HTTP/2, 256 MiB from a file"},
}

// headlines are the comparisons of the first table of the README.
var headlines = []published{
	{"requests", "GET, 16 callers", "HTTP/1.1, 16 callers"},
	{"requests", "GET, TLS 1.3, 16 callers", "HTTP/1.1 with TLS, 16 callers"},
	{"http2", "GET, 16 callers", "HTTP/2, 16 callers"},
	{"idle", "10,000 connections", "memory of an idle connection"},
}

// headlineText is a table of one row: peerpool's ratios.
func headlineText(r report) string {
	var names, ratios []string
	for _, p := range headlines {
		if c, ok := r.find(p); ok && ratioCell(c, ours) != "" {
			names, ratios = append(names, p.title), append(ratios, ratioCell(c, ours))
		}
	}
	var b strings.Builder
	writeRow(&b, "", names)
	b.WriteString(strings.Repeat("|---", len(names)+1) + "|\n")
	writeRow(&b, "peerpool, net/http being 1", ratios)
	return b.String()
}

// publishedFigure is a figure that the README shows as it is, with what makes it readable.
type publishedFigure struct {
	published
	metric string
	show   func(float64) string
}

var publishedFigures = []publishedFigure{
	{published{"requests", "GET, 16 callers", "allocations of a GET with 4 response fields"}, "allocs", plain("")},
	{published{"requests", "GET, 16 callers", "bytes that it allocates"}, "bytes", plain(" B")},
	{published{"idle", "10,000 connections", "memory of an idle connection, resident"}, "rss", plain(" B")},
	{published{"idle", "5,000 connections, TLS 1.3", "the same with TLS 1.3"}, "rss", plain(" B")},
	{published{"idle", "10,000 connections", "goroutines of an idle connection"}, "goroutines", plain("")},
	{published{"latency", "GET at half of net/http's rate", "p99 at half of net/http's highest rate"}, "p99", plain(" µs")},
	{published{"latency", "HTTP/2, GET at half of net/http's rate", "the same over HTTP/2"}, "p99", plain(" µs")},
}

// plain shows whole numbers of a unit.
func plain(unit string) func(float64) string {
	return func(v float64) string { return fmt.Sprintf("%.0f%s", v+0, unit) } // plus zero: no minus sign before a zero
}

// ratioColumns are the candidates that the table of ratios shows, those that were measured.
var ratioColumns = []candidate{ours, fastHTTP, hertz, pingora, hyperUtil, reqwest, bare}

// figuresText is what stands in the README: how the figures came about, the ratios, and figures as they are.
func figuresText(r report) string {
	var b strings.Builder
	e := r.Environment
	fmt.Fprintf(&b, "Measured on %s: %s, %s/%s, %d CPUs (%s), medians of %d rounds in which the candidates took turns",
		e.Started.UTC().Format("2 January 2006"), e.Go, e.OS, e.Arch, e.CPUs, e.CPU, e.Rounds)
	if versions := e.versions(); versions != "" {
		fmt.Fprintf(&b, "; %s", versions)
	}
	b.WriteString(". The last column is net/http measured a second time: a difference within that range says nothing.\n\n")
	columns := measured(r)
	writeRow(&b, "CPU time of the client, net/http's being 1", titles(columns, "net/http itself"))
	b.WriteString(strings.Repeat("|---", len(columns)+2) + "|\n")
	for _, p := range publishedRatios {
		c, ok := r.find(p)
		if !ok {
			continue
		}
		cells := make([]string, 0, len(columns)+1)
		for _, who := range columns {
			cells = append(cells, ratioCell(c, who))
		}
		spread := ""
		if c.Scatter != nil {
			spread = showRatio(c.Scatter.Min) + " to " + showRatio(c.Scatter.Max)
		}
		writeRow(&b, p.title, append(cells, spread))
	}
	absolute := []candidate{netHTTP, ours, fastHTTP, bare}
	b.WriteString("\n")
	writeRow(&b, "in absolute terms", titles(absolute))
	b.WriteString(strings.Repeat("|---", len(absolute)+1) + "|\n")
	for _, p := range publishedFigures {
		c, ok := r.find(p.published)
		if !ok {
			continue
		}
		var cells []string
		for _, who := range absolute {
			cell := ""
			if found, ok := c.row(who); ok {
				if s, ok := found.Figures[p.metric]; ok {
					cell = p.show(s.Median)
				}
			}
			cells = append(cells, cell)
		}
		writeRow(&b, p.title, cells)
	}
	return b.String()
}

func titles(columns []candidate, more ...string) []string {
	var all []string
	for _, who := range columns {
		all = append(all, string(who))
	}
	return append(all, more...)
}

func writeRow(b *strings.Builder, title string, cells []string) {
	fmt.Fprintf(b, "| %s | %s |\n", title, strings.Join(cells, " | "))
}

func ratioCell(c comparisonReport, who candidate) string {
	found, ok := c.row(who)
	if !ok || found.Ratio == nil {
		return ""
	}
	return showRatio(found.Ratio.Median)
}

// measured returns the candidates of the table that have a ratio anywhere.
func measured(r report) []candidate {
	return slices.DeleteFunc(slices.Clone(ratioColumns), func(who candidate) bool {
		return !slices.ContainsFunc(publishedRatios, func(p published) bool {
			c, ok := r.find(p)
			return ok && ratioCell(c, who) != ""
		})
	})
}

// find returns the comparison of that suite and name.
func (r report) find(p published) (comparisonReport, bool) {
	for _, s := range r.Suites {
		for _, c := range s.Comparisons {
			if s.Name == p.suite && c.Name == p.name {
				return c, true
			}
		}
	}
	return comparisonReport{}, false
}

// row returns what a candidate came to.
func (c comparisonReport) row(who candidate) (row, bool) {
	for _, r := range c.Rows {
		if r.Candidate == who {
			return r, true
		}
	}
	return row{}, false
}
