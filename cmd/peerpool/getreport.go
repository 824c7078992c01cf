package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/peerpool/peerpool"
)

// getReport is what "peerpool get" prints, as text or as JSON.
type getReport struct {
	Interrupted bool    `json:"interrupted"`
	Requests    int     `json:"requests"` // that were asked for
	Answered    uint64  `json:"answered"` // responses read to their end
	Failed      uint64  `json:"failed"`
	Unfinished  uint64  `json:"unfinished"` // given up because the command was interrupted
	Seconds     float64 `json:"seconds"`

	Status  map[int]uint64 `json:"status"`
	Errors  errorTexts     `json:"errors"`
	Latency latency        `json:"latency_seconds"`
	Bytes   int64          `json:"bytes"` // of bodies, decoded

	// GivenUpAt counts the requests that -timeout or an interruption ended, by the hop that they had reached.
	GivenUpAt map[hop]uint64 `json:"given_up_at"`

	Protocols   map[string]protocolUse         `json:"protocols"`
	TLS         tlsUse                         `json:"tls"`
	Hosts       []hostReport                   `json:"hosts"` // those with several addresses
	Identities  []identityReport               `json:"identities"`
	Connections connectionReport               `json:"connections"`
	Misses      map[peerpool.MissReason]uint64 `json:"misses"`
	Retries     retryReport                    `json:"retries"`

	Story []string `json:"story,omitempty"` // told if there is one request
}

// latency holds quantiles of the time to the end of a response, in seconds.
type latency struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

type identityReport struct {
	Identity string `json:"identity"`
	identityUse
}

type connectionReport struct {
	Opened uint64                          `json:"opened"`
	Idle   int                             `json:"idle"` // when the last request had ended
	Active int                             `json:"active"`
	Closed map[peerpool.CloseReason]uint64 `json:"closed"`
}

// retryReport counts the requests that were sent again, by reason and by result.
type retryReport struct {
	Stale       uint64 `json:"stale"`
	Unsent      uint64 `json:"unsent"`
	Misdirected uint64 `json:"misdirected"`
	Refused     uint64 `json:"refused"`
	Lost        uint64 `json:"lost"`
	HTTP1       uint64 `json:"http1"`
	Address     uint64 `json:"another_address"`
	OverBudget  uint64 `json:"over_budget"`
	Saved       uint64 `json:"saved"`
	Failed      uint64 `json:"failed"`
}

func newGetReport(t *tally, w *witness, stats peerpool.Stats, hosts []peerpool.HostStats) *getReport {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := &t.latencies
	r := &getReport{
		Answered: h.total, Failed: t.failed, Unfinished: t.unfinished,
		Status: orEmpty(t.statuses), Errors: orEmpty(t.errors), Bytes: t.bytes,
		Latency: latency{
			P50: h.quantile(0.50).Seconds(), P90: h.quantile(0.90).Seconds(),
			P99: h.quantile(0.99).Seconds(), Max: h.max.Seconds(),
		},
		Connections: connectionReport{
			Opened: stats.Opened, Idle: stats.Idle, Active: stats.Active, Closed: orEmpty(stats.Closes),
		},
		Misses:    orEmpty(stats.Misses),
		Retries:   retryReport(stats.Retries),
		GivenUpAt: orEmpty(t.givenUpAt),
	}
	w.report(r)
	r.Hosts = hostReports(hosts, w.requests)
	return r
}

// report fills in what the witness has seen. The identity with the most requests is the first.
func (w *witness) report(r *getReport) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r.Identities = []identityReport{}
	for id, use := range w.identities {
		r.Identities = append(r.Identities, identityReport{id.String(), *use})
	}
	slices.SortFunc(r.Identities, func(a, b identityReport) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.Identity, b.Identity))
	})
	r.Protocols = make(map[string]protocolUse)
	for name, use := range w.protocols {
		r.Protocols[name] = *use
	}
	r.TLS = w.tls
	r.TLS.Versions = maps.Clone(w.tls.Versions)
	r.Story = slices.Clone(w.story)
}

// orEmpty returns m, or an empty map if m is nil, so that JSON shows {} and not null.
func orEmpty[M ~map[K]V, K comparable, V any](m M) M {
	if m == nil {
		return M{}
	}
	return m
}

