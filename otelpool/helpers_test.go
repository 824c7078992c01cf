package otelpool_test

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/peerpool/peerpool"
	"github.com/peerpool/peerpool/internal/testkit"
	"github.com/peerpool/peerpool/otelpool"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// lab is a Transport that is watched, and what the watching brought to light.
type lab struct {
	*peerpool.Transport
	t       testing.TB
	spans   *tracetest.InMemoryExporter
	tracers *sdktrace.TracerProvider
	reader  *sdkmetric.ManualReader
}

func watch(t testing.TB, tr *peerpool.Transport, opts ...otelpool.Option) *lab {
	t.Helper()
	return watchSampled(t, tr, sdktrace.AlwaysSample(), opts...)
}

func watchSampled(t testing.TB, tr *peerpool.Transport, sampler sdktrace.Sampler, opts ...otelpool.Option) *lab {
	t.Helper()
	l := &lab{Transport: tr, t: t, spans: tracetest.NewInMemoryExporter(), reader: sdkmetric.NewManualReader()}
	l.tracers = sdktrace.NewTracerProvider(sdktrace.WithSyncer(l.spans), sdktrace.WithSampler(sampler))
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(l.reader))
	opts = append([]otelpool.Option{otelpool.WithTracerProvider(l.tracers), otelpool.WithMeterProvider(meters)}, opts...)
	tr.Observer = otelpool.New(opts...).Observer()
	t.Cleanup(tr.CloseIdleConnections)
	return l
}

// inSpan runs do under a span of its own, called "request", and returns that.
func (l *lab) inSpan(do func(ctx context.Context)) tracetest.SpanStub {
	l.t.Helper()
	before := len(l.named("request"))
	ctx, span := l.tracers.Tracer("test").Start(l.t.Context(), "request")
	do(ctx)
	span.End()
	return l.named("request")[before]
}

// get fetches url under a span.
func (l *lab) get(url string) tracetest.SpanStub {
	l.t.Helper()
	return l.inSpan(func(ctx context.Context) { fetch(l.t, l, ctx, url) })
}

// fetch sends a GET and reads its response.
func fetch(t testing.TB, rt http.RoundTripper, ctx context.Context, url string) {
	t.Helper()
	if err := testkit.Fetch(ctx, rt, url); err != nil {
		t.Fatal(err)
	}
}

// named returns the spans whose names begin with that, in the order of their ends.
func (l *lab) named(prefix string) []tracetest.SpanStub {
	return slices.DeleteFunc(l.spans.GetSpans(), func(s tracetest.SpanStub) bool { return !strings.HasPrefix(s.Name, prefix) })
}

// one returns the only span whose name begins with that.
func (l *lab) one(prefix string) tracetest.SpanStub {
	l.t.Helper()
	spans := l.named(prefix)
	if len(spans) != 1 {
		l.t.Fatalf("%d spans called %q among %q", len(spans), prefix, spanNames(l.spans.GetSpans()))
	}
	return spans[0]
}

func spanNames(spans tracetest.SpanStubs) (names []string) {
	for _, s := range spans {
		names = append(names, s.Name)
	}
	return names
}

// children returns the spans below parent, in the order of their beginning.
func (l *lab) children(parent tracetest.SpanStub) []tracetest.SpanStub {
	all := slices.DeleteFunc(l.spans.GetSpans(), func(s tracetest.SpanStub) bool {
		return s.Parent.SpanID() != parent.SpanContext.SpanID()
	})
	slices.SortStableFunc(all, func(a, b tracetest.SpanStub) int { return a.StartTime.Compare(b.StartTime) })
	return all
}

// value returns an attribute, as text; "" for none.
func value(attrs []attribute.KeyValue, key string) string {
	for _, kv := range attrs {
		if string(kv.Key) == key {
			return kv.Value.String()
		}
	}
	return ""
}

// metrics collects everything, by name.
func (l *lab) metrics() map[string]metricdata.Metrics {
	l.t.Helper()
	var all metricdata.ResourceMetrics
	if err := l.reader.Collect(l.t.Context(), &all); err != nil {
		l.t.Fatal(err)
	}
	byName := map[string]metricdata.Metrics{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			byName[m.Name] = m
		}
	}
	return byName
}

// points returns the values of a metric by their attributes, written "a=b c=d": counts for a histogram.
func (l *lab) points(name string) map[string]int64 {
	l.t.Helper()
	points := map[string]int64{}
	switch data := l.metrics()[name].Data.(type) {
	case metricdata.Sum[int64]:
		for _, p := range data.DataPoints {
			points[labels(p.Attributes)] = p.Value
		}
	case metricdata.Histogram[float64]:
		for _, p := range data.DataPoints {
			points[labels(p.Attributes)] = int64(p.Count)
		}
	case metricdata.Histogram[int64]:
		for _, p := range data.DataPoints {
			points[labels(p.Attributes)] = int64(p.Count)
		}
	}
	return points
}

func labels(set attribute.Set) string {
	var text []string
	for _, kv := range set.ToSlice() {
		text = append(text, string(kv.Key)+"="+kv.Value.String())
	}
	slices.SortFunc(text, cmp.Compare)
	return strings.Join(text, " ")
}

// wantPoints checks all points of a metric.
func (l *lab) wantPoints(name string, want map[string]int64) {
	l.t.Helper()
	got := l.points(name)
	if strings.HasPrefix(name, "peerpool.") { // these counters are there before they have counted anything
		maps.DeleteFunc(got, func(at string, n int64) bool { _, wanted := want[at]; return n == 0 && !wanted })
	}
	if len(got) != len(want) {
		l.t.Errorf("%s: %v, want %v", name, got, want)
		return
	}
	for at, n := range want {
		if v, ok := got[at]; !ok || v != n {
			l.t.Errorf("%s: %v, want %v", name, got, want)
			return
		}
	}
}
