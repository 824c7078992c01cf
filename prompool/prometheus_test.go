package prompool_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/nettest"
	"github.com/peerpool/peerpool/internal/testkit"
	"github.com/peerpool/peerpool/prompool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func TestPrometheusScrapesEveryMetricUnderLoad(t *testing.T) {
	var truth faults
	wire := httptestutil.NewWire(t, truth.serve)
	tr := &peerpool.Transport{Observer: &peerpool.Observer{}}
	t.Cleanup(tr.CloseIdleConnections)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(attach(tr, prompool.WithName("load"), prompool.WithHosts(5)))
	page := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	t.Cleanup(page.Close)
	server := testkit.RunPrometheus(t, fmt.Sprintf(
		"scrape_configs: [{job_name: peerpool, scrape_interval: 500ms, scrape_timeout: 500ms, static_configs: [{targets: [%q]}]}]",
		strings.TrimPrefix(page.URL, "http://")), nil)

	// The server's name is looked up, so that look-ups are measured too.
	target := strings.Replace(wire.URL(), "127.0.0.1", "localhost", 1)
	resolver := new(httptestutil.Resolver)
	resolver.Set(t, "localhost", "127.0.0.1")
	tr.Resolver = resolver
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				_ = testkit.Fetch(t.Context(), tr, target) // the cut answers fail
			}
		})
	}
	wg.Wait()
	nettest.Eventually(t, "the dials that nobody waited for have ended", func() bool { return tr.Stats().Dialing == 0 })
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
		nettest.Eventually(t, "Prometheus says "+requests+" to "+sum, func() bool {
			values, err := server.Query(sum)
			return err == nil && len(values) == 1 && values[0].Value == requests
		})
	}
	for _, family := range families {
		name := family.GetName()
		if family.GetMetric()[0].GetHistogram() != nil { // native, as Prometheus scrapes with protobuf
			name = "histogram_count(" + name + ")"
		}
		nettest.Eventually(t, name+" has an answer", func() bool { // a scrape that came late leaves a gap
			values, err := server.Query(name)
			return err == nil && len(values) > 0
		})
	}
}
