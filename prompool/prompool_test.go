package prompool_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/testkit"
	"github.com/peerpool/peerpool/prompool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.opentelemetry.io/otel/trace"
)

func TestALintFindsNothing(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	tr := &peerpool.Transport{}
	registry := register(t, tr, prompool.WithHosts(3))
	mustFetch(t, tr, t.Context(), origin.URL())
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestMetricsTellWhatHappened(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	tr := &peerpool.Transport{}
	registry := register(t, tr)
	for range 3 {
		mustFetch(t, tr, t.Context(), origin.URL())
	}
	want(t, registry, map[string]uint64{
		`peerpool_connections{state="idle"}`:                                   1,
		`peerpool_connections{state="active"}`:                                 0,
		`peerpool_connections_opened_total`:                                    1,
		`peerpool_acquires_total{outcome="hit"}`:                               2,
		`peerpool_acquires_total{outcome="miss"}`:                              1,
		`peerpool_misses_total{reason="cold"}`:                                 1,
		`peerpool_misses_total{reason="stale"}`:                                0, // there before it happens
		`peerpool_wait_duration_seconds{outcome="success"}`:                    1,
		`peerpool_wait_duration_seconds{outcome="error"}`:                      0,
		`peerpool_requests_total{error_type="",outcome="response"}`:            3,
		`peerpool_requests_total{error_type="",outcome="truncated"}`:           0,
		`peerpool_requests_total{error_type="response_ended",outcome="error"}`: 0,
		`peerpool_requests_in_progress`:                                        0,
		`peerpool_response_head_duration_seconds`:                              3,
		`peerpool_dial_duration_seconds{outcome="success"}`:                    1,
		`peerpool_connection_requests`:                                         0,
	})
	tr.CloseIdleConnections()
	want(t, registry, map[string]uint64{
		`peerpool_connections{state="idle"}`:                      0,
		`peerpool_connections_closed_total{reason="close_idle"}`:  1,
		`peerpool_connections_closed_total{reason="max_reuse"}`:   0,
		`peerpool_connection_requests`:                            1,
		`peerpool_connection_duration_seconds`:                    1,
		`peerpool_dns_lookup_duration_seconds{outcome="success"}`: 0,
	})
	uses := gather(t, registry)["peerpool_connection_requests"].GetHistogram()
	if uses.GetSampleSum() != 3 || len(uses.GetPositiveSpan()) == 0 || len(uses.GetBucket()) == 0 {
		t.Errorf("the histogram is not both classic and native, of one connection with 3 requests: %v", uses)
	}
}

func TestTheObserverThatWasThereStays(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	var acquired int
	tr := &peerpool.Transport{Observer: &peerpool.Observer{
		AcquireDone: func(context.Context, peerpool.AcquireDone) { acquired++ },
	}}
	registry := register(t, tr)
	mustFetch(t, tr, t.Context(), origin.URL())
	want(t, registry, map[string]uint64{`peerpool_acquires_total{outcome="miss"}`: 1})
	if acquired != 1 {
		t.Errorf("it was told of %d", acquired)
	}
}

func TestTwoTransportsDoNotClash(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	for name, opts := range map[string][2]prompool.Option{
		"named":   {prompool.WithName("a"), prompool.WithName("b")},
		"unnamed": {prompool.WithName(""), prompool.WithHosts(0)},
	} {
		t.Run(name, func(t *testing.T) {
			registry := prometheus.NewPedanticRegistry()
			for _, opt := range opts {
				tr := &peerpool.Transport{}
				t.Cleanup(tr.CloseIdleConnections)
				if err := registry.Register(prompool.New(tr, opt)); err != nil {
					t.Fatal(err)
				}
				mustFetch(t, tr, t.Context(), origin.URL())
			}
			if n, err := testutil.GatherAndCount(registry, "peerpool_connections_opened_total"); err != nil || n != 2 {
				t.Errorf("%d pools, %v", n, err)
			}
		})
	}
}

func TestHostsAreToldApartUpToTheLimitAndNeverByAddress(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	_, port, _ := net.SplitHostPort(origin.Addr())
	resolver := new(httptestutil.Resolver)
	for limit, numbers := range map[int]map[string]uint64{
		0: {`peerpool_acquires_total{outcome="hit"}`: 9, `peerpool_dns_lookup_duration_seconds{outcome="success"}`: 10},
		2: {
			`peerpool_acquires_total{host="0.test:` + port + `",outcome="miss"}`:           1,
			`peerpool_acquires_total{host="1.test:` + port + `",outcome="hit"}`:            1,
			`peerpool_acquires_total{host="other",outcome="hit"}`:                          8,
			`peerpool_dns_lookup_duration_seconds{host="other",outcome="success"}`:         8,
			`peerpool_dns_lookup_duration_seconds{host="0.test",outcome="success"}`:        1,
			`peerpool_wait_duration_seconds{host="0.test:` + port + `",outcome="success"}`: 1,
			`peerpool_dial_duration_seconds{host="0.test:` + port + `",outcome="success"}`: 1,
			`peerpool_connection_duration_seconds{host="0.test:` + port + `"}`:             0,
		},
	} {
		tr := &peerpool.Transport{Resolver: resolver}
		registry := register(t, tr, prompool.WithHosts(limit))
		for i := range 10 {
			host := fmt.Sprintf("%d.test", i)
			resolver.Set(t, host, "127.0.0.1")
			mustFetch(t, tr, t.Context(), "http://"+host+":"+port)
		}
		want(t, registry, numbers)
		for name := range gather(t, registry) {
			if strings.Contains(name, "127.0.0.1") {
				t.Errorf("%s shows an address", name)
			}
		}
	}
}

func TestTheRootOfDNSIsAHostLikeAnyOther(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	_, port, _ := net.SplitHostPort(origin.Addr())
	resolver := new(httptestutil.Resolver)
	resolver.Set(t, ".", "127.0.0.1")
	tr := &peerpool.Transport{Resolver: resolver}
	registry := register(t, tr, prompool.WithHosts(1))
	mustFetch(t, tr, t.Context(), "http://.:"+port)
	want(t, registry, map[string]uint64{
		`peerpool_acquires_total{host=":` + port + `",outcome="miss"}`:           1,
		`peerpool_dns_lookup_duration_seconds{host="",outcome="success"}`:        1,
		`peerpool_dns_lookups_total{error_type="",host="",outcome="success"}`:    1,
		`peerpool_wait_duration_seconds{host=":` + port + `",outcome="success"}`: 1,
	})
}

func TestAWaitHasTheTraceOfItsRequestAsAnExemplar(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	tr := &peerpool.Transport{}
	registry := register(t, tr)
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	mustFetch(t, tr, trace.ContextWithSpanContext(t.Context(), span), origin.URL())
	for _, name := range []string{
		`peerpool_wait_duration_seconds{outcome="success"}`, "peerpool_response_head_duration_seconds", `peerpool_dial_duration_seconds{outcome="success"}`,
	} {
		var found bool
		for _, b := range gather(t, registry)[name].GetHistogram().GetBucket() {
			for _, l := range b.GetExemplar().GetLabel() {
				found = found || l.GetName() == "trace_id" && l.GetValue() == span.TraceID().String()
			}
		}
		if !found {
			t.Errorf("%s has no exemplar", name)
		}
	}
}

func TestAnUnsampledTraceLeavesNoExemplar(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	tr := &peerpool.Transport{}
	registry := register(t, tr)
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
	mustFetch(t, tr, trace.ContextWithSpanContext(t.Context(), span), origin.URL())
	for _, b := range gather(t, registry)[`peerpool_wait_duration_seconds{outcome="success"}`].GetHistogram().GetBucket() {
		if b.GetExemplar() != nil {
			t.Error("an exemplar of a trace that nobody can look up")
		}
	}
}

func TestADialThatFailsIsAnError(t *testing.T) {
	resolver := new(httptestutil.Resolver)
	resolver.Fail("nowhere.test", &net.DNSError{Err: "no such host", IsNotFound: true})
	tr := &peerpool.Transport{Resolver: resolver}
	registry := register(t, tr)
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://nowhere.test", nil)
	if _, err := tr.RoundTrip(req); err == nil {
		t.Fatal("it succeeded")
	}
	want(t, registry, map[string]uint64{
		`peerpool_acquires_total{outcome="error"}`:              1,
		`peerpool_dial_duration_seconds{outcome="error"}`:       1,
		`peerpool_dns_lookup_duration_seconds{outcome="error"}`: 1,
		`peerpool_wait_duration_seconds{outcome="error"}`:       1,
		`peerpool_response_head_duration_seconds`:               0,

		`peerpool_requests_total{error_type="name_resolution_error",outcome="error"}`: 1,
		`peerpool_requests_in_progress`:                                               0,
	})
}

func TestRequestsAreCountedByWhatBecameOfThem(t *testing.T) {
	under := make(chan struct{})
	wire := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
		for req := c.ReadRequest(); req != nil; req = c.ReadRequest() {
			switch req.URL.Path {
			case "/answered":
				c.Write(httptestutil.Response("ok"))
			case "/truncated":
				c.Write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
				return
			case "/silent":
				close(under)
				c.WaitClosed()
				return
			default:
				return
			}
		}
	})
	tr := &peerpool.Transport{MaxConnReuse: 1}
	registry := register(t, tr)
	for path, times := range map[string]int{"/answered": 3, "/truncated": 2, "/unanswered": 2} {
		for range times {
			_ = testkit.Fetch(t.Context(), tr, wire.URL()+path)
			tr.CloseIdleConnections()
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = testkit.Fetch(ctx, tr, wire.URL()+"/silent")
	}()
	<-under
	want(t, registry, map[string]uint64{`peerpool_requests_in_progress`: 1})
	cancel()
	<-ended
	want(t, registry, map[string]uint64{
		`peerpool_requests_total{error_type="",outcome="response"}`:            3,
		`peerpool_requests_total{error_type="",outcome="truncated"}`:           2,
		`peerpool_requests_total{error_type="",outcome="canceled"}`:            1,
		`peerpool_requests_total{error_type="response_ended",outcome="error"}`: 2,
		`peerpool_requests_in_progress`:                                        0,
		`peerpool_response_head_duration_seconds`:                              5,
	})
}

