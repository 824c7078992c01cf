// Command prometheus uses the Prometheus API client on peerpool. It queries a Prometheus server for metrics of peerpool that the
// server has scraped. It does the same on net/http and prints both results.
//
//	go run ./prometheus
//
// It runs Debian's prometheus on loopback. The server scrapes this program, whose Transport has the Observer of package prompool.
// At the end, the command prints the metrics of its own queries.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/peerpool/peerpool/examples/internal/report"
	"github.com/peerpool/peerpool/examples/internal/server"
)

func main() {
	var load workload
	flag.IntVar(&load.queries, "queries", 1000, "how many queries to send")
	flag.IntVar(&load.workers, "workers", 16, "how many of them at a time")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, load); err != nil {
		fmt.Fprintln(os.Stderr, "prometheus:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, w io.Writer, load workload) error {
	path, err := server.Prometheus.Find()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "peerpool-prometheus-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	_, _, err = compare(ctx, w, path, dir, load)
	return err
}

// compare runs the server, and runs the workload with a client on net/http and with one on peerpool. It also returns the
// metrics of peerpool that the server has scraped.
func compare(ctx context.Context, w io.Writer, path, dir string, load workload) ([]report.Result, scraped, error) {
	ours, err := newObserved()
	if err != nil {
		return nil, nil, err
	}
	target, err := serveMetrics(ours.registry)
	if err != nil {
		return nil, nil, err
	}
	defer target.Close()
	process, url, err := startPrometheus(ctx, path, dir, target.addr)
	if err != nil {
		return nil, nil, err
	}
	defer process.Stop()

	work := func(ctx context.Context, m *report.Meter) error { return load.run(ctx, url, m) }
	results, err := report.Compare(ctx, w, work, report.NetHTTP(), report.Of("peerpool", ours.transport))
	if err != nil {
		return results, nil, err
	}
	known, err := awaitScrape(ctx, url, results[1].Pool)
	if err == nil {
		fmt.Fprintf(w, "\nwhat Prometheus knows of it:\n%s", known)
	}
	return results, known, err
}
