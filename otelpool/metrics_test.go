package otelpool_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/otelpool"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

func TestAConnectionIsActiveThenIdleThenGone(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	l := watch(t, &peerpool.Transport{}, otelpool.WithHosts(1))
	host, port, _ := net.SplitHostPort(origin.Addr())
	server := " network.protocol.version=1.1 server.address=" + host + " server.port=" + port
	open := func(active, idle int64) {
		t.Helper()
		l.wantPoints("http.client.open_connections", map[string]int64{
			"http.connection.state=active" + server: active, "http.connection.state=idle" + server: idle,
		})
	}
	requests := func(n int64) {
		t.Helper()
		l.wantPoints("http.client.active_requests", map[string]int64{
			"http.request.method=GET server.address=" + host + " server.port=" + port: n,
		})
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, origin.URL(), nil)
	resp, err := l.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	open(1, 0)
	requests(1)
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	open(0, 1)
	requests(0)
	l.CloseIdleConnections()
	open(0, 0)
	l.wantPoints("http.client.connection.duration", map[string]int64{strings.TrimSpace(server): 1})
	l.wantPoints("peerpool.connection.closes", map[string]int64{
		"peerpool.close.reason=close_idle server.address=" + host + " server.port=" + port: 1,
	})
}

func TestAnUpgradedConnectionIsNoLongerOpen(t *testing.T) {
	wire := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
		c.ReadHead()
		c.Write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		c.WaitClosed()
	})
	l := watch(t, &peerpool.Transport{})
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, wire.URL(), nil)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "x")
	resp, err := l.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	l.wantPoints("http.client.open_connections", map[string]int64{
		"http.connection.state=active network.protocol.version=1.1": 0, "http.connection.state=idle network.protocol.version=1.1": 0,
	})
}

// The conventions say how these are called and measured; the rest is ours.
func TestTheInstrumentsAreThoseOfTheConventions(t *testing.T) {
	_, tr, url := secure(t)
	l := watch(t, tr)
	l.get(url)
	l.CloseIdleConnections()
	all := l.metrics()
	for name, unit := range map[string]string{
		"http.client.open_connections":    "{connection}",
		"http.client.active_requests":     "{request}",
		"http.client.connection.duration": "s",
		"dns.lookup.duration":             "s",
		"peerpool.acquires":               "{acquire}",
		"peerpool.connection.closes":      "{connection}",
		"peerpool.dial.duration":          "s",
		"peerpool.wait.duration":          "s",
		"peerpool.connection.requests":    "{request}",
	} {
		if m, ok := all[name]; !ok || m.Unit != unit || m.Description == "" {
			t.Errorf("%s: %v, unit %q, description %q", name, ok, m.Unit, m.Description)
		}
	}
	for name, want := range map[string][]float64{
		"http.client.connection.duration": {.01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30, 60, 120, 300},
		"dns.lookup.duration":             {.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10},
	} {
		if got := all[name].Data.(metricdata.Histogram[float64]).DataPoints[0].Bounds; !slices.Equal(got, want) {
			t.Errorf("%s has the buckets %v", name, got)
		}
	}
	for _, name := range []string{"http.client.open_connections", "http.client.active_requests"} {
		if sum := all[name].Data.(metricdata.Sum[int64]); sum.IsMonotonic || sum.Temporality != metricdata.CumulativeTemporality {
			t.Errorf("%s is a counter", name)
		}
	}
}

func TestServersAreToldApartUpToTheLimitAndNeverByAddress(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	_, port, _ := net.SplitHostPort(origin.Addr())
	resolver := new(httptestutil.Resolver)
	for limit, want := range map[int]map[string]int64{
		0: {"peerpool.acquire.outcome=hit": 3, "peerpool.acquire.outcome=miss peerpool.miss.reason=cold": 1},
		2: {
			"peerpool.acquire.outcome=miss peerpool.miss.reason=cold server.address=0.test server.port=" + port: 1,
			"peerpool.acquire.outcome=hit server.address=1.test server.port=" + port:                            1,
			"peerpool.acquire.outcome=hit server.address=other":                                                 2,
		},
	} {
		l := watch(t, &peerpool.Transport{Resolver: resolver}, otelpool.WithHosts(limit))
		for i := range 4 {
			host := fmt.Sprintf("%d.test", i)
			resolver.Set(t, host, "127.0.0.1")
			fetch(t, l, t.Context(), "http://"+host+":"+port)
		}
		l.wantPoints("peerpool.acquires", want)
		if limit == 0 {
			l.wantPoints("dns.lookup.duration", map[string]int64{"": 4})
		} else {
			l.wantPoints("dns.lookup.duration", map[string]int64{
				"dns.question.name=0.test": 1, "dns.question.name=1.test": 1, "dns.question.name=other": 2,
			})
		}
	}
}

