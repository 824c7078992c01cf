package peerpool_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"time"

	"github.com/peerpool/peerpool"
	"github.com/peerpool/peerpool/otelpool"
	"github.com/peerpool/peerpool/poolz"
	"github.com/peerpool/peerpool/prompool"
	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// Behind a load balancer, the Transport limits the age and the idle time of connections, so that no connection stays
// with one server for long, and none is used until it breaks.
func ExampleTransport_loadBalancer() {
	server := hello()
	defer server.Close()

	transport := &peerpool.Transport{
		MaxConnReuse:    2,                // three requests on each connection
		MaxConnLifetime: 10 * time.Minute, // give or take 10 %
		IdleConnTimeout: 50 * time.Second, // less than the 60 of the load balancer
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for range 7 {
		get(client, server.URL)
	}
	stats := transport.Stats()
	fmt.Println("connections:", stats.Opened, "closes:", stats.Closes)
	// Output: connections: 3 closes: map[max_reuse:2]
}

// The hooks of net/http/httptrace show what happened to one request.
func ExampleTransport_httptrace() {
	server := hello()
	defer server.Close()
	transport := &peerpool.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}

	trace := &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { fmt.Println("reused:", info.Reused) },
	}
	for range 2 {
		ctx := httptrace.WithClientTrace(context.Background(), trace)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		do(client, req)
	}
	// Output:
	// reused: false
	// reused: true
}

// The span of a request shows how the request got its connection. Any instrumentation may have made the span.
func ExampleTransport_openTelemetry() {
	server := hello()
	defer server.Close()

	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	transport := &peerpool.Transport{Observer: otelpool.New(otelpool.WithTracerProvider(provider)).Observer()}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}

	ctx, span := provider.Tracer("example").Start(context.Background(), "two requests")
	for range 2 {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		do(client, req)
	}
	span.End()
	for _, ended := range spans.Ended() {
		if ended.Name() != "two requests" {
			continue
		}
		for _, event := range ended.Events() {
			for _, kv := range event.Attributes {
				if kv.Key == "peerpool.acquire.outcome" {
					fmt.Println(event.Name, kv.Value.AsString())
				}
			}
		}
	}
	// Output:
	// peerpool.acquire miss
	// peerpool.acquire hit
}

// Package prompool exports counters to Prometheus, by reason.
func ExampleTransport_prometheus() {
	server := hello()
	defer server.Close()

	registry := prometheus.NewRegistry()
	transport := &peerpool.Transport{}
	collector := prompool.New(transport, prompool.WithName("api"))
	transport.Observer = collector.Observer() // before the first request: see MultiObserver for more than one
	registry.MustRegister(collector)
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for range 3 {
		get(client, server.URL)
	}

	families, err := registry.Gather() // promhttp does this for a scrape
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, family := range families {
		if family.GetName() != "peerpool_acquires_total" {
			continue
		}
		for _, m := range family.GetMetric() {
			if m.GetCounter().GetValue() > 0 {
				fmt.Println(m.GetLabel()[0].GetValue(), m.GetCounter().GetValue())
			}
		}
	}
	// Output:
	// hit 2
	// miss 1
}

// Stats returns a snapshot: what the pool holds, and what it has done.
func ExampleTransport_Stats() {
	server := hello()
	defer server.Close()
	transport := &peerpool.Transport{}
	client := &http.Client{Transport: transport}
	get(client, server.URL)
	get(client, server.URL)

	stats := transport.Stats()
	fmt.Println("idle:", stats.Idle, "hits:", stats.Hits, "misses:", stats.Misses)
	transport.CloseIdleConnections()
	fmt.Println("closes:", transport.Stats().Closes)
	// Output:
	// idle: 1 hits: 1 misses: map[cold:1]
	// closes: map[close_idle:1]
}

// Package poolz shows the pool on a page, and as JSON. The page names the program's peers, so serve it only to
// operators.
func ExampleTransport_page() {
	server := hello()
	defer server.Close()
	transport := &peerpool.Transport{}
	page := poolz.New(transport)
	transport.Observer = page.Observer()
	defer transport.CloseIdleConnections()
	get(&http.Client{Transport: transport}, server.URL)

	mux := http.NewServeMux()
	mux.Handle("/debug/peerpool", page)
	for _, path := range []string{"/debug/peerpool", "/debug/peerpool?format=json"} {
		answer := httptest.NewRecorder()
		mux.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
		fmt.Println(answer.Code, answer.Header().Get("Content-Type"))
	}
	// Output:
	// 200 text/html; charset=utf-8
	// 200 application/json
}

// Drain takes the connections of one peer out of service, and those of no other.
func ExampleTransport_Drain() {
	server := hello()
	defer server.Close()
	transport := &peerpool.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for _, group := range []string{"blue", "green"} {
		peer, err := peerpool.NewPeer(peerpool.PeerOptions{Group: group})
		if err != nil {
			fmt.Println(err)
			return
		}
		getAs(client, peer, server.URL)
	}

	for _, peer := range transport.Stats().Peers {
		if peer.Identity.Group() == "blue" {
			fmt.Println("drained:", transport.Drain(peer.Identity))
		}
	}
	fmt.Println("idle:", transport.Stats().Idle)
	// Output:
	// drained: 1
	// idle: 1
}

// A test checks that the code under test reads its responses to the end: otherwise its requests would not share a
// connection.
func ExampleTransport_inTests() {
	server := hello()
	defer server.Close()
	transport := &peerpool.Transport{}
	defer transport.CloseIdleConnections()

	// The code under test, with a Transport of its own.
	codeUnderTest := func(client *http.Client) {
		for range 2 {
			resp, err := client.Get(server.URL)
			if err != nil {
				fmt.Println(err)
				return
			}
			io.ReadAll(resp.Body)
			resp.Body.Close()
		}
	}
	codeUnderTest(&http.Client{Transport: transport})

	if opened := transport.Stats().Opened; opened != 1 {
		fmt.Printf("opened %d connections, want 1\n", opened)
	}
	if active := transport.Stats().Active; active != 0 {
		fmt.Printf("%d response bodies were never closed\n", active)
	}
	fmt.Println("done")
	// Output: done
}

// A server that goes away may have processed a POST. The error is net/http's. The Report shows how far the request got.
func ExampleWithReport() {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		panic(http.ErrAbortHandler) // closes the connection without an answer
	}))
	defer server.Close()

	transport := &peerpool.Transport{}
	ctx, report := peerpool.WithReport(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, strings.NewReader("order 1"))
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = transport.RoundTrip(req)
	fmt.Println(err == io.EOF)
	for _, a := range report.Attempts() {
		fmt.Println("attempt", a.Number, "reused:", a.Reused, "wrote:", a.Wrote, "started:", a.Started)
	}
	// Output:
	// true
	// attempt 1 reused: false wrote: true started: false
}

// Shutdown lets no new request begin, waits for those under way, and closes every connection.
func ExampleTransport_Shutdown() {
	server := hello()
	defer server.Close()
	transport := &peerpool.Transport{}
	client := &http.Client{Transport: transport}
	get(client, server.URL)

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fmt.Println(transport.Shutdown(ctx))
	fmt.Println(get(client, server.URL))
	// Output:
	// <nil>
	// peerpool: transport is shut down
}
