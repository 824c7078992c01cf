package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/peerpool/peerpool"
)

const demoLegend = `
  requests   sent to their end; every fourth is a POST, which no client may send twice
  failed     got an error for an answer
  wrong      got the answer to another request
  conns      connections opened, as the server counted them
  saved      requests less connections: the handshakes that were not needed
  hits       attempts on a connection that had served before or had idled
  recovered  requests answered after their first attempt had met a dead connection
  dropped    connections dropped before a request met them, because they were closed by the server or
             had bytes on them that nobody had asked for; net/http does not tell
`

// demoText is the report of the demonstration.
func demoText(rows []row, interrupted bool) string {
	t := table{texts: 2}
	t.add("server", "client", "requests", "failed", "wrong", "conns", "saved", "hits", "recovered", "dropped")
	for _, r := range rows {
		t.add(r.cells()...)
	}
	var b strings.Builder
	if interrupted {
		b.WriteString("Interrupted. What was done so far:\n\n")
	}
	b.WriteString(t.text(""))
	b.WriteString(demoLegend)
	b.WriteString(failuresText(rows))
	b.WriteString(closesText(rows))
	return b.String()
}

func (r row) cells() []string {
	requests := r.answered + r.wrong + r.failed
	return []string{
		r.server, r.client,
		count(requests), count(r.failed), count(r.wrong),
		strconv.FormatInt(r.opened, 10), strconv.FormatInt(int64(requests)-r.opened, 10),
		percent(r.reused, r.attempts), count(r.recovered), r.dropped(),
	}
}

func (r row) dropped() string {
	if r.stats == nil {
		return "-"
	}
	return count(r.stats.Closes["peer_closed"] + r.stats.UnexpectedData)
}

// failuresText says what the failed requests got for an answer; nothing if none failed.
func failuresText(rows []row) string {
	var t table
	t.texts = 4
	for _, r := range rows {
		for _, text := range byCount(r.errors) {
			t.add(r.server, r.client, count(r.errors[text]), text)
		}
	}
	if len(t.rows) == 0 {
		return ""
	}
	return "\nWhat failed:\n" + t.text("  ")
}

// closesText says why peerpool closed connections.
func closesText(rows []row) string {
	var t table
	t.texts = 3
	for _, r := range rows {
		if r.stats != nil {
			t.add(r.server, countsText(r.stats.Closes), idleText(r.stats))
		}
	}
	if len(t.rows) == 0 {
		return ""
	}
	return "\nWhy peerpool closed connections:\n" + t.text("  ")
}

func idleText(s *peerpool.Stats) string {
	return fmt.Sprintf("%d idle at the end", s.Idle)
}

// countsText lists counts by name, the highest first, or says that there are none.
func countsText[K ~string](counts map[K]uint64) string {
	var parts []string
	for _, name := range byCount(counts) {
		if counts[name] > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", name, counts[name]))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// byCount returns the names with the highest count first.
func byCount[M ~map[K]uint64, K ~string](counts M) []K {
	return slices.SortedFunc(maps.Keys(counts), func(a, b K) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
}

func count(n uint64) string { return strconv.FormatUint(n, 10) }

// percent rounds down, so that only all of them are 100 %.
func percent(part, whole uint64) string {
	if whole == 0 {
		return "-"
	}
	tenths := part * 1000 / whole
	return fmt.Sprintf("%d.%d%%", tenths/10, tenths%10)
}
