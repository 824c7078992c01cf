package cost_test

import (
	"crypto/tls"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/nettest"
	"github.com/peerpool/peerpool/internal/testkit"
)

func TestIdleConnectionsHoldNoGoroutine(t *testing.T) {
	cert := httptestutil.NewCA(t)
	for name, c := range map[string]struct {
		conns  int
		server *tls.Config
		client *tls.Config
	}{
		"plain": {1000, nil, nil},
		"TLS":   {100, &tls.Config{Certificates: []tls.Certificate{cert.Server()}}, &tls.Config{RootCAs: cert.Pool()}},
	} {
		t.Run(name, func(t *testing.T) {
			httptestutil.CheckLeaks(t)
			url, hangUp := testkit.Thrifty(t, c.server)
			s := testkit.Observe(t, &peerpool.Transport{MaxIdleConnsPerHost: c.conns, IdleConnTimeout: time.Hour, TLSClientConfig: c.client})
			before := runtime.NumGoroutine()
			s.IdleConns(url, c.conns)
			watcher := 0
			if runtime.GOOS == "linux" {
				watcher = 1
			}
			goroutines := func() int { return runtime.NumGoroutine() - before }
			nettest.Eventually(t, "no goroutine but the watcher's", func() bool { return goroutines() <= watcher }, func() any { return goroutines() })
			if runtime.GOOS != "linux" {
				return
			}
			hangUp()
			s.Closes("peer_closed", uint64(c.conns))
			nettest.Eventually(t, "the watcher's is gone too", func() bool { return goroutines() <= 0 }, func() any { return goroutines() })
		})
	}
}

func TestATransportThatIsDroppedLeavesNothingRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wire, tr := testkit.InMemory(t, testkit.Numbered())
		tr.IdleConnTimeout = time.Minute
		resp, err := (&http.Client{Transport: tr}).Get("http://example.test")
		if err != nil {
			t.Fatal(err)
		}
		testkit.ReadBody(t, resp)
		time.Sleep(time.Minute - 1)
		if n := wire.OpenConns(); n != 1 {
			t.Errorf("%d connections before the timeout", n)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if n := wire.OpenConns(); n != 0 {
			t.Errorf("%d connections after the timeout", n)
		}
		// Whatever else is left in the bubble fails the test at its end.
	})
}

func TestATransportThatIsDroppedIsCollected(t *testing.T) {
	for name, c := range map[string]struct {
		timeout time.Duration
		end     func(*httptestutil.Origin)
	}{
		"when its connections have timed out": {time.Millisecond, func(*httptestutil.Origin) {}},
		"when its server has gone":            {0, (*httptestutil.Origin).CloseIdle},
	} {
		t.Run(name, func(t *testing.T) {
			httptestutil.CheckLeaks(t)
			origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
			dropped := func() weak.Pointer[peerpool.Transport] {
				tr := &peerpool.Transport{TLSClientConfig: origin.ClientTLS(), IdleConnTimeout: c.timeout}
				resp, err := tr.RoundTrip(testkit.NewRequest(t, "GET", origin.URL(), nil))
				if err != nil {
					t.Fatal(err)
				}
				testkit.ReadBody(t, resp)
				return weak.Make(tr)
			}()
			c.end(origin)
			origin.WaitOpenConns(0)
			nettest.Eventually(t, "the Transport is collected", func() bool {
				runtime.GC()
				return dropped.Value() == nil
			}, func() any { return dropped })
		})
	}
}
