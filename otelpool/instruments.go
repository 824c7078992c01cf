package otelpool

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/dnsconv"
	"go.opentelemetry.io/otel/semconv/v1.43.0/httpconv"
)

// These are the buckets that the conventions recommend, in seconds, and those of requests per connection.
var (
	durationBuckets   = []float64{.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}
	connectionBuckets = []float64{.01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30, 60, 120, 300}
	requestBuckets    = []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000}
)

type instruments struct {
	open     metric.Int64ObservableUpDownCounter
	requests metric.Int64ObservableUpDownCounter
	acquires metric.Int64ObservableCounter
	closes   metric.Int64ObservableCounter
	retries  metric.Int64ObservableCounter
	retried  metric.Int64ObservableCounter
	timeouts metric.Int64ObservableCounter
	stray    metric.Int64ObservableCounter

	lifetimes metric.Float64Histogram
	lookups   metric.Float64Histogram
	dials     metric.Float64Histogram
	waits     metric.Float64Histogram
	perConn   metric.Int64Histogram
	confined  metric.Int64UpDownCounter
}

// newInstruments makes the instruments. The meter calls collect for the observable ones.
func newInstruments(meter metric.Meter, collect func(metric.Observer, *instruments)) instruments {
	var i instruments
	open, err := httpconv.NewClientOpenConnectionsObservable(meter)
	handle(err)
	requests, err := httpconv.NewClientActiveRequestsObservable(meter)
	handle(err)
	lifetimes, err := httpconv.NewClientConnectionDuration(meter, metric.WithExplicitBucketBoundaries(connectionBuckets...))
	handle(err)
	lookups, err := dnsconv.NewLookupDuration(meter, metric.WithExplicitBucketBoundaries(durationBuckets...))
	handle(err)
	i.open, i.requests, i.lifetimes, i.lookups = open.Inst(), requests.Inst(), lifetimes.Inst(), lookups.Inst()

	i.acquires = counter(meter, "peerpool.acquires", "{acquire}", "Attempts that asked for a connection, by outcome.")
	i.closes = counter(meter, "peerpool.connection.closes", "{connection}", "Connections that the pool has closed, by reason.")
	i.retries = counter(meter, "peerpool.retries", "{retry}", "Requests sent again, by reason.")
	i.retried = counter(meter, "peerpool.retried_requests", "{request}",
		"Requests that were sent more than once, by whether they got a response in the end.")
	i.timeouts = counter(meter, "peerpool.request.timeouts", "{request}", "Requests that a time limit has ended, by limit.")
	i.stray = counter(meter, "peerpool.connection.unexpected_data", "{connection}",
		"Connections closed because the server sent bytes that answer no request.")
	i.dials = histogram(meter, "peerpool.dial.duration", "Time to set a connection up, look-up and TLS included.")
	i.waits = histogram(meter, "peerpool.wait.duration", "Time that attempts without an idle connection have waited for one.")
	i.perConn, err = meter.Int64Histogram("peerpool.connection.requests", metric.WithUnit("{request}"),
		metric.WithDescription("Requests that a connection has carried when it is closed."),
		metric.WithExplicitBucketBoundaries(requestBuckets...))
	handle(err)

	i.confined, err = meter.Int64UpDownCounter("peerpool.quarantined_peers", metric.WithUnit("{peer}"),
		metric.WithDescription("Peers whose connections serve one request each, because they have sent bytes that answer no request."))
	handle(err)

	_, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		collect(o, &i)
		return nil
	}, i.open, i.requests, i.acquires, i.closes, i.retries, i.retried, i.timeouts, i.stray)
	handle(err)
	return i
}

func counter(meter metric.Meter, name, unit, description string) metric.Int64ObservableCounter {
	c, err := meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
	handle(err)
	return c
}

func histogram(meter metric.Meter, name, description string) metric.Float64Histogram {
	h, err := meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description),
		metric.WithExplicitBucketBoundaries(durationBuckets...))
	handle(err)
	return h
}

func handle(err error) {
	if err != nil {
		otel.Handle(err)
	}
}

// collect reports what was counted. It reports peerpool's own counters from the start, at zero: if a counter appears
// with its first event, no increase shows.
func (m *metrics) collect(o metric.Observer, i *instruments) {
	m.servers.Each(func(s *series) {
		for p := range s.conns {
			c := &s.conns[p]
			if !c.seen.Load() {
				continue
			}
			active, idle := c.state()
			version := semconv.NetworkProtocolVersion(protocols[p])
			o.ObserveInt64(i.open, active, metric.WithAttributeSet(s.with(version, semconv.HTTPConnectionStateActive)))
			o.ObserveInt64(i.open, idle, metric.WithAttributeSet(s.with(version, semconv.HTTPConnectionStateIdle)))
		}
		for _, c := range []struct {
			inst   metric.Int64Observable
			counts *counts
		}{{i.requests, &s.requests}, {i.acquires, &s.acquires}, {i.closes, &s.closes}, {i.retries, &s.retries}, {i.retried, &s.retried}, {i.timeouts, &s.timeouts}} {
			c.counts.each(func(n int64, attrs []attribute.KeyValue) {
				o.ObserveInt64(c.inst, n, metric.WithAttributeSet(s.with(attrs...)))
			})
		}
		o.ObserveInt64(i.stray, s.closes.value(reasonStray), metric.WithAttributeSet(s.with()))
	})
}
