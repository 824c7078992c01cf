//go:build !race

package allpool_test

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/peerpool/peerpool"
	"github.com/peerpool/peerpool/allpool"
	"github.com/peerpool/peerpool/internal/testkit"
	"github.com/prometheus/client_golang/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// maxAllocs is what everything together may add to a request that finds an idle connection, if its trace is not sampled.
// BenchmarkHooks says what it adds in time, which should stay below 1.5 microseconds.
const maxAllocs = 6

// attached returns a Transport with all four packages, as they are in production: metrics for some hosts, a log at level
// info, and a sampler that has not chosen the request of ctx.
func attached(t testing.TB) (tr *peerpool.Transport, ctx context.Context) {
	t.Helper()
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))
	tr = peerpool.New()
	_, err := allpool.Attach(tr, allpool.Options{
		Name: "cost", Hosts: 10, Tracers: tracers, Registerer: prometheus.NewRegistry(),
		Meters: sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader())),
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, span := tracers.Tracer("test").Start(context.Background(), "request")
	t.Cleanup(func() { span.End() })
	return tr, ctx
}

func TestAllOfItAddsFewAllocationsToARequest(t *testing.T) {
	without := testing.AllocsPerRun(2000, testkit.Hits(t, peerpool.New(), context.Background()))
	tr, ctx := attached(t)
	with := testing.AllocsPerRun(2000, testkit.Hits(t, tr, ctx))
	t.Logf("%v allocations without, %v with", without, with)
	if with-without > maxAllocs {
		t.Errorf("%v allocations more, want at most %d", with-without, maxAllocs)
	}
}

func BenchmarkHit(b *testing.B) {
	run := func(b *testing.B, get func()) {
		b.ReportAllocs()
		for b.Loop() {
			get()
		}
	}
	b.Run("without", func(b *testing.B) { run(b, testkit.Hits(b, peerpool.New(), context.Background())) })
	b.Run("with", func(b *testing.B) {
		tr, ctx := attached(b)
		run(b, testkit.Hits(b, tr, ctx))
	})
}

// BenchmarkHooks is what the hooks of such a request cost without the request.
func BenchmarkHooks(b *testing.B) {
	tr, ctx := attached(b)
	o := tr.Observer
	const host, version = "example.test", "HTTP/1.1"
	b.ReportAllocs()
	for b.Loop() {
		o.RequestStart(ctx, peerpool.RequestStart{Host: host, Scheme: "http", Method: "GET"})
		o.AcquireDone(ctx, peerpool.AcquireDone{Host: host, ConnHost: host, Attempt: 1, Conn: 1, Requests: 1, Reused: true, Protocol: version})
		o.AttemptDone(ctx, peerpool.AttemptDone{Host: host, ConnHost: host, Attempt: 1, Conn: 1, Reused: true, Protocol: version, Status: 200})
		o.RequestDone(ctx, peerpool.RequestDone{Host: host, Scheme: "http", Method: "GET", Attempts: 1, Status: 200, Head: time.Millisecond})
	}
}
