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
  failed     got an error instead of an answer. If a connection ends while the server has a POST unanswered,
             nobody knows whether the server has carried it out, so every client must let the POST fail
  wrong      got the answer to another request
  conns      connections opened, as the server counted them
  saved      requests minus connections: the handshakes that were not needed
  hits       attempts on a connection that had served before or had idled
  recovered  requests answered after their first attempt had met a dead connection
  dropped    connections that the client closed before a request used them, because the server had closed them
             or had sent bytes that answer no request; net/http does not count them
`

// demoText returns the report of the demonstration.
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
	b.WriteString(restartsText(rows))
	b.WriteString(addressesText(rows))
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

// restartsText explains the failures at a server that restarts. It returns "" if no server did.
func restartsText(rows []row) string {
	t := table{texts: 2}
	for _, r := range rows {
		if r.restarts > 0 {
			t.add(r.server, r.client, fmt.Sprintf("%d restarts", r.restarts), fmt.Sprintf("%d POSTs lost", r.lost),
				fmt.Sprintf("%d requests failed", r.failed))
		}
	}
	if len(t.rows) == 0 {
		return ""
	}
	return "\nEach restart ends all connections that have carried a request, while the server has one unanswered request of each\n" +
		"caller. With every client, the POSTs among these requests are lost, and the other ones are sent again. A failure\n" +
		"beyond the lost POSTs is the client's:\n" + t.text("  ")
}

// addressesText says how the requests were spread over the addresses of a host. It returns "" if no host had several.
func addressesText(rows []row) string {
	t := table{texts: 2}
	for _, r := range rows {
		if len(r.served) > 1 {
			cells := []string{r.server, r.client}
			for _, n := range r.served {
				cells = append(cells, strconv.FormatInt(n, 10))
			}
			t.add(cells...)
		}
	}
	if len(t.rows) == 0 {
		return ""
	}
	return "\nRequests at each address of the host. After a third of them, the address with the most connections was gone.\n" +
		"peerpool has Balance set to round robin, net/http dials what the resolver lists first:\n" + t.text("  ")
}

// failuresText lists the errors of the failed requests. It returns "" if no request failed.
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

// countsText lists counts by name, with the highest first. It returns "none" if all are zero.
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

// percent rounds down, so that it returns 100 % only if part is whole.
func percent(part, whole uint64) string {
	if whole == 0 {
		return "-"
	}
	tenths := part * 1000 / whole
	return fmt.Sprintf("%d.%d%%", tenths/10, tenths%10)
}
