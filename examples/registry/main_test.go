package main

import (
	"testing"

	"github.com/peerpool/peerpool/examples/internal/server"
	"github.com/peerpool/peerpool/examples/internal/servertest"
)

func TestImagesComeBackAsTheyWerePushed(t *testing.T) {
	path := servertest.Need(t, server.Registry)[0]
	process, addr, err := startRegistry(t.Context(), path, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(process.Stop)

	load := workload{repository: addr + "/example", images: 8, layers: 6, layerSize: 256 << 10, jobs: 4, workers: 4}
	results, err := compare(t.Context(), t.Output(), load)
	if err != nil {
		t.Fatalf("%v\n%s", err, process.Output())
	}
	r := results[1]
	// Each layer is asked for, begun, sent, finished and read.
	if least := 5 * load.images * load.layers; r.Requests < least {
		t.Errorf("%d requests; at least %d were to be sent", r.Requests, least)
	}
	// Before a push and before a pull the client tries https, which this registry does not speak.
	if tried := 2 * load.images; r.Failed != tried {
		t.Errorf("%d requests failed, not the %d that were to", r.Failed, tried)
	}
	// A request that was served by another one's connection leaves a dial behind, so there may be some more.
	if r.Pool.Opened > uint64(r.Requests/4) {
		t.Errorf("%d connections for %d requests, %d at a time", r.Pool.Opened, r.Requests, load.jobs*load.workers)
	}
}
