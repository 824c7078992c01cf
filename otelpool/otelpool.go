// Package otelpool reports what a [peerpool.Transport] does to OpenTelemetry:
//
//	transport := peerpool.New()
//	transport.Observer = otelpool.New().Observer()
//	client := &http.Client{Transport: otelhttp.NewTransport(transport)}
//
// The span of a request may be otelhttp's or the caller's own. It gets an event "peerpool.acquire" for each attempt, and
// a child span "HTTP wait_for_connection" if the request had to wait. It also gets a link to the span "HTTP
// connection_setup" of the connection that served the request. That span is the root of a trace of its own. A retry is
// recorded as an event, not as an error. If the span of a request is not recorded, the package adds nothing to it.
//
// Metrics have the names of the OpenTelemetry conventions for HTTP clients and for DNS. Metrics for which the conventions
// have no name begin with "peerpool.". docs/observability.md lists all spans and metrics.
//
// No metric holds the address of a peer. To distinguish servers in metrics, use [WithHosts].
package otelpool

import (
	"runtime/debug"
	"sync"

	"github.com/peerpool/peerpool"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// scope is the name of the tracer and the meter.
const scope = "github.com/peerpool/peerpool/otelpool"

// version returns the version of this module in the program, or "" if the program was built without modules.
var version = sync.OnceValue(func() string {
	const module = "github.com/peerpool/peerpool"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, m := range append([]*debug.Module{&info.Main}, info.Deps...) {
		if m.Path == module {
			return m.Version
		}
	}
	return ""
})

// An Option changes the Telemetry that [New] returns.
type Option func(*config)

type config struct {
	tracers trace.TracerProvider
	meters  metric.MeterProvider
	hosts   int
	name    string
}

// WithTracerProvider sets the provider that makes the spans. Without it, or if p is nil, the global provider makes
// them.
func WithTracerProvider(p trace.TracerProvider) Option {
	return func(c *config) {
		if p != nil {
			c.tracers = p
		}
	}
}

// WithMeterProvider sets the provider that keeps the metrics. Without it, or if p is nil, the global provider keeps
// them.
func WithMeterProvider(p metric.MeterProvider) Option {
	return func(c *config) {
		if p != nil {
			c.meters = p
		}
	}
}

// WithHosts distinguishes the first n servers and hosts in the metrics. It adds the attributes server.address and
// server.port to the metrics, and dns.question.name to the metric of look-ups, for which the conventions require it.
// All other servers share the server.address "other" and have no port. If n is zero or less, which is the default,
// the metrics do not distinguish servers.
func WithHosts(n int) Option { return func(c *config) { c.hosts = n } }

// WithName adds the attribute peerpool.name to the metrics, to distinguish Transports that each have their own
// Observer. Without it, or if name is "", the metrics add up the numbers of all these Transports.
func WithName(name string) Option { return func(c *config) { c.name = name } }

// Telemetry makes spans and records metrics from the events that its Observer receives.
type Telemetry struct{ observer *peerpool.Observer }

// New returns a Telemetry. Its meter provider keeps a reference to it, so create one for each Transport, not one for
// each request. If the provider refuses an instrument, New reports this to otel.Handle, and the instrument records
// nothing.
func New(opts ...Option) *Telemetry {
	c := config{tracers: otel.GetTracerProvider(), meters: otel.GetMeterProvider()}
	for _, opt := range opts {
		opt(&c)
	}
	var common []attribute.KeyValue
	if c.name != "" {
		common = []attribute.KeyValue{keyName.String(c.name)}
	}
	t := newTracing(c.tracers.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL), trace.WithInstrumentationVersion(version())))
	m := newMetrics(c.meters.Meter(scope, metric.WithSchemaURL(semconv.SchemaURL), metric.WithInstrumentationVersion(version())),
		c.hosts, common)
	return &Telemetry{peerpool.MultiObserver(t.observer(), m.observer())}
}

// Observer returns the Observer through which t receives events. It returns the same Observer each time. Several
// Transports may use it; the metrics add up their numbers.
func (t *Telemetry) Observer() *peerpool.Observer { return t.observer }
