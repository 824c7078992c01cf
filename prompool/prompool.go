// Package prompool exports metrics of a [peerpool.Transport] to Prometheus:
//
//	transport := peerpool.New()
//	collector := prompool.New(transport, prompool.WithName("billing"))
//	transport.Observer = collector.Observer() // before the first request
//	registry.MustRegister(collector)
//
// Importing the package has no effect, and the package registers nothing by itself. At each scrape, the Collector reads
// gauges, and counters with their reasons, from [peerpool.Transport.Stats]. Counts for hosts, and histograms, come from the
// Observer. Histograms are classic and native at once. The metrics of a request carry its trace ID as an exemplar if the
// request has a sampled OpenTelemetry span. docs/observability.md lists every metric.
//
// No label holds the address of a peer. To add a label for the host, use [WithHosts].
package prompool

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/peerpool/peerpool"
	"github.com/prometheus/client_golang/prometheus"
)

// An Option changes the Collector that [New] returns.
type Option func(*config)

type config struct {
	name  string
	hosts int
}

// WithName sets the value of the label pool, which all metrics of a Collector have. Without it, or if name is "", the
// value is the path of the program's main package, such as "example.com/billing/cmd/server", so that the pools of several
// programs do not share a value. A second unnamed Collector of a program has that path and "#2", and so on: which one
// depends on the order in which Collectors are made. Name your Collectors if there are several.
func WithName(name string) Option { return func(c *config) { c.name = name } }

// WithHosts adds the label host, for example "example.com:443", to the metrics that count events, for the first n
// hosts. All other hosts share the value "other". If n is zero or less, which is the default, the metrics do not
// distinguish hosts.
func WithHosts(n int) Option { return func(c *config) { c.hosts = n } }

// collectors counts the Collectors without a name, so that they can be registered side by side.
var collectors atomic.Uint64

// program returns a name that distinguishes this program's pools from those of other programs. A number would be the
// same in all programs.
var program = sync.OnceValue(func() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Path != "" && info.Path != "command-line-arguments" {
		return info.Path
	}
	return filepath.Base(os.Args[0])
})

// unnamed returns the value of the label pool for the next Collector without a name.
func unnamed() string {
	if n := collectors.Add(1); n > 1 {
		return program() + "#" + strconv.FormatUint(n, 10)
	}
	return program()
}

// Collector is a [prometheus.Collector] for one Transport.
type Collector struct {
	transport *peerpool.Transport
	stats     statsDescs
	events    *events
}

var _ prometheus.Collector = (*Collector)(nil)

// New returns a Collector for t. The caller must register the Collector, and should set the Collector's Observer on t
// as well. The Collector does not use t before metrics are collected, so the fields of t may still be set. A registry
// that holds the Collector keeps a reference to t.
func New(t *peerpool.Transport, opts ...Option) *Collector {
	var c config
	for _, opt := range opts {
		opt(&c)
	}
	if c.name == "" {
		c.name = unnamed()
	}
	pool := prometheus.Labels{"pool": c.name}
	return &Collector{transport: t, stats: newStatsDescs(pool), events: newEvents(pool, c.hosts)}
}

// Observer returns the Observer through which c receives events. Set it on the Collector's Transport before the first
// request. Clones of that Transport may use it too; their events are counted with those of the Transport. Without the
// Observer, the metrics that come from events stay at zero.
func (c *Collector) Observer() *peerpool.Observer { return c.events.observer() }

// Describe implements [prometheus.Collector].
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	c.stats.describe(ch)
	for _, vec := range c.events.all() {
		vec.Describe(ch)
	}
}

// Collect implements [prometheus.Collector]. It takes one snapshot of the Transport, and one of its hosts.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	c.stats.collect(ch, c.transport.Stats(), c.transport.Hosts())
	for _, vec := range c.events.all() {
		vec.Collect(ch)
	}
}
