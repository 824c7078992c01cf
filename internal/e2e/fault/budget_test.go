package fault_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/testkit"
)

// outage has a server answer the first request on each connection, and close the connection some time after it has got
// the second one. It sends n requests at once over connections that have served one, and returns how many failed.
func outage(t *testing.T, share float64, takes time.Duration, n int) (failed int, s peerpool.Stats) {
	synctest.Test(t, func(t *testing.T) {
		ln := httptestutil.NewListener(0)
		httptestutil.NewWireWith(t, httptestutil.WireOptions{Listener: ln}, func(c *httptestutil.WireConn) {
			c.ReadRequest()
			c.Write(httptestutil.Response("ok"))
			if c.ReadRequest() != nil {
				time.Sleep(takes)
			}
		})
		subject := testkit.Observe(t, &peerpool.Transport{DialContext: ln.Dial, MaxIdleConnsPerHost: n, RetryBudget: share})
		subject.IdleConns("http://a.test/", n)
		time.Sleep(time.Millisecond)
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				ctx, report := peerpool.WithReport(t.Context())
				req := testkit.NewRequest(t, "GET", "http://a.test/", nil).WithContext(ctx)
				resp, err := subject.RoundTrip(req)
				if err == nil {
					resp.Body.Close()
					return
				}
				mu.Lock()
				defer mu.Unlock()
				failed++
				if attempts := report.Attempts(); !attempts[len(attempts)-1].OverBudget {
					t.Errorf("a request failed with %v for another reason than the budget", err)
				}
			})
		}
		wg.Wait()
		s = subject.Stats()
		told := 0
		for _, done := range subject.Events.Outcomes() {
			if done.OverBudget {
				told++
			}
		}
		if told != failed {
			t.Errorf("the Observer was told of %d requests over budget, want %d", told, failed)
		}
	})
	return failed, s
}

func TestABudgetBoundsTheRetriesOfWhatAServerMayHaveProcessed(t *testing.T) {
	const n = 100
	failed, s := outage(t, 0.2, 5*time.Second, n)
	if want := n - 2*n/5; failed != want { // a fifth of all requests, of which n were sent before
		t.Errorf("%d of %d requests failed, want %d", failed, n, want)
	}
	if r := s.Retries; r.OverBudget != uint64(failed) || r.Stale != uint64(n-failed) {
		t.Errorf("%+v", r)
	}
}

func TestStaleConnectionsAfterARestartDoNotCountForTheBudget(t *testing.T) {
	failed, s := outage(t, 0.01, 50*time.Millisecond, 100)
	if failed != 0 || s.Retries.Stale != 100 || s.Retries.OverBudget != 0 {
		t.Errorf("%d requests failed: %+v", failed, s.Retries)
	}
}

func TestWithoutABudgetAllAreSentAgain(t *testing.T) {
	failed, s := outage(t, 0, 5*time.Second, 100)
	if failed != 0 || s.Retries.Stale != 100 {
		t.Errorf("%d requests failed: %+v", failed, s.Retries)
	}
}
