package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/peerpool/peerpool"
	"github.com/peerpool/peerpool/examples/internal/server"
	"github.com/peerpool/peerpool/examples/internal/servertest"
)

func TestNoRequestIsLostWhileTheBackendsAreRestarted(t *testing.T) {
	paths := servertest.Need(t, server.Nginx, server.Wrk)
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // nginx gives up its privileges
		t.Fatal(err)
	}
	load := load{wrk: paths[1], duration: 3 * time.Second, connections: 32}
	outcomes, err := compare(t.Context(), t.Output(), paths[0], dir, load)
	if err != nil {
		t.Fatal(err)
	}
	got := outcomes[1]
	if err := got.lost(); err != nil {
		t.Error(err)
	}
	if got.restarts < 2 {
		t.Errorf("%d restarts: not every backend was away", got.restarts)
	}
	// A restart closes every connection to its backend; else they would be few.
	if most := (got.restarts + 2) * 2 * load.connections; got.Connections > most {
		t.Errorf("%d connections in %d restarts under a load of %d", got.Connections, got.restarts, load.connections)
	}
}

func TestWhatWrkSaysOfErrorsIsUnderstood(t *testing.T) {
	got, err := parse(`Running 1s test @ http://127.0.0.1:1/
  1 threads and 8 connections
  1234 requests in 1.00s, 1.00MB read
  Socket errors: connect 1, read 2, write 3, timeout 4
  Non-2xx or 3xx responses: 5
Requests/sec:   1234.00
`)
	if want := (measured{requests: 1234, bad: 5, errors: 10}); err != nil || got != want {
		t.Errorf("%+v, %v instead of %+v", got, err, want)
	}
}

func TestOnlyWhatCannotHaveHadAnEffectIsSentToAnotherBackend(t *testing.T) {
	hangsUp := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer hangsUp.Close()
	refuses := httptest.NewServer(nil)
	refuses.Close()
	transport := &peerpool.Transport{}
	defer transport.CloseIdleConnections()
	for _, c := range []struct {
		method, target string
		want           bool
	}{
		{http.MethodGet, hangsUp.URL, true},
		{http.MethodPost, hangsUp.URL, false},
		{http.MethodGet, refuses.URL, true},
		{http.MethodPost, refuses.URL, true},
	} {
		ctx, report := peerpool.WithReport(t.Context())
		req, err := http.NewRequestWithContext(ctx, c.method, c.target, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := transport.RoundTrip(req); err == nil {
			t.Fatalf("%s %s succeeded", c.method, c.target)
		}
		if got := maySendElsewhere(req, report); got != c.want {
			t.Errorf("%s %s: %v\n%v", c.method, c.target, got, report)
		}
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		if maySendElsewhere(req.WithContext(canceled), report) {
			t.Error("a canceled request was sent again")
		}
	}
	_, nothing := peerpool.WithReport(t.Context())
	if maySendElsewhere(httptest.NewRequest(http.MethodPost, "/", nil), nothing) {
		t.Error("a request that nothing is known of was sent again")
	}
}
