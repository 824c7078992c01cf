package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/peerpool/peerpool"
	"github.com/peerpool/peerpool/examples/internal/server"
	"github.com/peerpool/peerpool/prompool"
)

// observed is a Transport whose metrics are in a registry.
type observed struct {
	transport *peerpool.Transport
	registry  *prometheus.Registry
}

// newObserved returns a Transport with metrics. Nothing else is needed.
func newObserved() (observed, error) {
	t := peerpool.FromHTTP(http.DefaultTransport.(*http.Transport))
	collector := prompool.New(t, prompool.WithName("example"))
	t.Observer = collector.Observer()
	registry := prometheus.NewRegistry()
	return observed{t, registry}, registry.Register(collector)
}

// target is the endpoint that Prometheus scrapes.
type target struct {
	*http.Server
	addr string
}

// serveMetrics serves the metrics of a registry on a free port of loopback.
func serveMetrics(registry *prometheus.Registry) (*target, error) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	t := &target{
		Server: &http.Server{
			Handler:           promhttp.HandlerFor(registry, promhttp.HandlerOpts{}),
			ReadHeaderTimeout: time.Minute,
		},
		addr: ln.Addr().String(),
	}
	go func() { // ends with Close
		if err := t.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			log.Print(err)
		}
	}()
	return t, nil
}

// startPrometheus runs a server that keeps its data in dir and scrapes a target every 100 milliseconds.
func startPrometheus(ctx context.Context, path, dir, target string) (process *server.Process, url string, err error) {
	addr, err := server.FreeAddr()
	if err != nil {
		return nil, "", err
	}
	config := fmt.Sprintf(`
global:
  scrape_interval: 100ms
  scrape_timeout: 100ms
scrape_configs:
  - job_name: example
    static_configs:
      - targets: [%q]
`, target)
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		return nil, "", err
	}
	cmd := exec.Command(path, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+addr, "--log.level=warn")
	cmd.Dir = dir
	url = "http://" + addr
	process, err = server.Start(ctx, cmd, server.Answering(url+"/-/ready"))
	return process, url, err
}
