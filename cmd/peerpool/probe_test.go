package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/peerpool/peerpool/cmd/peerpool/internal/probe"
)

// closing starts a server that ends a connection that idles for longer than limit.
func closing(t *testing.T, limit time.Duration) (url string) {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {}))
	s.Config.IdleTimeout = limit
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}

func TestProbePrintsWhatItFoundAndTheSettingsForIt(t *testing.T) {
	got := command(t.Context(), "probe", "-max-requests", "3", "-max-wait", "9s", closing(t, 3*time.Second))
	wantCode(t, got, exitOK)
	wantIn(t, got.out, "HTTP/1.1", "status 200, connections kept", "more than the 3 that were tried", "then FIN",
		"t := peerpool.New()", "t.IdleConnTimeout = ", "a tenth less leaves a request time to arrive")
	wantIn(t, got.err, "measuring addresses (at most 10s)", "measuring how long an HTTP/1.1 connection may idle (at most 9s)")
}

func TestProbePrintsJSON(t *testing.T) {
	got := command(t.Context(), "probe", "-json", "-max-requests", "3", "-max-wait", "100ms", closing(t, time.Minute))
	wantCode(t, got, exitOK)
	var r probe.Report
	if err := json.Unmarshal([]byte(got.out), &r); err != nil {
		t.Fatalf("%v in:\n%s", err, got.out)
	}
	if r.HTTP1.Tried != 3 || r.HTTP1.Idle.End != "" || r.Requests < 5 {
		t.Errorf("%+v", r)
	}
}

func TestAProbeThatFailsReportsWhatItFound(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) }))
	defer s.Close()
	got := command(t.Context(), "probe", s.URL)
	wantCode(t, got, exitFailed)
	wantIn(t, got.out, "address", "stopped", "the server does not want to be probed: status 429")
	if strings.Contains(got.out, "settings fit") {
		t.Errorf("settings are said to fit that of which nothing was found:\n%s", got.out)
	}
}
