package contrib_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/otelpool"
	"github.com/peerpool/peerpool/prompool"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// seen is all that can be seen of a Transport to which everything has happened.
type seen struct {
	families map[string]*dto.MetricFamily
	metrics  []metricdata.Metrics
	spans    tracetest.SpanStubs
}

var runOnce struct {
	sync.Once
	seen seen
}

// everything makes everything happen, once for all tests.
func everything(t *testing.T) seen {
	t.Helper()
	runOnce.Do(func() { runOnce.seen = run(t) })
	return runOnce.seen
}

// misbehave answers, leaves under a second request on the first connection, and says too much on the second.
func misbehave(c *httptestutil.WireConn) {
	for n := 1; c.ReadRequest() != nil; n++ {
		switch {
		case c.Number() == 1 && n == 2:
			return
		case c.Number() == 2 && n == 2:
			c.Write(httptestutil.Response("ok"), "stray")
			c.WaitClosed()
			return
		}
		c.Write(httptestutil.Response("ok"))
	}
}

// as returns the context of a request to a peer with these options.
func as(t *testing.T, ctx context.Context, opts peerpool.PeerOptions) context.Context {
	t.Helper()
	peer, err := peerpool.NewPeer(opts)
	if err != nil {
		t.Fatal(err)
	}
	return peerpool.WithPeer(ctx, peer)
}

// silent reads a request and does not answer it.
func silent(c *httptestutil.WireConn) {
	c.ReadRequest()
	c.WaitClosed()
}

// crowd sends a second request to a server while the first has the only connection that is allowed.
func crowd(t *testing.T, tr *peerpool.Transport, ctx context.Context, target string) {
	t.Helper()
	one := as(t, ctx, peerpool.PeerOptions{MaxConns: 1, Group: "crowd"})
	req, err := http.NewRequestWithContext(one, http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	first, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	var second sync.WaitGroup
	second.Go(func() { send(t, tr, one, target) })
	if !until(httptestutil.Bound, func() bool { return tr.Stats().Waiting == 1 }) {
		t.Error("the second request does not wait")
	}
	first.Body.Close()
	second.Wait()
}

func run(t *testing.T) seen {
	t.Helper()
	wire := httptestutil.NewWire(t, misbehave)
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{TLS: &tls.Config{}})
	strange := httptestutil.NewOrigin(t, httptestutil.OriginOptions{TLS: &tls.Config{}}) // of another authority
	proxy := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
	resolver := new(httptestutil.Resolver)
	resolver.Set(t, "localhost", "127.0.0.1")
	resolver.Fail("nowhere.test", &net.DNSError{Err: "no such host", IsNotFound: true})

	spans, reader := tracetest.NewInMemoryExporter(), sdkmetric.NewManualReader()
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	tr := &peerpool.Transport{
		Resolver: resolver, TLSClientConfig: origin.ClientTLS(),
		Proxy: func(req *http.Request) (*url.URL, error) {
			if req.URL.Path == "/proxied" {
				return proxy.URL(), nil
			}
			return nil, nil
		},
		Observer: otelpool.New(otelpool.WithTracerProvider(tracers), otelpool.WithName("all"), otelpool.WithHosts(10),
			otelpool.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))).Observer(),
	}
	registry := prometheus.NewPedanticRegistry()
	collector := prompool.New(tr, prompool.WithName("all"), prompool.WithHosts(10))
	tr.Observer = peerpool.MultiObserver(tr.Observer, collector.Observer())
	registry.MustRegister(collector)

	plain := strings.Replace(wire.URL(), "127.0.0.1", "localhost", 1)
	for _, target := range []string{
		plain, plain, plain, plain, // a miss, a retry, a hit with stray data, a miss
		origin.URL(), origin.URL() + "/proxied",
		"http://nowhere.test", "http://127.0.0.1:1", strange.URL(),
	} {
		ctx, span := tracers.Tracer("test").Start(context.Background(), "request")
		send(t, tr, ctx, target)
		span.End()
	}
	ctx, span := tracers.Tracer("test").Start(context.Background(), "request")
	crowd(t, tr, ctx, httptestutil.NewOrigin(t, httptestutil.OriginOptions{}).URL())
	soon := time.Millisecond
	send(t, tr, as(t, ctx, peerpool.PeerOptions{ResponseHeaderTimeout: &soon}), httptestutil.NewWire(t, silent).URL())
	span.End()
	tr.CloseIdleConnections()

	s := seen{families: map[string]*dto.MetricFamily{}, spans: spans.GetSpans()}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		s.families[family.GetName()] = family
	}
	var all metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &all); err != nil {
		t.Fatal(err)
	}
	for _, scope := range all.ScopeMetrics {
		s.metrics = append(s.metrics, scope.Metrics...)
	}
	return s
}

// send sends a GET, which may fail.
func send(t *testing.T, rt http.RoundTripper, ctx context.Context, target string) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Error(err)
	}
}
