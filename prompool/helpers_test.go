package prompool_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/peerpool/peerpool"
	"github.com/peerpool/peerpool/internal/testkit"
	"github.com/peerpool/peerpool/prompool"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// attach returns a Collector of tr that observes it, too.
func attach(tr *peerpool.Transport, opts ...prompool.Option) *prompool.Collector {
	c := prompool.New(tr, opts...)
	tr.Observer = peerpool.MultiObserver(tr.Observer, c.Observer())
	return c
}

// register puts a Collector of tr into a registry that checks what it is told.
func register(t testing.TB, tr *peerpool.Transport, opts ...prompool.Option) *prometheus.Registry {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(attach(tr, opts...)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.CloseIdleConnections)
	return registry
}

// gather returns all metrics by their names and labels but pool, as in `name{a="b"}`.
func gather(t testing.TB, registry prometheus.Gatherer) map[string]*dto.Metric {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*dto.Metric{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			delete(labels, "pool")
			all[family.GetName()+text(labels)] = m
		}
	}
	return all
}

func text(labels map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, fmt.Sprintf("%s=%q", name, labels[name]))
	}
	if parts == nil {
		return ""
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// number is the value of a gauge or a counter, or the count of a histogram.
func number(m *dto.Metric) uint64 {
	switch {
	case m.GetHistogram() != nil:
		return m.GetHistogram().GetSampleCount()
	case m.GetGauge() != nil:
		return uint64(m.GetGauge().GetValue())
	}
	return uint64(m.GetCounter().GetValue())
}

// want checks some metrics.
func want(t testing.TB, registry prometheus.Gatherer, numbers map[string]uint64) {
	t.Helper()
	got := gather(t, registry)
	for name, n := range numbers {
		if m, ok := got[name]; !ok || number(m) != n {
			t.Errorf("%s is %d (there: %v), want %d", name, number(m), ok, n)
		}
	}
}

func mustFetch(t testing.TB, rt http.RoundTripper, ctx context.Context, url string) {
	t.Helper()
	if err := testkit.Fetch(ctx, rt, url); err != nil {
		t.Fatal(err)
	}
}
