package prompool

import (
	"github.com/peerpool/peerpool"
	"github.com/prometheus/client_golang/prometheus"
)

// statsDescs describes what is read from Stats.
type statsDescs struct {
	connections, dialing, waiting, quarantined *prometheus.Desc

	opened, hijacked, closed, unexpected *prometheus.Desc
	misses, dials, addresses             *prometheus.Desc
	retries, retried                     *prometheus.Desc
}

func newStatsDescs(pool prometheus.Labels) statsDescs {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("peerpool_"+name, help, labels, pool)
	}
	return statsDescs{
		connections: desc("connections", "Connections by state: idle, or active with a request.", "state"),
		dialing:     desc("dials_in_progress", "Dials under way."),
		waiting:     desc("waiting_requests", "Requests that wait for a connection."),
		quarantined: desc("quarantined_peers", "Peers whose connections serve one request each, because they have sent bytes that answer no request."),
		opened:      desc("connections_opened_total", "Connections opened."),
		hijacked:    desc("connections_hijacked_total", "Connections handed over to the caller by an upgrade."),
		closed:      desc("connections_closed_total", "Connections closed, by reason.", "reason"),
		unexpected:  desc("unexpected_data_total", "Connections closed because the server sent bytes that answer no request."),
		misses:      desc("misses_total", "Attempts that found no idle connection, by reason.", "reason"),
		dials:       desc("dials_total", "Dials begun."),
		addresses:   desc("addresses", "Addresses of hosts that have several, by state: listed, leaving, or left out: avoided, ejected or trial.", "state"),
		retries:     desc("retries_total", "Requests sent again, by reason.", "reason"),
		retried:     desc("retried_requests_total", "Requests sent more than once, by whether they got a response: saved or failed.", "outcome"),
	}
}

func (d *statsDescs) describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		d.connections, d.dialing, d.waiting, d.quarantined, d.opened, d.hijacked, d.closed, d.unexpected,
		d.misses, d.dials, d.addresses, d.retries, d.retried,
	} {
		ch <- desc
	}
}

// collect reports every reason there is, also those that have not come up: a counter that appears with its first
// event shows no increase for it.
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
