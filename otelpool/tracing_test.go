package otelpool_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"go.opentelemetry.io/contrib/instrumentation/net/http/httptrace/otelhttptrace"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// secure is an origin over TLS, and a Transport that finds it under a name.
func secure(t *testing.T) (*httptestutil.Origin, *peerpool.Transport, string) {
	t.Helper()
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{TLS: &tls.Config{}})
	_, port, err := net.SplitHostPort(origin.Addr())
	if err != nil {
		t.Fatal(err)
	}
	resolver := new(httptestutil.Resolver)
	resolver.Set(t, "localhost", "127.0.0.1")
	return origin, &peerpool.Transport{TLSClientConfig: origin.ClientTLS(), Resolver: resolver}, "https://localhost:" + port
}

func TestAMissWaitsAndAHitDoesNot(t *testing.T) {
	_, tr, url := secure(t)
	l := watch(t, tr)
	first, second := l.get(url), l.get(url)

	host := strings.TrimPrefix(url, "https://")
	if kids := spanNames(l.children(first)); !slices.Equal(kids, []string{"HTTP wait_for_connection " + host}) {
		t.Errorf("a miss has the children %q", kids)
	}
	if kids := l.children(second); len(kids) != 0 {
		t.Errorf("a hit has the children %q", spanNames(kids))
	}
	wait := l.one("HTTP wait_for_connection")
	if wait.SpanKind != trace.SpanKindInternal || wait.Status.Code != codes.Unset ||
		wait.StartTime.Before(first.StartTime) || wait.EndTime.After(first.EndTime) {
		t.Errorf("%+v within %+v", wait, first)
	}
	for i, c := range []struct {
		span tracetest.SpanStub
		want map[string]string
	}{
		{first, map[string]string{"peerpool.acquire.outcome": "miss", "peerpool.miss.reason": "cold", "peerpool.connection.uses": "0", "peerpool.attempt": "1"}},
		{second, map[string]string{"peerpool.acquire.outcome": "hit", "peerpool.miss.reason": "", "peerpool.connection.uses": "1", "peerpool.wait.duration": "0"}},
	} {
		if len(c.span.Events) != 1 || c.span.Events[0].Name != "peerpool.acquire" {
			t.Fatalf("%d: events %+v", i, c.span.Events)
		}
		attrs := c.span.Events[0].Attributes
		for key, want := range c.want {
			if got := value(attrs, key); got != want {
				t.Errorf("%d: %s is %q, want %q", i, key, got, want)
			}
		}
		if !strings.Contains(value(attrs, "peerpool.identity"), "sni=localhost") || value(attrs, "peerpool.connection.age") == "" {
			t.Errorf("%d: %v", i, attrs)
		}
	}
}

func TestTheSetupOfAConnectionIsATraceOfItsOwnThatItsRequestsLinkTo(t *testing.T) {
	origin, tr, url := secure(t)
	l := watch(t, tr)
	requests := []tracetest.SpanStub{l.get(url), l.get(url)}

	host, addr := strings.TrimPrefix(url, "https://"), origin.Addr()
	setup := l.one("HTTP connection_setup")
	if setup.Name != "HTTP connection_setup "+host || setup.Parent.IsValid() || setup.SpanContext.TraceID() == requests[0].SpanContext.TraceID() {
		t.Errorf("%s is not a root: %+v", setup.Name, setup.Parent)
	}
	for i, r := range requests {
		if len(r.Links) != 1 || r.Links[0].SpanContext.SpanID() != setup.SpanContext.SpanID() {
			t.Errorf("request %d links to %+v", i, r.Links)
		}
	}
	hops := l.children(setup)
	if want := []string{"DNS lookup localhost", "socket connect " + addr, "TLS client handshake localhost"}; !slices.Equal(spanNames(hops), want) {
		t.Fatalf("hops: %q, want %q", spanNames(hops), want)
	}
	ip, port, _ := net.SplitHostPort(addr)
	for i, want := range []map[string]string{
		{"dns.question.name": "localhost", "dns.answers": `["127.0.0.1"]`},
		{"network.peer.address": ip, "network.peer.port": port, "network.transport": "tcp", "network.type": "ipv4"},
		{"server.address": "localhost", "tls.protocol.name": "tls", "tls.protocol.version": "1.3", "tls.resumed": "false"},
	} {
		for key, v := range want {
			if got := value(hops[i].Attributes, key); got != v {
				t.Errorf("%s: %s is %q, want %q", hops[i].Name, key, got, v)
			}
		}
		if hops[i].StartTime.Before(setup.StartTime) || hops[i].EndTime.After(setup.EndTime) || i > 0 && hops[i].StartTime.Before(hops[i-1].EndTime) {
			t.Errorf("%s is out of line", hops[i].Name)
		}
	}
	for key, v := range map[string]string{
		"server.address": "localhost", "server.port": port, "url.scheme": "https", "network.peer.address": ip,
		"network.peer.port": port, "network.protocol.version": "1.1", "error.type": "",
	} {
		if got := value(setup.Attributes, key); got != v {
			t.Errorf("setup: %s is %q, want %q", key, got, v)
		}
	}
}

