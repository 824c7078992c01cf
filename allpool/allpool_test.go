package allpool_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/peerpool/peerpool"
	"github.com/peerpool/peerpool/allpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/logpool"
	"github.com/peerpool/peerpool/otelpool"
	"github.com/peerpool/peerpool/poolz"
	"github.com/peerpool/peerpool/prompool"
	"github.com/prometheus/client_golang/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

func get(t *testing.T, tr *peerpool.Transport, ctx context.Context, url string) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
}

// acquires returns how many attempts have been counted, of whatever outcome.
func acquires(t *testing.T, from prometheus.Gatherer) (n float64) {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "peerpool_acquires_total" {
			for _, m := range family.GetMetric() {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

func TestOneCallAttachesAllOfIt(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	var log bytes.Buffer
	spans, reader, registry := tracetest.NewSpanRecorder(), sdkmetric.NewManualReader(), prometheus.NewPedanticRegistry()
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	before := 0
	tr := peerpool.New()
	t.Cleanup(tr.CloseIdleConnections)
	tr.Observer = &peerpool.Observer{RequestDone: func(context.Context, peerpool.RequestDone) { before++ }}
	page, err := allpool.Attach(tr, allpool.Options{
		Name: "billing", Hosts: 1,
		Tracers: tracers, Meters: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)), Registerer: registry,
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, span := tracers.Tracer("test").Start(t.Context(), "request")
	get(t, tr, ctx, origin.URL())
	span.End()

	if n := acquires(t, registry); n != 1 {
		t.Errorf("Prometheus has counted %v acquires, want 1", n)
	}
	var metrics metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &metrics); err != nil || len(metrics.ScopeMetrics) != 1 {
		t.Errorf("OpenTelemetry has the metrics of %d scopes, %v", len(metrics.ScopeMetrics), err)
	}
	if n := len(spans.Ended()); n < 2 {
		t.Errorf("OpenTelemetry has %d spans, want those of the connection, too", n)
	}
	if !strings.Contains(log.String(), "connection acquired") {
		t.Errorf("the log says %s", &log)
	}
	answer := httptest.NewRecorder()
	page.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/?format=json", nil))
	if text := answer.Body.String(); answer.Code != http.StatusOK || !strings.Contains(text, "cold") || !strings.Contains(text, origin.Addr()) {
		t.Errorf("the page says %d %s", answer.Code, text)
	}
	if before != 1 {
		t.Errorf("who observed before has been told of %d requests, want 1", before)
	}
}

func TestWhatCannotBeRegisteredIsNotAttached(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(prompool.New(peerpool.New(), prompool.WithName("billing")))
	tr := peerpool.New()
	if _, err := allpool.Attach(tr, allpool.Options{Name: "billing", Registerer: registry}); err == nil || tr.Observer != nil {
		t.Errorf("the error is %v, and the Transport has an Observer: %v", err, tr.Observer != nil)
	}
}

func TestNothingIsRegisteredWithoutATransport(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	if _, err := allpool.Attach(nil, allpool.Options{Registerer: registry}); err == nil {
		t.Error("Attach without a Transport returns no error")
	}
	if families, err := registry.Gather(); err != nil || len(families) > 0 {
		t.Errorf("%d metrics are registered, and the error is %v", len(families), err)
	}
}

// Each package has New, whose result has an Observer. No package sets the Observer of a Transport.
func TestAttachingIsTheSameEverywhere(t *testing.T) {
	tr := peerpool.New()
	for name, made := range map[string]interface{ Observer() *peerpool.Observer }{
		"otelpool": otelpool.New(),
		"prompool": prompool.New(tr),
		"logpool":  logpool.New(nil),
		"poolz":    poolz.New(tr),
	} {
		if tr.Observer != nil {
			t.Errorf("%s: New has set the Observer", name)
		}
		if o := made.Observer(); o == nil || reflect.ValueOf(*o).IsZero() {
			t.Errorf("%s: no Observer, or one without hooks", name)
		}
	}
	var (
		_ prometheus.Collector = (*prompool.Collector)(nil)
		_ http.Handler         = (*poolz.Page)(nil)
	)
}
