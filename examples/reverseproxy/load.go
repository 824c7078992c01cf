package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"time"
)

// load says what wrk sends.
type load struct {
	wrk         string // the path of the program
	duration    time.Duration
	connections int
}

// measured holds the results that wrk reports.
type measured struct {
	requests int // with a response
	bad      int // of them, with a status other than 2xx and 3xx
	errors   int // requests without a response
}

func (l load) run(ctx context.Context, url string) (measured, error) {
	cmd := exec.CommandContext(ctx, l.wrk, "-t1", "-c"+strconv.Itoa(l.connections),
		fmt.Sprintf("-d%ds", int(l.duration.Seconds())), url)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return measured{}, fmt.Errorf("wrk: %w\n%s", err, out)
	}
	return parse(string(out))
}

var (
	requestsLine = regexp.MustCompile(`(?m)^ *(\d+) requests in `)
	badLine      = regexp.MustCompile(`(?m)^ *Non-2xx or 3xx responses: (\d+)$`)
	errorsLine   = regexp.MustCompile(`(?m)^ *Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)$`)
)

// parse reads the output of wrk. wrk prints no line about errors if there were none.
func parse(out string) (measured, error) {
	var m measured
	found := requestsLine.FindStringSubmatch(out)
	if found == nil {
		return m, fmt.Errorf("wrk printed no number of requests:\n%s", out)
	}
	m.requests = sum(found[1:])
	if found := badLine.FindStringSubmatch(out); found != nil {
		m.bad = sum(found[1:])
	}
	if found := errorsLine.FindStringSubmatch(out); found != nil {
		m.errors = sum(found[1:])
	}
	return m, nil
}

// sum returns the sum of numbers. A regexp has matched them, so they are valid.
func sum(numbers []string) int {
	total := 0
	for _, s := range numbers {
		n, _ := strconv.Atoi(s)
		total += n
	}
	return total
}
