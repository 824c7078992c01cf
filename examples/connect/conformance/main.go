// Command conformance runs the official conformance suite of the Connect protocols against a client on peerpool that keeps its
// connections. The suite has thousands of cases of Connect, gRPC and gRPC-Web over HTTP/1.1, h2c and HTTP/2 with TLS.
//
//	go run ./connect/conformance
//
// The client is the suite's own reference client, with peerpool's Transport instead of net/http's, and without a workaround:
// the original closes HTTP/1.1 connections after one request if requests are canceled. With -nethttp, the command first runs
// the suite against net/http without the workaround.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/peerpool/peerpool/examples/internal/server"
)

func main() {
	netHTTP := flag.Bool("nethttp", false, "run the suite against net/http, too")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, *netHTTP); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, w io.Writer, netHTTP bool) error {
	runner, err := server.Conformance.FindOrBuild(ctx, w)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "peerpool-conformance-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if netHTTP {
		if _, err := judge(ctx, w, "net/http", keepAlive, runner, filepath.Join(dir, "nethttp")); err != nil {
			return err
		}
	}
	v, err := judge(ctx, w, "peerpool", ours, runner, filepath.Join(dir, "peerpool"))
	if err == nil && v.failed > 0 {
		err = errors.New("not all cases passed")
	}
	return err
}

// judge builds a client, runs the suite against it, and prints the result.
func judge(ctx context.Context, w io.Writer, name string, edits []edit, runner, dir string) (verdict, error) {
	peerpool, err := peerpoolDir(ctx)
	if err != nil {
		return verdict{}, err
	}
	client, err := buildClient(ctx, dir, peerpool, edits)
	if err != nil {
		return verdict{}, err
	}
	v, err := runSuite(ctx, runner, client, dir)
	if err != nil {
		return v, err
	}
	fmt.Fprintf(w, "%s, with keep-alive: %d of %d cases passed\n", name, v.passed, v.passed+v.failed)
	for _, failure := range v.failures {
		fmt.Fprintln(w, "  failed:", failure)
	}
	if c := v.counts; c.Attempts > 0 {
		fmt.Fprintf(w, "  %d requests on %d connections, hit ratio %.1f %%, %d retries\n",
			c.Requests, c.Connections, 100*float64(c.Reused)/float64(c.Attempts), c.Retries)
	}
	return v, nil
}
