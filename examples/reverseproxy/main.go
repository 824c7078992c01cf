// Command reverseproxy runs an httputil.ReverseProxy on peerpool in front of two nginx servers. It restarts them in turn while wrk
// sends requests through the proxy. No request is lost. It does the same on net/http and prints both results.
//
//	go run ./reverseproxy
//
// It needs nginx and wrk.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync/atomic"
	"time"

	"github.com/peerpool/peerpool/examples/internal/report"
	"github.com/peerpool/peerpool/examples/internal/server"
)

func main() {
	var load load
	flag.DurationVar(&load.duration, "duration", 5*time.Second, "how long the load goes on, in whole seconds")
	flag.IntVar(&load.connections, "connections", 32, "how many connections it comes on")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, load); err != nil {
		fmt.Fprintln(os.Stderr, "reverseproxy:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, w io.Writer, load load) error {
	nginx, err := server.Nginx.Find()
	if err != nil {
		return err
	}
	if load.wrk, err = server.Wrk.Find(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "peerpool-proxy-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	outcomes, err := compare(ctx, w, nginx, dir, load)
	if err != nil {
		return err
	}
	return outcomes[1].lost()
}

// outcome is the result of the load on one Transport.
type outcome struct {
	report.Result
	measured  measured
	restarts  int
	elsewhere int // requests that the proxy sent to the other backend
}

// lost returns nil if every request was answered with 200.
func (o outcome) lost() error {
	if m := o.measured; m.requests == 0 || m.errors > 0 || m.bad > 0 {
		return fmt.Errorf("of %d requests on %s %d got no answer, and %d a bad one", m.requests, o.Name, m.errors, m.bad)
	}
	return nil
}

// compare sends the load through a proxy on net/http and through one on peerpool, both in front of the same backends.
func compare(ctx context.Context, w io.Writer, nginx, dir string, load load) ([]outcome, error) {
	backends, err := startBackends(ctx, nginx, dir, 2)
	if err != nil {
		return nil, err
	}
	defer backends.stop()

	var outcomes []outcome
	work := func(ctx context.Context, m *report.Meter) error {
		o, err := underLoad(ctx, m, backends, load)
		outcomes = append(outcomes, o)
		return err
	}
	results, err := report.Compare(ctx, w, work, report.NetHTTP(), report.Peerpool())
	if err != nil {
		return outcomes, err
	}
	fmt.Fprintln(w)
	for i := range outcomes {
		o := &outcomes[i]
		o.Result = results[i]
		fmt.Fprintf(w, "%s: %d of %d requests lost in %d restarts; the proxy tried the other backend for %d of them\n",
			o.Name, o.measured.bad+o.measured.errors, o.measured.requests, o.restarts, o.elsewhere)
	}
	return outcomes, nil
}

// underLoad runs a proxy and the load, and restarts the backends in turn until the load ends.
func underLoad(ctx context.Context, m *report.Meter, b *backends, load load) (outcome, error) {
	var o outcome
	var elsewhere atomic.Int64
	front, err := serveProxy(m, b.urls(), &elsewhere)
	if err != nil {
		return o, err
	}
	defer front.Close()

	restarting, stop := context.WithCancel(ctx)
	restarted := make(chan error, 1)
	go func() { // ends with the load
		var err error
		o.restarts, err = b.restartInTurn(restarting)
		restarted <- err
	}()
	o.measured, err = load.run(ctx, front.url)
	o.elsewhere = int(elsewhere.Load())
	stop()
	if stopped := <-restarted; err == nil {
		err = stopped
	}
	return o, err
}
