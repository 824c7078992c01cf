package prompool_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/prompool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// startPrometheus runs a Prometheus that scrapes target twice a second, and returns the URL of its API. Without one
// installed the test is skipped, unless PEERPOOL_REQUIRE_SERVERS=1 says that this would be a mistake.
func startPrometheus(t *testing.T, target string) string {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		if os.Getenv("PEERPOOL_REQUIRE_SERVERS") == "1" {
			t.Fatal("prometheus is not installed, and PEERPOOL_REQUIRE_SERVERS=1")
		}
		t.Skip("prometheus is not installed")
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf("scrape_configs: [{job_name: peerpool, scrape_interval: 500ms, scrape_timeout: 500ms, static_configs: [{targets: [%q]}]}]\n", target)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()

	var output bytes.Buffer
	cmd := exec.Command(program, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+addr, "--enable-feature=native-histograms,exemplar-storage", "--log.level=warn")
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // fails only if it is gone already
		kill := time.AfterFunc(httptestutil.Bound, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		_ = cmd.Wait() // a signal is no orderly end
		if t.Failed() {
			t.Logf("prometheus said:\n%s", &output)
		}
	})
	return "http://" + addr
}

// query asks a Prometheus, and returns the values of the answer.
func query(api, expr string) ([]string, error) {
	resp, err := http.Get(api + "/api/v1/query?query=" + url.QueryEscape(expr))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Status string
		Error  string
		Data   struct {
			Result []struct {
				Value [2]any
			}
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Status != "success" {
		return nil, fmt.Errorf("%s: %.200s (%w)", resp.Status, body, err)
	}
	var values []string
	for _, r := range answer.Data.Result {
		values = append(values, fmt.Sprint(r.Value[1]))
	}
	return values, nil
}

func TestPrometheusScrapesEveryMetricUnderLoad(t *testing.T) {
	var truth faults
	wire := httptestutil.NewWire(t, truth.serve)
	tr := &peerpool.Transport{Observer: &peerpool.Observer{}}
	t.Cleanup(tr.CloseIdleConnections)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(attach(tr, prompool.WithName("load"), prompool.WithHosts(5)))
	page := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	t.Cleanup(page.Close)
	api := startPrometheus(t, strings.TrimPrefix(page.URL, "http://"))

	// The server's name is looked up, so that look-ups are measured too.
	target := strings.Replace(wire.URL(), "127.0.0.1", "localhost", 1)
	resolver := new(httptestutil.Resolver)
	resolver.Set(t, "localhost", "127.0.0.1")
	tr.Resolver = resolver
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				_ = fetch(tr, t.Context(), target) // the cut answers fail
			}
		})
	}
	wg.Wait()
	eventually(t, "the dials that nobody waited for have ended", func() bool { return tr.Stats().Dialing == 0 })
	tr.CloseIdleConnections()

	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if len(families) < 15 {
		t.Errorf("only %d metrics", len(families))
	}
	requests := fmt.Sprint(truth.requests.Load())
	for _, sum := range []string{ // the second grows when connections are closed
		`sum(peerpool_acquires_total{pool="load",outcome!="error"})`,
		`histogram_sum(sum(peerpool_connection_requests))`,
	} {
		eventually(t, "Prometheus says "+requests+" to "+sum, func() bool {
			values, err := query(api, sum)
			return err == nil && len(values) == 1 && values[0] == requests
		})
	}
	for _, family := range families {
		name := family.GetName()
		if family.GetMetric()[0].GetHistogram() != nil { // native, as Prometheus scrapes with protobuf
			name = "histogram_count(" + name + ")"
		}
		eventually(t, name+" has an answer", func() bool { // a scrape that came late leaves a gap
			values, err := query(api, name)
			return err == nil && len(values) > 0
		})
	}
}
