package contrib_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peerpool/peerpool"
	"github.com/peerpool/peerpool/allpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/poolz"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// A stage is where one incident is played: a Transport to which everything is attached, and callers that use it.
type stage struct {
	t         *testing.T
	name      string // the label pool of its metrics
	metrics   *prometheus.Registry
	transport *peerpool.Transport
	resolver  *httptestutil.Resolver
	page      *poolz.Page
	log       *notes
	trace     *facts
	send      http.RoundTripper // the transport, with otelhttp in front

	broken atomic.Bool // the incident is under way
}

func newStage(t *testing.T, name string) *stage {
	t.Helper()
	s := &stage{
		t: t, name: name, metrics: prometheus.NewRegistry(), transport: peerpool.New(), resolver: new(httptestutil.Resolver),
		log: new(notes), trace: new(facts),
	}
	s.transport.Resolver = s.resolver
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(s.trace))
	var err error
	s.page, err = allpool.Attach(s.transport, allpool.Options{
		Name: name, Registerer: s.metrics, Tracers: tracers, Logger: slog.New(slog.NewJSONHandler(s.log, nil)),
		Meters: sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader())),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.send = otelhttp.NewTransport(s.transport, otelhttp.WithTracerProvider(tracers),
		otelhttp.WithMeterProvider(sdkmetric.NewMeterProvider()))
	t.Cleanup(s.transport.CloseIdleConnections)
	return s
}

// script is what a server does with the n-th request on a connection while the incident is under way. It returns false if
// the connection is to end.
type script func(c *httptestutil.WireConn, n int) bool

// serve starts a server that answers, and while the incident is under way does what the script says.
func (s *stage) serve(opts httptestutil.WireOptions, incident script) *httptestutil.Wire {
	opts.Bound = time.Hour // the test's own end is before that
	return httptestutil.NewWireWith(s.t, opts, func(c *httptestutil.WireConn) {
		for n := 1; c.ReadRequest() != nil; n++ {
			if !s.broken.Load() {
				c.Write(httptestutil.Response("ok"))
			} else if !incident(c, n) {
				return
			}
		}
	})
}

// answer is a script for a server that has no part in the incident.
func answer(c *httptestutil.WireConn, _ int) bool { return c.Write(httptestutil.Response("ok")) }

// call sends a request and reads the response, as far as it comes.
func (s *stage) call(ctx context.Context, method, url string) {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		s.t.Error(err)
		return
	}
	resp, err := s.send.RoundTrip(req)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body) // a truncated one is an incident
}

// run has each of the callers call again and again, with a pause in between, until ctx is done. The pauses differ, so that
// callers do not keep in step with one another or with the test that looks at them.
func (s *stage) run(ctx context.Context, callers int, pause time.Duration, call func(ctx context.Context)) {
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-time.After(pause/2 + rand.N(pause)):
					call(ctx)
				}
			}
		})
	}
	wg.Wait()
}

// notes reads the records of a log as they are written. It keeps what they say, not how often.
type notes struct {
	mu   sync.Mutex // guards said
	said map[string]bool
}

// Write is given one record.
func (n *notes) Write(record []byte) (int, error) {
	var r struct {
		Level, Msg, Hop, Cause, Reason string
		ErrorType                      string `json:"error_type"`
	}
	if err := json.NewDecoder(bytes.NewReader(record)).Decode(&r); err != nil {
		return 0, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.said == nil {
		n.said = make(map[string]bool)
	}
	text := strings.TrimPrefix(r.Msg, "peerpool: ")
	for _, more := range []string{r.Hop, cmp.Or(r.Cause, r.ErrorType), r.Reason} {
		if more != "" {
			text += ", " + more
		}
	}
	n.said[text] = true
	return len(record), nil
}

func (n *notes) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Sorted(maps.Keys(n.said))
}

// facts is a SpanProcessor that keeps which spans have failed and why, why spans waited, and which requests were sent again or
// met unexpected data.
type facts struct {
	mu   sync.Mutex // guards seen
	seen map[string]bool
}

