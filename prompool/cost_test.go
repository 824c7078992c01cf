//go:build !race

package prompool_test

import (
	"context"
	"testing"
	"time"

	"github.com/peerpool/peerpool"
	"github.com/peerpool/peerpool/internal/testkit"
	"github.com/peerpool/peerpool/otelpool"
	"github.com/peerpool/peerpool/prompool"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// maxAllocs is what otelpool and prompool together may add to a request that hits, its trace not being sampled. The
// benchmark below says what they add in time, which should stay below 1.5 microseconds.
const maxAllocs = 6

// plain and watched return what sends a request that hits: unwatched, and watched by all that there is.
func plain(t testing.TB) func() {
	return testkit.Hits(t, &peerpool.Transport{}, context.Background())
}

func watched(t testing.TB) func() {
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))
	tr := &peerpool.Transport{Observer: otelpool.New(
		otelpool.WithTracerProvider(tracers), otelpool.WithMeterProvider(meters), otelpool.WithHosts(10)).Observer()}
	attach(tr, prompool.WithHosts(10))
	ctx, span := tracers.Tracer("test").Start(context.Background(), "request")
	t.Cleanup(func() { span.End() })
	return testkit.Hits(t, tr, ctx)
}

func TestWatchingAHitAllocatesLittle(t *testing.T) {
	without := testing.AllocsPerRun(2000, plain(t))
	with := testing.AllocsPerRun(2000, watched(t))
	t.Logf("%v allocations without, %v with", without, with)
	if with-without > maxAllocs {
		t.Errorf("%v allocations more, want at most %d", with-without, maxAllocs)
	}
}

func BenchmarkHit(b *testing.B) {
	for name, send := range map[string]func(testing.TB) func(){"unwatched": plain, "watched": watched} {
		b.Run(name, func(b *testing.B) {
			get := send(b)
			b.ReportAllocs()
			for b.Loop() {
				get()
			}
		})
	}
}

// BenchmarkHooks is what the hooks of a hit cost without the request: all that otelpool and prompool do.
func BenchmarkHooks(b *testing.B) {
	tr := &peerpool.Transport{Observer: otelpool.New(
		otelpool.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))),
		otelpool.WithHosts(10)).Observer()}
	attach(tr, prompool.WithHosts(10))
	o, ctx := tr.Observer, context.Background()
	b.ReportAllocs()
	for b.Loop() {
		o.RequestStart(ctx, peerpool.RequestStart{Host: "example.test", Scheme: "http", Method: "GET"})
		o.AcquireDone(ctx, peerpool.AcquireDone{Host: "example.test", ConnHost: "example.test", Attempt: 1, Conn: 1, Requests: 1, Protocol: "HTTP/1.1"})
		o.AttemptDone(ctx, peerpool.AttemptDone{Host: "example.test", ConnHost: "example.test", Attempt: 1, Conn: 1, Protocol: "HTTP/1.1"})
		o.RequestDone(ctx, peerpool.RequestDone{Host: "example.test", Scheme: "http", Method: "GET", Attempts: 1, Status: 200, Head: time.Millisecond})
	}
}
