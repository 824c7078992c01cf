// Package allpool attaches OpenTelemetry, Prometheus, log/slog and the page of package poolz to a [peerpool.Transport] in
// one call:
//
//	transport := peerpool.New()
//	page, err := allpool.Attach(transport, allpool.Options{Name: "billing"})
//	...
//	mux.Handle("/debug/peerpool", page)
//
// If a program needs only some of these, or settings that Options does not have, it uses the packages otelpool, prompool,
// logpool and poolz directly. Each has a function New, whose result has a method Observer.
package allpool

import (
	"errors"
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

// Options say how a Transport is observed. The zero value uses what is global when Attach is called: OpenTelemetry's
// providers, [prometheus.DefaultRegisterer] and [slog.Default].
type Options struct {
	// Name distinguishes the metrics of several Transports. See [prompool.WithName] and [otelpool.WithName].
	Name string

	// Hosts is the number of hosts that the metrics distinguish. Zero means that they distinguish none. See
	// [prompool.WithHosts] and [otelpool.WithHosts].
	Hosts int

	// Tracers, Meters, Registerer and Logger replace the global ones. If one is nil, the global one is used.
	Tracers    trace.TracerProvider
	Meters     metric.MeterProvider
	Registerer prometheus.Registerer
	Logger     *slog.Logger

	// AllowDrain, if true, adds the button of [poolz.AllowDrain] to the page.
	AllowDrain bool
}

// Attach adds OpenTelemetry, Prometheus, a log and a page to t, and returns the page. It sets t.Observer to an
// Observer that also calls the previous one. Call Attach before the first request, and do not replace the Observer
// afterwards. If t is nil, or the Registerer returns an error, Attach returns an error and changes nothing.
func Attach(t *peerpool.Transport, o Options) (*poolz.Page, error) {
	if t == nil {
		return nil, errors.New("allpool: Attach was called without a Transport")
	}
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
	t.Observer = peerpool.MultiObserver(
		t.Observer, telemetry.Observer(), collector.Observer(), logpool.New(o.Logger).Observer(), page.Observer())
	return page, nil
}
