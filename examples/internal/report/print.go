package report

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/peerpool/peerpool"
)

// Print writes a line for each result, and below them what only peerpool knows.
func Print(w io.Writer, results ...Result) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "\trequests\tfailed\tconnections\thit ratio\tretries\ttime\t")
	for _, r := range results {
		fmt.Fprintf(tw, "%s\t%d\t%d\t%d\t%.1f %%\t%d\t%v\t\n",
			r.Name, r.Requests, r.Failed, r.Connections, 100*r.HitRatio(), r.Retries, r.Took.Round(time.Millisecond))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, r := range results {
		if r.Pool == nil {
			continue
		}
		if _, err := fmt.Fprintf(w, "\n%s's pool:\n%s", r.Name, poolText(*r.Pool)); err != nil {
			return err
		}
	}
	return nil
}

// poolText describes what a pool has done, on a few lines.
func poolText(s peerpool.Stats) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  opened   %d, of which %d idle and %d in use\n", s.Opened, s.Idle, s.Active)
	fmt.Fprintf(&b, "  hits     %d\n", s.Hits)
	fmt.Fprintf(&b, "  misses   %s\n", counts(s.Misses))
	fmt.Fprintf(&b, "  closed   %s\n", counts(s.Closes))
	r := s.Retries
	fmt.Fprintf(&b, "  retries  %d stale, %d unsent, %d refused, %d others; %d saved, %d failed\n",
		r.Stale, r.Unsent, r.Refused, r.Misdirected+r.Lost+r.HTTP1, r.Saved, r.Failed)
	return b.String()
}

// counts lists the counts that are not zero, in the order of their names. It returns "none" if all are zero.
func counts[K ~string](m map[K]uint64) string {
	var parts []string
	for _, name := range slices.SortedFunc(maps.Keys(m), cmp.Compare[K]) {
		if n := m[name]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, name))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}
