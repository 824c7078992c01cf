package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/peerpool/peerpool"
	"github.com/peerpool/peerpool/poolz"
	"github.com/peerpool/peerpool/prompool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	pagePath    = "/debug/peerpool"
	metricsPath = "/metrics"
)

func isListenFlag(arg string) bool {
	name, _, _ := strings.Cut(arg, "=")
	return name == "-listen" || name == "--listen"
}

// parseListen reads the arguments of the demonstration. There is at least one.
func parseListen(args []string) (addr string, err error) {
	set := flag.NewFlagSet("peerpool", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&addr, "listen", "", "")
	if err := set.Parse(args); err != nil {
		return "", flagError(err)
	}
	if set.NArg() > 0 {
		return "", misuse(`%s is one argument too many: write "peerpool -listen 127.0.0.1:8080"`, shown(set.Arg(0)))
	}
	return addr, checkListen(addr)
}

func checkListen(addr string) error {
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return misuse(`-listen takes an address and a port: write -listen 127.0.0.1:8080`)
	}
	return nil
}

// demonstrateOnPage runs the demonstration with one Transport for all phases, and serves a page that shows its pool. After
// the phases, it keeps a light load running until ctx ends.
func demonstrateOnPage(ctx context.Context, args []string, s streams, phases []phase) (int, error) {
	addr, err := parseListen(args)
	if err != nil {
		return 0, err
	}
	d, err := newDemonstration(s)
	if err != nil {
		return 0, err
	}
	defer d.close()
	d.watched = balanced(d.settings())
	srv, err := watchOn(addr, d.watched, s)
	if err != nil {
		return 0, err
	}
	defer srv.Close()

	if code, err := d.present(ctx, s, phases); code != exitOK || err != nil {
		return code, err
	}
	_, _ = fmt.Fprintf(s.err, "The page stays, with a light load. Ctrl-C ends it.\n")
	v, err := d.invite()
	if err != nil {
		return 0, err
	}
	v.visit(ctx)
	return exitOK, nil
}

// watchOn serves the page and the metrics of t until the returned server is closed. t must not have been used before.
func watchOn(addr string, t *peerpool.Transport, s streams) (*http.Server, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("the page cannot be served: %w", err)
	}
	srv := serveOn(ln, watch(t))
	_, _ = fmt.Fprintf(s.err, "The pool is at http://%[1]s%[2]s\nIts metrics are at http://%[1]s%[3]s\n", ln.Addr(), pagePath, metricsPath)
	return srv, nil
}

// watch returns a handler with the page and the metrics of t. t must not have been used before.
func watch(t *peerpool.Transport) http.Handler {
	page := poolz.New(t, poolz.AllowDrain())
	collector := prompool.New(t)
	t.Observer = peerpool.MultiObserver(t.Observer, page.Observer(), collector.Observer())
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collector)

	mux := http.NewServeMux()
	mux.Handle(pagePath, page)
	mux.Handle(metricsPath, promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	mux.Handle("GET /{$}", http.RedirectHandler(pagePath, http.StatusFound))
	return mux
}

// serveOn serves on ln until the returned server is closed, which also ends its goroutine.
func serveOn(ln net.Listener, handler http.Handler) *http.Server {
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			ln.Close() // so that a browser is refused and does not wait
		}
	}()
	return srv
}
