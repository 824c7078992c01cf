package prompool

import (
	"github.com/peerpool/peerpool"
	"github.com/prometheus/client_golang/prometheus"
)

// statsDescs holds the descriptions of the metrics that come from Stats.
type statsDescs struct {
	connections, dialing, waiting, quarantined *prometheus.Desc

	opened, hijacked, closed, unexpected *prometheus.Desc
	misses, dials, addresses             *prometheus.Desc
	retries, retried, overBudget         *prometheus.Desc
	replacements, learned, timeouts      *prometheus.Desc
}

func newStatsDescs(pool prometheus.Labels) statsDescs {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("peerpool_"+name, help, labels, pool)
	}
	return statsDescs{
		connections:  desc("connections", "Connections by state: idle, or active with a request.", "state"),
		dialing:      desc("dials_in_progress", "Dials under way."),
		waiting:      desc("waiting_requests", "Requests that wait for a connection."),
		quarantined:  desc("quarantined_peers", "Peers whose connections serve one request each, because they have sent bytes that answer no request."),
		opened:       desc("connections_opened_total", "Connections opened."),
		hijacked:     desc("connections_hijacked_total", "Connections handed over to the caller by an upgrade."),
		closed:       desc("connections_closed_total", "Connections closed, by reason.", "reason"),
		unexpected:   desc("unexpected_data_total", "Connections closed because the server sent bytes that answer no request."),
		misses:       desc("misses_total", "Attempts that found no idle connection, by reason.", "reason"),
		dials:        desc("dials_total", "Dials begun."),
		addresses:    desc("addresses", "Addresses of hosts that have several, by state: listed, leaving, or left out: avoided, ejected or trial.", "state"),
		replacements: desc("replacements_total", "Dials begun to replace a connection before it reaches a limit."),
		learned:      desc("learned_limits", "Peers with a learned limit, by limit: idle_time or requests.", "limit"),
		timeouts:     desc("request_timeouts_total", "Requests that a time limit has ended, by limit.", "limit"),
		overBudget:   desc("retries_over_budget_total", "Requests that failed instead of being sent again, because of the retry budget."),
		retries:      desc("retries_total", "Requests sent again, by reason.", "reason"),
		retried:      desc("retried_requests_total", "Requests sent more than once, by whether they got a response: saved or failed.", "outcome"),
	}
}

func (d *statsDescs) describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		d.connections, d.dialing, d.waiting, d.quarantined, d.opened, d.hijacked, d.closed, d.unexpected,
		d.misses, d.dials, d.addresses, d.retries, d.retried, d.overBudget,
		d.replacements, d.learned, d.timeouts,
	} {
		ch <- desc
	}
}

// collect reports every reason that exists, even one that has not occurred: if a counter appears with its first event,
// no increase shows.
func (d *statsDescs) collect(ch chan<- prometheus.Metric, s peerpool.Stats, hosts []peerpool.HostStats) {
	send := func(desc *prometheus.Desc, kind prometheus.ValueType, n float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, kind, n, labels...)
	}
	gauge := func(desc *prometheus.Desc, n int, labels ...string) {
		send(desc, prometheus.GaugeValue, float64(n), labels...)
	}
	counter := func(desc *prometheus.Desc, n uint64, labels ...string) {
		send(desc, prometheus.CounterValue, float64(n), labels...)
	}
	gauge(d.connections, s.Idle, "idle")
	gauge(d.connections, s.Active, "active")
	gauge(d.dialing, s.Dialing)
	gauge(d.waiting, s.Waiting)
	gauge(d.quarantined, len(s.Quarantined))
	addresses := addressesOf(hosts)
	for _, state := range peerpool.AddressStates() {
		gauge(d.addresses, addresses[state], string(state))
	}
	counter(d.opened, s.Opened)
	counter(d.hijacked, s.Hijacked)
	for _, reason := range peerpool.CloseReasons() {
		counter(d.closed, s.Closes[reason], string(reason))
	}
	counter(d.unexpected, s.UnexpectedData)
	for _, miss := range peerpool.MissReasons() {
		counter(d.misses, s.Misses[miss], string(miss))
	}
	counter(d.dials, s.Dials)
	for reason, n := range s.Retries.ByReason() {
		counter(d.retries, n, string(reason))
	}
	counter(d.retried, s.Retries.Saved, "saved")
	counter(d.retried, s.Retries.Failed, "failed")
	counter(d.overBudget, s.Retries.OverBudget)
	counter(d.replacements, s.Replacements)
	for limit, n := range s.Timeouts {
		counter(d.timeouts, n, string(limit))
	}
	idle, requests := learnedOf(s.Learned)
	gauge(d.learned, idle, "idle_time")
	gauge(d.learned, requests, "requests")
}

// addressesOf counts the addresses of all hosts by their state.
func addressesOf(hosts []peerpool.HostStats) map[peerpool.AddressState]int {
	n := make(map[peerpool.AddressState]int)
	for _, h := range hosts {
		for _, a := range h.Addresses {
			n[a.State]++
		}
	}
	return n
}

// learnedOf counts the peers for which each limit is known.
func learnedOf(peers []peerpool.PeerLimits) (idle, requests int) {
	for _, p := range peers {
		if p.IdleTime > 0 {
			idle++
		}
		if p.Requests > 0 {
			requests++
		}
	}
	return idle, requests
}