func TestAClosedConnectionIsLinkedToNoMore(t *testing.T) {
	_, tr, url := secure(t)
	l := watch(t, tr)
	l.get(url)
	l.CloseIdleConnections()
	second := l.get(url)
	setups := l.named("HTTP connection_setup")
	if len(setups) != 2 || len(second.Links) != 1 || second.Links[0].SpanContext.SpanID() != setups[1].SpanContext.SpanID() {
		t.Errorf("%d setups, links %+v", len(setups), second.Links)
	}
}

// gone answers one request on its first connection, and leaves with the head of the next.
func gone(c *httptestutil.WireConn) {
	for n := 0; c.ReadRequest() != nil; n++ {
		if c.Number() == 1 && n == 1 {
			return
		}
		c.Write(httptestutil.Response("ok"))
	}
}

func TestASavedRetryIsAnEventAndNoError(t *testing.T) {
	wire := httptestutil.NewWire(t, gone)
	l := watch(t, &peerpool.Transport{})
	l.get(wire.URL())
	span := l.get(wire.URL())
	var events []string
	for _, e := range span.Events {
		events = append(events, e.Name)
	}
	if want := []string{"peerpool.acquire", "peerpool.retry", "peerpool.acquire"}; !slices.Equal(events, want) {
		t.Fatalf("events %q, want %q", events, want)
	}
	if got := value(span.Events[1].Attributes, "peerpool.retry.reason"); got != "stale" {
		t.Errorf("the reason is %q", got)
	}
	if span.Status.Code != codes.Unset || len(span.Links) != 2 {
		t.Errorf("status %v, %d links", span.Status, len(span.Links))
	}
	for _, s := range l.spans.GetSpans() {
		if s.Status.Code == codes.Error {
			t.Errorf("%s is an error", s.Name)
		}
	}
}

func TestASetupThatFailsSaysWhere(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{TLS: &tls.Config{}})
	resolver := new(httptestutil.Resolver)
	resolver.Fail("nowhere.test", &net.DNSError{Err: "no such host", Name: "nowhere.test", IsNotFound: true})
	for url, want := range map[string]struct{ hop, kind, hopKind, text string }{
		"http://nowhere.test": {"DNS lookup nowhere.test", "name_resolution_error", "host_not_found", "no such host"},
		"http://127.0.0.1:1":  {"socket connect 127.0.0.1:1", "connection_error", "connection_refused", "refused"},
		// by an authority unknown
		origin.URL(): {"TLS client handshake 127.0.0.1", "secure_connection_error", "secure_connection_error", "unknown authority"},
	} {
		l := watch(t, &peerpool.Transport{Resolver: resolver})
		span := l.inSpan(func(ctx context.Context) {
			req, _ := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if _, err := l.RoundTrip(req); err == nil {
				t.Fatal("it succeeded")
			}
		})
		setup := l.one("HTTP connection_setup")
		hops := l.children(setup)
		hop := hops[len(hops)-1]
		for _, failed := range []tracetest.SpanStub{setup, hop, l.one("HTTP wait_for_connection")} {
			kind := want.kind
			if failed.Name == hop.Name {
				kind = want.hopKind
			}
			if failed.Status.Code != codes.Error || value(failed.Attributes, "error.type") != kind ||
				!strings.Contains(failed.Status.Description, want.text) {
				t.Errorf("%s: %v, %v", failed.Name, failed.Status, failed.Attributes)
			}
		}
		if hops[len(hops)-1].Name != want.hop || len(span.Links) != 0 {
			t.Errorf("%q failed, want %s; links %v", spanNames(hops), want.hop, span.Links)
		}
		if e := span.Events[0]; value(e.Attributes, "peerpool.acquire.outcome") != "error" || value(e.Attributes, "error.type") != want.kind {
			t.Errorf("event %+v", e)
		}
	}
}

