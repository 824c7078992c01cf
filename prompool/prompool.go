// Package prompool exports a [peerpool.Transport] to Prometheus:
//
//	transport := peerpool.New()
//	collector := prompool.New(transport, prompool.WithName("billing"))
//	transport.Observer = collector.Observer() // before the first request
//	registry.MustRegister(collector)
//
// Nothing happens on import and nothing is registered by itself. Gauges, and counters with their reasons, are read
// from [peerpool.Transport.Stats] at each scrape; what is counted for hosts, and histograms, classic and native at once,
// come from the Observer.
// Those that belong to a request carry its trace ID as an exemplar, if it has a sampled span of OpenTelemetry.
// docs/observability.md lists every metric.
//
// No label holds the address of a peer; the host is one only on request, see [WithHosts].
package prompool

import (
	"strconv"
	"sync/atomic"

	"github.com/peerpool/peerpool"
	"github.com/prometheus/client_golang/prometheus"
)

// Option changes what [New] returns.
type Option func(*config)

type config struct {
	name  string
	hosts int
}

// WithName sets the label pool, which all metrics of a Collector have. Without it, or with "", it is the Collector's
// number in the process, which depends on the order in which they are made: name those that you have more than one of.
func WithName(name string) Option { return func(c *config) { c.name = name } }

// WithHosts adds the label host, "example.com:443", to the metrics that events are counted for, for the first n
// hosts; all others are the host "other". With n of zero or less, which is the default, hosts are not told apart.
func WithHosts(n int) Option { return func(c *config) { c.hosts = n } }

// collectors numbers those without a name, so that they can be registered side by side.
var collectors atomic.Uint64

// Collector is a [prometheus.Collector] for one Transport.
type Collector struct {
	transport *peerpool.Transport
	stats     statsDescs
	events    *events
}

var _ prometheus.Collector = (*Collector)(nil)

// New returns a Collector for t, to be registered by the caller, which is to set its Observer on t as well. It does not use t
// before it is asked for metrics: the fields of t may still be set. The registry keeps hold of the Transport.
func New(t *peerpool.Transport, opts ...Option) *Collector {
	var c config
	for _, opt := range opts {
		opt(&c)
	}
	if c.name == "" {
		c.name = strconv.FormatUint(collectors.Add(1), 10)
	}
	pool := prometheus.Labels{"pool": c.name}
	return &Collector{transport: t, stats: newStatsDescs(pool), events: newEvents(pool, c.hosts)}
}

// Observer returns the hooks by which c learns of events. They are for the Transport of this Collector, which must have
// them from its first request on, and for Clones of it: their events are counted with those of the Transport. Without them
// the metrics that come from events stay at zero.
func (c *Collector) Observer() *peerpool.Observer { return c.events.observer() }

// Describe is the registry's.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	c.stats.describe(ch)
	for _, vec := range c.events.all() {
		vec.Describe(ch)
	}
}

// Collect is the registry's. It takes one snapshot of the Transport.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	c.stats.collect(ch, c.transport.Stats())
	for _, vec := range c.events.all() {
		vec.Collect(ch)
	}
}
