package otelpool_test

import (
	"net/http"

	"github.com/peerpool/peerpool"
	"github.com/peerpool/peerpool/otelpool"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
)

// The spans of requests come from otelhttp, and the connections from peerpool.
func ExampleNew() {
	transport := &peerpool.Transport{Observer: otelpool.New(otelpool.WithHosts(50)).Observer()}
	client := &http.Client{Transport: otelhttp.NewTransport(transport)}
	defer client.CloseIdleConnections()
}