func TestACanceledWaitIsNoError(t *testing.T) {
	resolver := new(httptestutil.Resolver)
	resolver.Set(t, "slow.test", "127.0.0.1")
	t.Cleanup(resolver.Hold("slow.test"))
	l := watch(t, &peerpool.Transport{Resolver: resolver})
	l.inSpan(func(ctx context.Context) {
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://slow.test", nil)
		trace := &httptrace.ClientTrace{GetConn: func(string) { cancel() }}
		if _, err := l.RoundTrip(req.WithContext(httptrace.WithClientTrace(ctx, trace))); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	})
	for _, s := range l.spans.GetSpans() {
		if s.Status.Code != codes.Unset || value(s.Attributes, "error.type") != "" {
			t.Errorf("%s: %v", s.Name, s.Status)
		}
	}
}

func TestItWorksBelowOtelhttp(t *testing.T) {
	wire := httptestutil.NewWire(t, gone)
	l := watch(t, &peerpool.Transport{})
	rt := otelhttp.NewTransport(l.Transport, otelhttp.WithTracerProvider(l.tracers))
	fetch(t, rt, t.Context(), wire.URL())
	fetch(t, rt, t.Context(), wire.URL())
	spans := l.named("HTTP GET")
	if len(spans) != 2 || len(spans[0].Events) != 1 || len(spans[1].Events) != 3 || len(spans[1].Links) != 2 {
		t.Fatalf("%+v", spans)
	}
	if spans[1].Status.Code != codes.Unset {
		t.Errorf("a saved retry ended as %v", spans[1].Status)
	}
	if wait := l.children(spans[0]); len(wait) != 1 {
		t.Errorf("%q", spanNames(wait))
	}
}

func TestItWorksBesideOtelhttptrace(t *testing.T) {
	wire := httptestutil.NewWire(t, gone)
	l := watch(t, &peerpool.Transport{})
	rt := otelhttp.NewTransport(l.Transport, otelhttp.WithTracerProvider(l.tracers),
		otelhttp.WithClientTrace(func(ctx context.Context) *httptrace.ClientTrace {
			return otelhttptrace.NewClientTrace(ctx, otelhttptrace.WithTracerProvider(l.tracers))
		}))
	for range 3 {
		fetch(t, rt, t.Context(), wire.URL())
	}
	if n := len(l.named("http.getconn")); n != 4 {
		t.Errorf("%d http.getconn, want one for each of 4 attempts: %q", n, spanNames(l.spans.GetSpans()))
	}
	for i, span := range l.named("HTTP GET") {
		var acquired int
		for _, e := range span.Events {
			if e.Name == "peerpool.acquire" {
				acquired++
			}
		}
		if want := []int{1, 2, 1}[i]; acquired != want {
			t.Errorf("request %d: %d acquired, want %d", i, acquired, want)
		}
	}
}

func TestARequestThatIsNotRecordedGetsNoSpans(t *testing.T) {
	_, tr, url := secure(t)
	l := watchSampled(t, tr, sdktrace.NeverSample())
	fetch(t, l, t.Context(), url)
	if spans := l.spans.GetSpans(); len(spans) != 0 {
		t.Errorf("%q", spanNames(spans))
	}
	fetch(t, watch(t, &peerpool.Transport{TLSClientConfig: tr.TLSClientConfig, Resolver: tr.Resolver}), t.Context(), url)
}

