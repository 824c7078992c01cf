// Package allpool attaches all that watches a [peerpool.Transport] in one call: OpenTelemetry, Prometheus, log/slog and the
// page.
//
//	transport := peerpool.New()
//	page, err := allpool.Attach(transport, allpool.Options{Name: "billing"})
//	...
//	mux.Handle("/debug/peerpool", page)
//
// A program that wants some of it, or has registries of its own for each, uses otelpool, prompool, logpool and poolz: each
// has a New, and what that returns an Observer.
package allpool

import (
	"log/slog"

	"github.com/peerpool/peerpool"
	"github.com/peerpool/peerpool/logpool"
	"github.com/peerpool/peerpool/otelpool"
	"github.com/peerpool/peerpool/poolz"
	"github.com/peerpool/peerpool/prompool"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// Options say how a Transport is watched. The zero value has what is global tell of it: the providers of OpenTelemetry,
// [prometheus.DefaultRegisterer] and [slog.Default], all as they are when Attach is called.
type Options struct {
	// Name tells the metrics of several Transports apart. See [prompool.WithName] and [otelpool.WithName].
	Name string

	// Hosts is how many hosts metrics tell apart; 0: none. See [prompool.WithHosts].
	Hosts int

	Tracers    trace.TracerProvider
	Meters     metric.MeterProvider
	Registerer prometheus.Registerer
	Logger     *slog.Logger

	// AllowDrain puts a button on the page: see [poolz.AllowDrain].
	AllowDrain bool
}

// Attach sets t.Observer to one that tells OpenTelemetry, Prometheus, the log and a page, besides whoever it was before, and
// returns the page. It must be called before the first request, and the Observer must not be replaced afterwards. The error is
// that of the Registerer; t is as it was then.
func Attach(t *peerpool.Transport, o Options) (*poolz.Page, error) {
	if o.Registerer == nil {
		o.Registerer = prometheus.DefaultRegisterer
	}
	collector := prompool.New(t, prompool.WithName(o.Name), prompool.WithHosts(o.Hosts))
	if err := o.Registerer.Register(collector); err != nil {
		return nil, err
	}
	telemetry := otelpool.New(otelpool.WithName(o.Name), otelpool.WithHosts(o.Hosts),
		otelpool.WithTracerProvider(o.Tracers), otelpool.WithMeterProvider(o.Meters))
	var options []poolz.Option
	if o.AllowDrain {
		options = append(options, poolz.AllowDrain())
	}
	page := poolz.New(t, options...)
	t.Observer = peerpool.Observers(
		t.Observer, telemetry.Observer(), collector.Observer(), logpool.New(o.Logger).Observer(), page.Observer())
	return page, nil
}
