// Command connect calls a connect-go service on peerpool: unary calls and streams in every direction, as Connect over
// HTTP/1.1, as gRPC over HTTP/2 without TLS (h2c), and as Connect over HTTP/2 with TLS. It does the same on net/http
// and prints both.
//
//	go run ./connect
//
// It needs nothing installed. The folder conformance has the official suite of tests for such clients.
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"

	"connectrpc.com/connect"

	"github.com/peerpool/peerpool"
	"github.com/peerpool/peerpool/examples/internal/certs"
	"github.com/peerpool/peerpool/examples/internal/report"
)

func main() {
	var load workload
	flag.IntVar(&load.calls, "calls", 500, "how many unary calls; there is one stream for ten of them")
	flag.IntVar(&load.workers, "workers", 16, "how many of them at a time")
	flag.IntVar(&load.messages, "messages", 50, "how many messages a stream has")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if _, err := run(ctx, os.Stdout, load); err != nil {
		fmt.Fprintln(os.Stderr, "connect:", err)
		stop()
		os.Exit(1)
	}
}

// way is a protocol over which clients reach the service.
type way struct {
	name      string
	protocols func(*http.Protocols)
	tls       bool
	bidi      bool // streams in both directions at the same time, which HTTP/1.1 does not have
	options   []connect.ClientOption
}

var ways = []way{
	{name: "Connect over HTTP/1.1", protocols: func(p *http.Protocols) { p.SetHTTP1(true) }},
	{
		name: "gRPC over h2c", protocols: func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) },
		bidi: true, options: []connect.ClientOption{connect.WithGRPC()},
	},
	{name: "Connect over TLS", protocols: func(p *http.Protocols) { p.SetHTTP2(true) }, tls: true, bidi: true},
}

// run returns the results of net/http and of peerpool for each of the ways.
func run(ctx context.Context, w io.Writer, load workload) (map[string][]report.Result, error) {
	ca, err := certs.NewCA()
	if err != nil {
		return nil, err
	}
	all := make(map[string][]report.Result)
	for _, way := range ways {
		fmt.Fprintf(w, "\n%s\n", way.name)
		results, err := way.compare(ctx, w, ca, load)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", way.name, err)
		}
		all[way.name] = results
	}
	return all, nil
}

// compare runs the service over one protocol, and runs the workload with a client on net/http and with one on peerpool.
func (way way) compare(ctx context.Context, w io.Writer, ca *certs.CA, load workload) ([]report.Result, error) {
	url, stop, err := way.serve(ca)
	if err != nil {
		return nil, err
	}
	defer stop()
	work := func(ctx context.Context, m *report.Meter) error {
		return load.run(ctx, newClient(&http.Client{Transport: m}, url, way.options...), way.bidi)
	}

	// Nothing else is needed: the Transports differ only in their package.
	var protocols http.Protocols
	way.protocols(&protocols)
	roots := &tls.Config{RootCAs: ca.Pool()}
	theirs := &http.Transport{Protocols: &protocols, TLSClientConfig: roots}
	ours := &peerpool.Transport{Protocols: &protocols, TLSClientConfig: roots}

	return report.Compare(ctx, w, work, report.Of("net/http", theirs), report.Of("peerpool", ours))
}
