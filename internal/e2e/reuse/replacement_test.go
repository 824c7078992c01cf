package reuse_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/testkit"
)

func TestNoRequestWaitsForADialBecauseOfACap(t *testing.T) {
	for name, tr := range map[string]*peerpool.Transport{
		"MaxConnLifetime":                     {MaxConnLifetime: time.Second},
		"MaxConnReuse":                        {MaxConnReuse: 20},
		"MaxConnLifetime and MaxConnsPerHost": {MaxConnLifetime: time.Second, MaxConnsPerHost: 1},
	} {
		t.Run(name, func(t *testing.T) {
			testkit.InBubble(t, testkit.Numbered(), tr, func(t *testing.T, s *testkit.Subject) {
				for range 300 {
					s.Get(origin)
					time.Sleep(20 * time.Millisecond)
				}
				st := s.Stats()
				if st.Replacements < 5 || len(st.Misses) != 1 || st.Misses["cold"] != 1 {
					t.Errorf("%d replacements, misses %v", st.Replacements, st.Misses)
				}
			})
		})
	}
}

func TestATransportWithoutCapsReplacesNothing(t *testing.T) {
	testkit.InBubble(t, testkit.Numbered(), &peerpool.Transport{}, func(t *testing.T, s *testkit.Subject) {
		for range 300 {
			s.Get(origin)
			time.Sleep(time.Minute)
		}
		if st := s.Stats(); st.Opened != 1 || st.Replacements != 0 {
			t.Errorf("%d connections opened, %d of them replacements", st.Opened, st.Replacements)
		}
	})
}

// TestFewRequestsWaitForADialThoughConnectionsEndAllTheTime: with TLS and over HTTP/2 too. A machine that is short of
// processor time may come too late with a replacement now and then.
func TestFewRequestsWaitForADialThoughConnectionsEndAllTheTime(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "TLS", "HTTP/2"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			handler := func(w http.ResponseWriter, _ *http.Request) { time.Sleep(time.Millisecond) }
			tr := &peerpool.Transport{MaxConnLifetime: 300 * time.Millisecond, ForceAttemptHTTP2: protocol == "HTTP/2"}
			o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Handler: http.HandlerFunc(handler)})
			if protocol != "HTTP/1.1" {
				o = testkit.Http2Origin(t, 100, handler)
				tr.TLSClientConfig = o.ClientTLS()
			}
			s := testkit.Observe(t, tr)
			const callers = 4
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() {
					for range 500 {
						if _, err := s.Try(testkit.NewRequest(t, http.MethodGet, o.URL(), nil)); err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			st := s.Stats()
			t.Logf("%d replacements, misses %v, opened %d", st.Replacements, st.Misses, st.Opened)
			if st.Replacements == 0 || st.Misses["expired"] > st.Replacements/2 {
				t.Errorf("%d replacements, misses %v", st.Replacements, st.Misses)
			}
			var told uint64 // the last ones may be under way
			for _, d := range s.Events.Dials() {
				if d.Replaces {
					told++
				}
			}
			if told == 0 || told > st.Replacements {
				t.Errorf("%d dials say that they replace a connection, and there were %d", told, st.Replacements)
			}
		})
	}
}