// series returns how many there are, of all metrics.
func series(t *testing.T, registry prometheus.Gatherer) int {
	t.Helper()
	return len(gather(t, registry))
}

func TestTheNumberOfSeriesDoesNotGrowWithWhatIsRequested(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	_, port, _ := net.SplitHostPort(origin.Addr())
	for limit, most := range map[int]int{0: 1, 5: 6} { // that many hosts, and one for all others
		resolver := new(httptestutil.Resolver)
		tr := &peerpool.Transport{Resolver: resolver}
		registry := register(t, tr, prompool.WithHosts(limit))
		before := series(t, registry)
		for i := range 200 {
			host := fmt.Sprintf("%d.test", i)
			switch i % 4 {
			case 0:
				resolver.Set(t, host, "127.0.0.1")
			case 1:
				resolver.Fail(host, &net.DNSError{Err: "no such host", IsNotFound: true})
			case 2:
				resolver.Fail(host, fmt.Errorf("broken in a way of its own: %d", i))
			case 3:
				resolver.Set(t, host, "127.0.0.2") // refuses
			}
			_ = testkit.Fetch(t.Context(), tr, "http://"+host+":"+port)
		}
		if after := series(t, registry); after > before*most {
			t.Errorf("with %d hosts, %d series have become %d", limit, before, after)
		}
		t.Logf("%d series at first, %d with %d hosts", before, series(t, registry), limit)
	}
}
