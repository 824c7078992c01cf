package prompool_test

import (
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/nettest"
	"github.com/peerpool/peerpool/internal/testkit"
)

func TestAConnectThatFailsBesideOneThatSucceedsIsCounted(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	_, port, _ := net.SplitHostPort(origin.Addr())
	resolver := new(httptestutil.Resolver)
	resolver.Set(t, "a.test", "127.0.0.2", "127.0.0.1") // nobody listens on the first
	tr := &peerpool.Transport{Resolver: resolver, DisableKeepAlives: true}
	registry := register(t, tr)
	for range 3 {
		mustFetch(t, tr, t.Context(), "http://a.test:"+port)
	}
	want(t, registry, map[string]uint64{
		`peerpool_connect_failures_total{error_type="connection_refused"}`:            3,
		`peerpool_connect_failures_total{error_type="silent"}`:                        0,
		`peerpool_dial_failures_total{error_type="connection_refused",hop="connect"}`: 0,
		`peerpool_dials_total`:                       3,
		`peerpool_ejections_total{reason="connect"}`: 1,
		`peerpool_ejections_total{reason="status"}`:  0,
		`peerpool_waits_total{result="dialed"}`:      3,
	})
}

func TestADialThatFailsIsCountedByHopAndErrorType(t *testing.T) {
	closed := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	closed.Close()
	strange := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
	tr := &peerpool.Transport{Resolver: new(httptestutil.Resolver)}
	registry := register(t, tr)
	for _, url := range []string{closed.URL(), strange.URL(), strange.URL(), "http://gone.test"} {
		if testkit.Fetch(t.Context(), tr, url) == nil {
			t.Fatalf("%s answers", url)
		}
	}
	want(t, registry, map[string]uint64{
		`peerpool_dial_failures_total{error_type="connection_refused",hop="connect"}`:  1,
		`peerpool_dial_failures_total{error_type="secure_connection_error",hop="tls"}`: 2,
		`peerpool_dial_failures_total{error_type="host_not_found",hop="resolve"}`:      1,
		`peerpool_dial_failures_total{error_type="timeout",hop="connect"}`:             0,
		`peerpool_dial_failures_total{error_type="_OTHER",hop="other"}`:                0,
		`peerpool_dns_lookups_total{error_type="host_not_found",outcome="error"}`:      1,
		`peerpool_dns_lookups_total{error_type="",outcome="success"}`:                  0,
		`peerpool_waits_total{result="error"}`:                                         4,
	})
}

func TestAnAttemptOnADeadConnectionIsCountedWhetherItIsSentAgainOrNot(t *testing.T) {
	wire := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
		c.ReadRequest()
		c.Write(httptestutil.Response("ok"))
		c.ReadRequest() // and is gone
	})
	tr := &peerpool.Transport{}
	registry := register(t, tr)
	mustFetch(t, tr, t.Context(), wire.URL())
	mustFetch(t, tr, t.Context(), wire.URL()) // is sent again
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, wire.URL(), nil)
	if _, err := tr.RoundTrip(req); err == nil {
		t.Fatal("a POST was sent again")
	}
	want(t, registry, map[string]uint64{`peerpool_stale_connections_total`: 2, `peerpool_retries_total{reason="stale"}`: 1})
}

func TestLearnedLimitsReplacementsAndTheBudgetAreThereFromTheStart(t *testing.T) {
	registry := register(t, &peerpool.Transport{})
	want(t, registry, map[string]uint64{
		`peerpool_learned_limits{limit="idle_time"}`: 0,
		`peerpool_learned_limits{limit="requests"}`:  0,
		`peerpool_replacements_total`:                0,
		`peerpool_retries_over_budget_total`:         0,
		`peerpool_addresses{state="ejected"}`:        0,
	})
}

func TestLearnedLimitsAreCounted(t *testing.T) {
	wire := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
		for range 16 { // and then the server closes, without a word
			if c.ReadRequest() == nil {
				return
			}
			c.Write(httptestutil.Response("ok"))
		}
	})
	tr := &peerpool.Transport{}
	registry := register(t, tr)
	nettest.Eventually(t, "the number of requests that the server allows is learned", func() bool {
		mustFetch(t, tr, t.Context(), wire.URL())
		return number(gather(t, registry)[`peerpool_learned_limits{limit="requests"}`]) == 1
	})
}

func TestReplacementsAreCounted(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	tr := &peerpool.Transport{MaxConnReuse: 50}
	registry := register(t, tr)
	nettest.Eventually(t, "connections are replaced before they have served so many requests", func() bool {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 100 {
					if err := testkit.Fetch(t.Context(), tr, origin.URL()); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		return number(gather(t, registry)["peerpool_replacements_total"]) > 0
	})
	want(t, registry, map[string]uint64{`peerpool_replacements_total`: tr.Stats().Replacements})
}

func TestARequestThatATimeLimitEndsIsCountedByTheLimit(t *testing.T) {
	silent := httptestutil.NewWire(t, func(c *httptestutil.WireConn) { _ = c.WaitClosed() })
	tr := &peerpool.Transport{ResponseHeaderTimeout: time.Millisecond}
	registry := register(t, tr)
	if testkit.Fetch(t.Context(), tr, silent.URL()) == nil {
		t.Fatal("the server answers")
	}
	want(t, registry, map[string]uint64{
		`peerpool_request_timeouts_total{limit="response_header"}`: 1,
		`peerpool_request_timeouts_total{limit="body_read"}`:       0,
		`peerpool_request_timeouts_total{limit="request"}`:         0,
	})
}
