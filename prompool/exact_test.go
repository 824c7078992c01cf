package prompool_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/nettest"
	"github.com/peerpool/peerpool/internal/testkit"
	"github.com/peerpool/peerpool/otelpool"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// faults is a server that goes wrong in one of four ways on each connection, and counts.
type faults struct {
	requests, gone, stray, closing, cut atomic.Uint64
}

func (f *faults) serve(c *httptestutil.WireConn) {
	answer := httptestutil.Response("ok")
	for n := 1; c.ReadRequest() != nil; n++ {
		f.requests.Add(1)
		switch kind := c.Number() % 4; {
		case kind == 0 && n == 4: // dead under a request that is sent again
			f.gone.Add(1)
			return
		case kind == 1 && n == 3: // more than was asked for
			f.stray.Add(1)
			c.Write(answer, answer)
			c.WaitClosed()
			return
		case kind == 2 && n == 5: // a decent end
			f.closing.Add(1)
			c.Write(httptestutil.ResponseWith(200, "bye", "Connection: close"))
			c.WaitClosed()
			return
		case kind == 3 && n == 2: // half an answer
			f.cut.Add(1)
			c.Write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
			return
		}
		c.Write(answer)
	}
}

// The server's own count is the truth that all metrics are held against.
func TestTheMetricsAreWhatTheServerCounted(t *testing.T) {
	var truth faults
	wire := httptestutil.NewWire(t, truth.serve)
	reader := sdkmetric.NewManualReader()
	tr := &peerpool.Transport{
		DisableQuarantine: true, // or the first stray byte would be the last
		Observer:          otelpool.New(otelpool.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))).Observer(),
	}
	registry := register(t, tr)

	var failed atomic.Uint64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 40 {
				if testkit.Fetch(t.Context(), tr, wire.URL()) != nil {
					failed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	nettest.Eventually(t, "the dials that nobody waited for have ended", func() bool { return tr.Stats().Dialing == 0 })
	if err := tr.Shutdown(t.Context()); err != nil { // waits until all are closed, and the observers told
		t.Fatal(err)
	}
	wire.WaitOpenConns(0)

	if truth.gone.Load()*truth.stray.Load()*truth.closing.Load()*truth.cut.Load() == 0 {
		t.Fatalf("not every fault came up: %+v", &truth)
	}
	if failed.Load() != truth.cut.Load() {
		t.Errorf("%d requests failed, and %d answers were cut", failed.Load(), truth.cut.Load())
	}
	conns, requests := uint64(wire.Conns()), truth.requests.Load()
	expect := func(what string, got, want uint64) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %d, the server counted %d", what, got, want)
		}
	}

	prom := gather(t, registry)
	n := func(name string) uint64 { return number(prom[name]) }
	var closed uint64
	for _, reason := range peerpool.CloseReasons() {
		closed += n(`peerpool_connections_closed_total{reason="` + string(reason) + `"}`)
	}
	expect("opened", n("peerpool_connections_opened_total"), conns)
	expect("closed", closed, conns)
	expect("open", n(`peerpool_connections{state="idle"}`)+n(`peerpool_connections{state="active"}`), 0)
	expect("acquired", n(`peerpool_acquires_total{outcome="hit"}`)+n(`peerpool_acquires_total{outcome="miss"}`), requests)
	expect("retried", n(`peerpool_retries_total{reason="stale"}`), truth.gone.Load())
	expect("saved", n(`peerpool_retried_requests_total{outcome="saved"}`), truth.gone.Load())
	expect("unexpected data", n("peerpool_unexpected_data_total"), truth.stray.Load())
	expect("connection_close", n(`peerpool_connections_closed_total{reason="connection_close"}`), truth.closing.Load())
	expect("error", n(`peerpool_connections_closed_total{reason="error"}`), truth.gone.Load()+truth.cut.Load())
	uses := prom["peerpool_connection_requests"].GetHistogram()
	expect("requests on all connections", uint64(uses.GetSampleSum()), requests)
	expect("connections with requests", uses.GetSampleCount(), conns)

	otel := sums(t, reader)
	expect("otel: open", otel["http.client.open_connections"][""], 0)
	expect("otel: active requests", otel["http.client.active_requests"][""], 0)
	expect("otel: closed", otel["peerpool.connection.closes"][""], conns)
	expect("otel: unexpected data", otel["peerpool.connection.unexpected_data"][""], truth.stray.Load())
	expect("otel: connection_close", otel["peerpool.connection.closes"]["connection_close"], truth.closing.Load())
	expect("otel: acquired", otel["peerpool.acquires"][""], requests)
	expect("otel: retried", otel["peerpool.retries"]["stale"], truth.gone.Load())
	expect("otel: saved", otel["peerpool.retried_requests"]["saved"], truth.gone.Load())
	expect("otel: requests on all connections", otel["peerpool.connection.requests"][""], requests)
	expect("otel: lifetimes", otel["http.client.connection.duration"]["count"], conns)
}

// sums returns the sums of all metrics: under "" of all points, and under each attribute's value of those with it;
// under "count" that of a histogram's samples.
func sums(t *testing.T, reader sdkmetric.Reader) map[string]map[string]uint64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	byName := map[string]map[string]uint64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			into := map[string]uint64{}
			byName[m.Name] = into
			add := func(set attribute.Set, n uint64) {
				into[""] += n
				for _, kv := range set.ToSlice() {
					into[kv.Value.String()] += n
				}
			}
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					add(p.Attributes, uint64(p.Value))
				}
			case metricdata.Histogram[int64]:
				for _, p := range data.DataPoints {
					add(p.Attributes, uint64(p.Sum))
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					into["count"] += p.Count
				}
			}
		}
	}
	return byName
}
