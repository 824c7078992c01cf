package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/peerpool/peerpool/examples/internal/server"
	"github.com/peerpool/peerpool/examples/internal/servertest"
)

func TestARotatedCertificateIsUsedAtOnceAndTheWatchGoesOn(t *testing.T) {
	paths := servertest.Need(t, server.Etcd, server.Extensions)
	cluster, err := startCluster(t.Context(), paths[0], paths[1], t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.stop)

	load := workload{objects: 50, workers: 8}
	outcomes, err := compare(t.Context(), t.Output(), cluster, load)
	if err != nil {
		t.Fatal(err)
	}
	got := outcomes[1]
	if want := 3 * load.objects; got.calls != want || got.renewed != want {
		t.Errorf("of %d calls after the rotation %d were made under the new certificate; %d were sent", got.calls, got.renewed, want)
	}
	if got.Failed != 0 || got.Retries != 0 {
		t.Errorf("%d requests failed, %d were retried", got.Failed, got.Retries)
	}
	// Those that are dialed before it is known that one can be shared are closed.
	if got.Pool.Active+got.Pool.Idle != 2 || got.Connections > 1+load.workers {
		t.Errorf("%d connections were opened, and %d are left; there are two certificates",
			got.Connections, got.Pool.Active+got.Pool.Idle)
	}
}

func TestOfTheAuditLogOnlyTheCallsForTheObjectsCount(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	text := `{"verb":"create","user":{"username":"a"},"objectRef":{"resource":"words"}}
{"verb":"get","user":{"username":"b"},"objectRef":{"resource":"words"}}
{"verb":"watch","user":{"username":"b"},"objectRef":{"resource":"words"}}
{"verb":"get","user":{"username":"b"},"objectRef":{"resource":"others"}}
{"verb":"get","user":{"user`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	all, err := readAudit(path)
	if users := all.users(); err != nil || len(users) != 2 || users["a"] != 1 || users["b"] != 1 {
		t.Errorf("%v, %v", users, err)
	}
}