func TestARequestWithoutASpanGetsNone(t *testing.T) {
	_, tr, url := secure(t)
	l := watch(t, tr)
	fetch(t, l, t.Context(), url)
	if n := len(l.named("HTTP wait_for_connection")); n != 0 {
		t.Errorf("%d waits without a request's span", n)
	}
	l.one("HTTP connection_setup")
}

func TestARequestThatGetsTheConnectionOfAnotherShowsTheLookUpThatItWaitedFor(t *testing.T) {
	var tr *peerpool.Transport
	var served atomic.Int64
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		for first := served.Add(1)%2 == 1; first && tr.Stats().Waiting == 0; { // for this one's connection
			runtime.Gosched()
		}
	})})
	_, port, _ := net.SplitHostPort(origin.Addr())
	resolver := new(httptestutil.Resolver)
	tr = &peerpool.Transport{Resolver: resolver, MaxConnsPerHost: 1}
	l := watch(t, tr)
	started := make(chan struct{}, 2)
	l.Observer = peerpool.MultiObserver(l.Observer, &peerpool.Observer{
		RequestStart: func(context.Context, peerpool.RequestStart) { started <- struct{}{} },
	})
	// The second request may begin to look when the answer is known already; it does not in most of the rounds.
	for round := range 100 {
		host := fmt.Sprintf("%d.test", round)
		resolver.Set(t, host, "127.0.0.1")
		release := resolver.Hold(host)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				ctx, span := l.tracers.Tracer("test").Start(t.Context(), "request")
				defer span.End()
				fetch(t, l, ctx, "http://"+host+":"+port)
			})
		}
		<-started
		<-started
		release()
		wg.Wait()
		waits := l.named("HTTP wait_for_connection " + host)
		shown := 0
		for _, wait := range waits {
			for _, kid := range l.children(wait) {
				if kid.Name != "DNS lookup "+host || value(kid.Attributes, "dns.answers") != `["127.0.0.1"]` ||
					kid.StartTime.Before(wait.StartTime) || kid.EndTime.After(wait.EndTime) {
					t.Errorf("%+v in %+v", kid, wait)
				}
				shown++
			}
		}
		if shown == 2 && len(l.named("HTTP connection_setup "+host)) == 1 {
			return
		}
		l.CloseIdleConnections()
	}
	t.Error("a request that was given the connection of another does not show the look-up that it waited for")
}

func TestWhatARequestHasFailedOfIsAnEvent(t *testing.T) {
	gone := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
		if c.ReadRequest() != nil && c.Number() == 1 {
			c.Write(httptestutil.Response("ok"))
			c.ReadRequest()
		}
	})
	cut := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
		c.ReadRequest()
		c.Write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
	})
	l := watch(t, &peerpool.Transport{})
	post := func(url string) tracetest.SpanStub {
		return l.inSpan(func(ctx context.Context) {
			req, _ := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
			if resp, err := l.RoundTrip(req); err == nil {
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
	for i, c := range []struct {
		url  string
		want map[string]string // nil: no failure
	}{
		{gone.URL(), nil},
		{gone.URL(), map[string]string{"error.type": "response_ended", "peerpool.close.reason": "error", "peerpool.connection.reused": "true"}},
		{gone.URL(), map[string]string{"error.type": "response_ended", "peerpool.close.reason": "error", "peerpool.connection.reused": "false"}},
		{cut.URL(), map[string]string{"error.type": "", "peerpool.request.outcome": "truncated", "peerpool.connection.reused": "false"}},
	} {
		var failures []sdktrace.Event
		for _, e := range post(c.url).Events {
			if e.Name == "peerpool.failure" {
				failures = append(failures, e)
			}
		}
		if c.want == nil {
			if len(failures) > 0 {
				t.Errorf("%d: %+v of a request that has not failed", i, failures)
			}
			continue
		}
		if len(failures) != 1 {
			t.Fatalf("%d: %d failures, want 1", i, len(failures))
		}
		for key, want := range c.want {
			if got := value(failures[0].Attributes, key); got != want {
				t.Errorf("%d: %s is %q, want %q", i, key, got, want)
			}
		}
	}
}
