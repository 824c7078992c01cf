// Package otelpool watches a [peerpool.Transport] with OpenTelemetry:
//
//	transport := peerpool.New()
//	transport.Observer = otelpool.New().Observer()
//	client := &http.Client{Transport: otelhttp.NewTransport(transport)}
//
// A span of the request, be it otelhttp's or the caller's own, gets an event "peerpool.acquire" for each attempt, a
// child "HTTP wait_for_connection" where it had to wait, and a link to the "HTTP connection_setup" of the connection
// that served it, which is the root of a trace of its own. A retry is an event, and no error. Requests that are not
// recorded get nothing of all that. The metrics follow the conventions for HTTP clients and for DNS where these have
// a name, and stand under "peerpool." where they have none. docs/observability.md lists everything.
//
// No metric holds the address of a peer. They tell servers apart only on request, see [WithHosts].
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

// scope is the name of the tracer and of the meter.
const scope = "github.com/peerpool/peerpool/otelpool"

// version is that of this module in the program, or "" where the program was built without modules.
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

// Option changes what [New] returns.
type Option func(*config)

type config struct {
	tracers trace.TracerProvider
	meters  metric.MeterProvider
	hosts   int
	name    string
}

// WithTracerProvider has spans made by p. Without it, or with nil, the global provider makes them.
func WithTracerProvider(p trace.TracerProvider) Option {
	return func(c *config) {
		if p != nil {
			c.tracers = p
		}
	}
}

// WithMeterProvider has metrics kept by p. Without it, or with nil, the global provider keeps them.
func WithMeterProvider(p metric.MeterProvider) Option {
	return func(c *config) {
		if p != nil {
			c.meters = p
		}
	}
}

// WithHosts adds server.address and server.port to the metrics, and dns.question.name to that of look-ups, as the
// conventions require it, for the first n servers and hosts; all others are one server.address "other" without a
// port. With n of zero or less, which is the default, servers are not told apart.
func WithHosts(n int) Option { return func(c *config) { c.hosts = n } }

// WithName adds an attribute peerpool.name to the metrics, so that Transports with an Observer each can be told
// apart. Without it, or with "", their numbers add up.
func WithName(name string) Option { return func(c *config) { c.name = name } }

// Telemetry makes spans and keeps metrics of what its Observer is told.
type Telemetry struct{ observer *peerpool.Observer }

// New returns a Telemetry. The provider of the meters keeps hold of it: make one per Transport, not one per request. An
// instrument that the provider refuses is reported to otel.Handle, and does nothing.
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
	return &Telemetry{peerpool.Observers(t.observer(), m.observer())}
}

// Observer returns the hooks by which t learns of what happens, always the same. They may serve several Transports, whose
// numbers add up.
func (t *Telemetry) Observer() *peerpool.Observer { return t.observer }