func TestALookUpThatFailsSaysWhy(t *testing.T) {
	resolver := new(httptestutil.Resolver)
	resolver.Fail("nowhere.test", &net.DNSError{Err: "no such host", IsNotFound: true})
	l := watch(t, &peerpool.Transport{Resolver: resolver})
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://nowhere.test", nil)
	if _, err := l.RoundTrip(req); err == nil {
		t.Fatal("it succeeded")
	}
	l.wantPoints("dns.lookup.duration", map[string]int64{"error.type=host_not_found": 1})
	l.wantPoints("peerpool.dial.duration", map[string]int64{"error.type=name_resolution_error": 1})
	l.wantPoints("peerpool.wait.duration", map[string]int64{"error.type=name_resolution_error": 1})
	l.wantPoints("peerpool.acquires", map[string]int64{"peerpool.acquire.outcome=error": 1})
	l.wantPoints("http.client.active_requests", map[string]int64{"http.request.method=GET": 0})
}

func TestRetriesAreCountedByReasonAndOutcome(t *testing.T) {
	wire := httptestutil.NewWire(t, gone)
	l := watch(t, &peerpool.Transport{})
	l.get(wire.URL())
	l.get(wire.URL())
	l.wantPoints("peerpool.retries", map[string]int64{"peerpool.retry.reason=stale": 1})
	l.wantPoints("peerpool.retried_requests", map[string]int64{"peerpool.retry.outcome=saved": 1})
}

func TestARequestThatATimeLimitEndsIsCountedByTheLimit(t *testing.T) {
	wire := httptestutil.NewWire(t, func(c *httptestutil.WireConn) { _ = c.WaitClosed() })
	l := watch(t, &peerpool.Transport{ResponseHeaderTimeout: time.Millisecond})
	if resp, err := l.RoundTrip(httptest.NewRequestWithContext(t.Context(), http.MethodGet, wire.URL(), nil)); err == nil {
		resp.Body.Close()
		t.Fatal("the server answers")
	}
	l.wantPoints("peerpool.request.timeouts", map[string]int64{"peerpool.time_limit=response_header": 1})
}

func TestTransportsWithOneObserverAddUp(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	l := watch(t, &peerpool.Transport{}, otelpool.WithName("both"))
	other := &peerpool.Transport{Observer: l.Observer}
	t.Cleanup(other.CloseIdleConnections)
	for _, rt := range []http.RoundTripper{l, other} {
		fetch(t, rt, context.Background(), origin.URL())
	}
	l.wantPoints("peerpool.acquires", map[string]int64{
		"peerpool.acquire.outcome=miss peerpool.miss.reason=cold peerpool.name=both": 2,
	})
}

func TestOurCountersAreThereFromTheStart(t *testing.T) {
	l := watch(t, &peerpool.Transport{})
	for name, n := range map[string]int{
		"peerpool.acquires":          2 + len(peerpool.MissReasons()),
		"peerpool.connection.closes": len(peerpool.CloseReasons()),
		"peerpool.retries":           len(peerpool.RetryReasons()),
		"peerpool.retried_requests":  2,
		"peerpool.request.timeouts":  len(peerpool.TimeLimits()),

		"peerpool.connection.unexpected_data": 1,
		"peerpool.quarantined_peers":          1,
	} {
		points := l.points(name)
		for at, count := range points {
			if count != 0 {
				t.Errorf("%s: %s is %d before anything has happened", name, at, count)
			}
		}
		if len(points) != n {
			t.Errorf("%s has %d points, want %d", name, len(points), n)
		}
	}
}