// text returns the report as text.
func (r *getReport) text() string {
	var b strings.Builder
	if r.Interrupted {
		b.WriteString("Interrupted. What was done so far:\n\n")
	}
	for _, line := range r.Story {
		fmt.Fprintf(&b, "%s\n", line)
	}
	if len(r.Story) > 0 {
		b.WriteString("\n")
	}
	t := table{texts: 2}
	t.add("requests", r.outcomeText())
	t.add("status", statusText(r.Status))
	t.add("latency", r.latencyText())
	t.add("bytes", fmt.Sprint(r.Bytes))
	t.add("protocol", protocolsText(r.Protocols))
	if text := r.TLS.text(); text != "" {
		t.add("TLS", text)
	}
	c := r.Connections
	t.add("connections", fmt.Sprintf("%d opened, %d idle, %d active", c.Opened, c.Idle, c.Active))
	t.add("closed", countsText(c.Closed))
	t.add("misses", countsText(r.Misses))
	t.add("retries", r.Retries.text())
	b.WriteString(t.text(""))
	b.WriteString(r.errorsText())
	b.WriteString(r.givenUpText())
	b.WriteString(hostsText(r.Hosts))
	b.WriteString(r.identitiesText())
	return b.String()
}

func (r *getReport) outcomeText() string {
	text := fmt.Sprintf("%d answered, %d failed", r.Answered, r.Failed)
	if r.Interrupted {
		text += fmt.Sprintf(", %d given up, %d not sent", r.Unfinished, r.unsent())
	}
	return text + fmt.Sprintf(", in %s", brief(seconds(r.Seconds)))
}

func (r *getReport) unsent() uint64 { return uint64(r.Requests) - r.Answered - r.Failed - r.Unfinished }

func (r *getReport) latencyText() string {
	if r.Answered == 0 {
		return "none"
	}
	l := r.Latency
	return fmt.Sprintf("p50 %s, p90 %s, p99 %s, max %s",
		brief(seconds(l.P50)), brief(seconds(l.P90)), brief(seconds(l.P99)), brief(seconds(l.Max)))
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func statusText(status map[int]uint64) string {
	named := make(map[string]uint64, len(status))
	for code, n := range status {
		named[fmt.Sprint(code)] = n
	}
	return countsText(named)
}

func (r retryReport) text() string {
	if r == (retryReport{}) {
		return "none"
	}
	return fmt.Sprintf("%s; %d saved, %d failed",
		countsText(peerpool.Retries(r).ByReason()), r.Saved, r.Failed)
}

// errorsText lists the errors. It returns "" if there were none.
func (r *getReport) errorsText() string {
	if len(r.Errors) == 0 {
		return ""
	}
	t := table{texts: 2}
	for _, text := range byCount(r.Errors) {
		t.add(count(r.Errors[text]), text)
	}
	return "\nWhat failed:\n" + t.text("  ")
}

// givenUpText lists the hops of requests that were given up. It returns "" if there were none.
func (r *getReport) givenUpText() string {
	if len(r.GivenUpAt) == 0 {
		return ""
	}
	t := table{texts: 3}
	for _, at := range byCount(r.GivenUpAt) {
		t.add(count(r.GivenUpAt[at]), string(at), "waited for "+hopMeanings[at])
	}
	return "\nWhere the requests were when they were given up:\n" + t.text("  ")
}

// protocolsText says what each protocol has carried. The one with the most responses is the first.
func protocolsText(protocols map[string]protocolUse) string {
	names := slices.SortedFunc(maps.Keys(protocols), func(a, b string) int {
		return cmp.Or(cmp.Compare(protocols[b].Responses, protocols[a].Responses), cmp.Compare(a, b))
	})
	var parts []string
	for _, name := range names {
		use := protocols[name]
		text := fmt.Sprintf("%s: %s over %s", name, several(use.Responses, "response"), several(use.Connections, "connection"))
		if use.MostAtOnce > 1 {
			text += fmt.Sprintf(", up to %d requests at a time on one", use.MostAtOnce)
		}
		parts = append(parts, text)
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, "; ")
}

// text says how many TLS handshakes there were. It returns "" if there was none.
func (u tlsUse) text() string {
	if u.Handshakes+u.Failed == 0 {
		return ""
	}
	text := fmt.Sprintf("%s, %d resumed, %d failed", several(u.Handshakes, "handshake"), u.Resumed, u.Failed)
	if len(u.Versions) > 0 {
		text += "; " + countsText(u.Versions)
	}
	return text
}

// several writes a number with what it counts.
func several(n uint64, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

func (r *getReport) identitiesText() string {
	if len(r.Identities) == 0 {
		return ""
	}
	t := table{texts: 1}
	t.add("identity", "requests", "connections", "hits", "failed dials", "failed connects")
	for _, id := range r.Identities {
		t.add(id.Identity, count(id.Requests), count(id.Connections), count(id.Hits), count(id.DialFailures), count(id.ConnectFailures))
	}
	return "\n" + t.text("")
}
