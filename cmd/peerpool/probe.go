package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/peerpool/peerpool/cmd/peerpool/internal/probe"
)

const (
	defaultMaxWait     = 2 * time.Minute
	defaultMaxRequests = 120
)

// probeArgs are the arguments of "peerpool probe".
type probeArgs struct {
	url         *url.URL
	maxWait     time.Duration
	maxRequests int
	insecure    bool
	json        bool
}

// probeServer runs "peerpool probe".
func probeServer(ctx context.Context, args []string, s streams) (int, error) {
	a, err := parseProbe(args)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK, writeReport(s.out, usage)
	}
	if err != nil {
		return 0, err
	}
	o := probe.Options{URL: a.url, MaxWait: a.maxWait, MaxRequests: a.maxRequests}
	if a.insecure {
		o.TLS = &tls.Config{InsecureSkipVerify: true} // -k says so
	}
	o.Progress = func(what string, atMost time.Duration) {
		_, _ = fmt.Fprintf(s.err, "measuring %s (at most %v)\n", what, atMost) // if this fails, the report still follows
	}
	r, err := probe.Run(ctx, o)
	text := probeText(r)
	if a.json {
		b, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return 0, err
		}
		text = string(b) + "\n"
	}
	if err := writeReport(s.out, text); err != nil {
		return 0, err
	}
	switch {
	case ctx.Err() != nil:
		return exitInterrupted, nil
	case err != nil:
		return exitFailed, nil // the report says why
	}
	return exitOK, nil
}

func parseProbe(args []string) (*probeArgs, error) {
	a := &probeArgs{maxWait: defaultMaxWait, maxRequests: defaultMaxRequests}
	set := flag.NewFlagSet("probe", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.BoolVar(&a.insecure, "k", false, "")
	set.BoolVar(&a.json, "json", false, "")
	set.Func("max-requests", "", atLeastOne(&a.maxRequests, "-max-requests 1100"))
	set.Func("max-wait", "", func(s string) error {
		d, err := time.ParseDuration(s)
		if err != nil || d <= 0 {
			return errors.New("write a duration with its unit, as in -max-wait 90s")
		}
		a.maxWait = d
		return nil
	})
	var targets []string
	for {
		if err := set.Parse(args); err != nil {
			return nil, flagError(err)
		}
		if set.NArg() == 0 {
			break
		}
		targets, args = append(targets, set.Arg(0)), set.Args()[1:]
	}
	if len(targets) != 1 {
		return nil, misuse(`%d URLs given: write "peerpool probe http://HOST/PATH"`, len(targets))
	}
	u, err := parseTarget(targets[0])
	a.url = u
	return a, err
}

// probeText returns the report of a probe as text.
func probeText(r *probe.Report) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		_, _ = fmt.Fprintf(w, "%s\t"+format+"\n", append([]any{name}, args...)...) // a write to a Builder cannot fail
	}
	row("server", "%s", r.URL)
	for _, a := range r.Addresses {
		if a.Error != "" {
			row("address", "%s does not answer: %s", a.Address, a.Error)
		} else {
			row("address", "%s, connected in %.1f ms", a.Address, a.Seconds*1000)
		}
	}
	if t := r.TLS; t != nil {
		row("TLS", "%s, %s, sessions %s", t.Version, strings.Join(t.Protocols, " and "), either(t.Resumes, "resumed", "not resumed"))
	}
	if h := r.HTTP1; h != nil {
		http1Rows(row, h)
	}
	if h := r.HTTP2; h != nil {
		http2Rows(row, h)
	}
	row("requests", "%d sent", r.Requests)
	if r.Stopped != "" {
		row("stopped", "%s", r.Stopped)
	}
	w.Flush()
	if r.HTTP1 == nil && r.HTTP2 == nil {
		return b.String() // it says why
	}
	if len(r.Settings) == 0 && r.Stopped != "" {
		return b.String() // more might have been found
	}
	if len(r.Settings) == 0 {
		b.WriteString("\nThe default settings fit what was found.\n")
		return b.String()
	}
	b.WriteString("\nSettings:\n\n")
	for line := range strings.Lines(r.GoCode()) {
		b.WriteString("    " + line)
	}
	b.WriteString("\n")
	for _, s := range r.Settings {
		fmt.Fprintf(&b, "%s: %s\n", s.Field, s.Reason)
	}
	return b.String()
}

type rows func(name, format string, args ...any)

func http1Rows(row rows, h *probe.HTTP1) {
	kept := "kept"
	switch {
	case h.MaxRequests == 1:
		kept = "closed after one request"
	case !h.KeepsAlive:
		kept = "not tried with a second request"
	}
	row("HTTP/1.1", "status %d, connections %s", h.Status, kept)
	switch {
	case h.MaxRequests > 0:
		row("  requests", "%d on a connection, %s", h.MaxRequests, either(h.Announced, "the last one announced", "then it is closed"))
	case h.KeepsAlive:
		row("  requests", "more than the %d that were tried on a connection", h.Tried)
	}
	idleRow(row, h.Idle)
	if h.Hint != "" {
		verdict := "not checked"
		if h.HintTrue != nil {
			verdict = either(*h.HintTrue, "true", "not true")
		}
		row("  Keep-Alive", "%s: %s", h.Hint, verdict)
	}
	if h.DrainsBodies != nil {
		row("  unused body", "%s", either(*h.DrainsBodies, "read, and the connection goes on", "ends the connection"))
	}
	if h.HalfClose != nil {
		row("  half-close", "%s", either(*h.HalfClose, "still answered", "ends the connection"))
	}
}

func http2Rows(row rows, h *probe.HTTP2) {
	row("HTTP/2", "status %d", h.Status)
	if h.MaxStreams >= 0 {
		row("  streams", "%d at a time", h.MaxStreams)
	} else {
		row("  streams", "the server announces no limit")
	}
	if h.MaxHeaderList > 0 {
		row("  header list", "%d bytes", h.MaxHeaderList)
	}
	row("  pings", "one every %v on a quiet connection: %s", time.Duration(h.PingSeconds*float64(time.Second)),
		either(h.PingsTolerated, "tolerated", "the connection ends with "+either(h.GoAway == "", "a close", h.GoAway)))
	idleRow(row, h.Idle)
}

func idleRow(row rows, i *probe.Idle) {
	switch {
	case i == nil:
	case i.End == "":
		row("  idle", "longer than the %.4g s that were waited", i.Waited)
	default:
		row("  idle", "%.4g s, then %s", i.Seconds, i.End)
	}
}

func either(cond bool, yes, no string) string {
	if cond {
		return yes
	}
	return no
}
