package main

import (
	"strings"
	"testing"

	"github.com/peerpool/peerpool/examples/internal/report"
	"github.com/peerpool/peerpool/examples/internal/server"
	"github.com/peerpool/peerpool/examples/internal/servertest"
)

func TestAThousandObjectsGoThroughFewConnections(t *testing.T) {
	path := servertest.Need(t, server.Versitygw)[0]
	t.Setenv("AWS_CA_BUNDLE", "")
	gateway, err := runGateway(t.Context(), path, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gateway.process.Stop)

	load := workload{bucket: "peerpool-example", objects: 1000, objectSize: 4 << 10, parts: 3, partSize: 5 << 20, workers: 16}
	results, err := compare(t.Context(), t.Output(), gateway.endpoint, load)
	if err != nil {
		t.Fatal(err)
	}
	checkResult(t, results[1], load)
}

func checkResult(t *testing.T, r report.Result, load workload) {
	t.Helper()
	if r.Failed != 0 || r.Retries != 0 {
		t.Errorf("%d requests failed and %d were retried, of a server that keeps its connections", r.Failed, r.Retries)
	}
	if least := 3 * load.objects; r.Requests < least {
		t.Errorf("%d requests were sent, less than the %d objects put, read and removed", r.Requests, least)
	}
	// A request that was served by another one's connection leaves a dial behind, so there may be some more.
	if r.Connections > r.Requests/4 {
		t.Errorf("%d connections for %d requests, %d at a time", r.Connections, r.Requests, load.workers)
	}
}

func TestABundleOfRootsThatTheSDKWouldNotAcceptIsExplained(t *testing.T) {
	t.Setenv("AWS_CA_BUNDLE", "/etc/ssl/certs/ca-certificates.crt")
	_, err := newClient(t.Context(), endpoint{}, report.Peerpool())
	if err == nil || !strings.Contains(err.Error(), "Transport.TLSClientConfig") {
		t.Errorf("newClient returned %v", err)
	}
}