func (f *facts) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (f *facts) Shutdown(context.Context) error                  { return nil }
func (f *facts) ForceFlush(context.Context) error                { return nil }

func (f *facts) OnEnd(span sdktrace.ReadOnlySpan) {
	name := span.Name()
	if cut := strings.LastIndex(name, " "); cut > 0 && !strings.HasPrefix(name, "HTTP GET") && !strings.HasPrefix(name, "HTTP POST") {
		name = name[:cut]
	}
	failed := span.Status().Code == codes.Error
	for _, kv := range span.Attributes() {
		if kv.Key == "peerpool.wait.reason" || kv.Key == "error.type" && failed {
			f.add(name + ": " + kv.Value.String())
		}
	}
	for _, e := range span.Events() {
		has := make(map[attribute.Key]string)
		for _, kv := range e.Attributes {
			has[kv.Key] = kv.Value.String()
		}
		switch e.Name {
		case "peerpool.retry":
			f.add(e.Name + ": " + has["peerpool.retry.reason"])
		case "peerpool.unexpected_data":
			f.add(e.Name + ": " + has["peerpool.unexpected_data.place"])
		case "peerpool.failure":
			text := e.Name + ": " + has["peerpool.request.outcome"] + ", " + has["peerpool.close.reason"]
			if kind := has["error.type"]; kind != "" {
				text += ", " + kind
			}
			if has["peerpool.connection.reused"] == "true" {
				text += ", reused"
			}
			f.add(text)
		}
	}
}

func (f *facts) add(fact string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen == nil {
		f.seen = make(map[string]bool)
	}
	f.seen[fact] = true
}

func (f *facts) all() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.seen))
}

// waiting is a line that the page also shows for a moment in good health.
const waiting = "waiting"

// pageFacts returns what the page says that it would not say of a pool in good health.
func (s *stage) pageFacts() []string {
	answer := httptest.NewRecorder()
	s.page.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/?format=json", nil))
	var page struct {
		Waiting     int
		Closes      map[string]int
		Retries     map[string]int
		Failures    map[string]int `json:"failed_requests"`
		Quarantined []struct{ Why string }
		LastMisses  []struct {
			Reason, Failure string
			HeldBack        bool `json:"held_back"`
		} `json:"last_misses"`
		LookupFails int `json:"lookup_failures"`
		Hosts       []struct{ Addresses []struct{ State string } }
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &page); err != nil {
		s.t.Fatal(err)
	}
	seen := make(map[string]bool)
	for reason, n := range page.Closes {
		seen["closes: "+reason] = n > 0
	}
	delete(seen, "closes: ejected") // whether the address has an idle connection then is a matter of chance
	for reason, n := range page.Retries {
		seen["retries: "+reason] = n > 0
	}
	for kind, n := range page.Failures {
		seen["failed requests: "+kind] = n > 0
	}
	for _, q := range page.Quarantined {
		seen["in quarantine: "+q.Why] = true
	}
	for _, m := range page.LastMisses {
		seen["no connection: "+m.Failure] = m.Failure != ""
		seen[pageHeldBack] = seen[pageHeldBack] || m.HeldBack
	}
	for _, h := range page.Hosts {
		for _, a := range h.Addresses {
			seen["address "+a.State] = a.State == "avoided" || a.State == "ejected"
		}
	}
	seen["failed look-ups"] = page.LookupFails > 0
	seen[waiting] = page.Waiting > 1 // one may always wait for its dial
	maps.DeleteFunc(seen, func(_ string, there bool) bool { return !there })
	return slices.Sorted(maps.Keys(seen))
}

// until looks again and again until cond holds, and returns whether that was before the time was up.
func until(long time.Duration, cond func() bool) bool {
	giveUp := time.NewTimer(long)
	defer giveUp.Stop()
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for !cond() {
		select {
		case <-again.C:
		case <-giveUp.C:
			return false
		}
	}
	return true
}
