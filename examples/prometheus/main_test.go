package main

import (
	"testing"

	"github.com/peerpool/peerpool/examples/internal/server"
	"github.com/peerpool/peerpool/examples/internal/servertest"
)

func TestPrometheusAnswersAndScrapesHowItWasAsked(t *testing.T) {
	path := servertest.Need(t, server.Prometheus)[0]
	load := workload{queries: 300, workers: 16}
	results, known, err := compare(t.Context(), t.Output(), path, t.TempDir(), load)
	if err != nil {
		t.Fatal(err)
	}
	r := results[1]
	if r.Failed != 0 || r.Requests < load.queries {
		t.Errorf("%d requests, of which %d failed", r.Requests, r.Failed)
	}
	// A request that was served by another one's connection leaves a dial behind, so there may be some more.
	if r.Connections > load.queries/4 {
		t.Errorf("%d connections for %d queries, %d at a time", r.Connections, load.queries, load.workers)
	}
	if opened := known["peerpool_connections_opened_total"]; opened != float64(r.Pool.Opened) {
		t.Errorf("Prometheus knows of %v connections, of %d", opened, r.Pool.Opened)
	}
}
