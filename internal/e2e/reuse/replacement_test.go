package reuse_test

import (
	"context"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
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
					// The nanosecond keeps requests from the very moment at which a connection is replaced. These moments
					// are whole microseconds apart.
					time.Sleep(20*time.Millisecond + time.Nanosecond)
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

// A connection ends every 300 milliseconds, a dial takes 20, and a request takes one.
func TestNoRequestWaitsForADialThoughConnectionsEndAllTheTime(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(protocol, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				spoken := testkit.Versions(testkit.OverHTTP1)
				if protocol == "HTTP/2" {
					spoken = testkit.Versions(testkit.WithoutTLS)
				}
				o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{
					Listener: httptestutil.NewListener(0), Protocols: spoken,
					Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(time.Millisecond) }),
				})
				s := testkit.Observe(t, &peerpool.Transport{
					MaxConnLifetime: 300 * time.Millisecond, Protocols: spoken,
					DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
						time.Sleep(20 * time.Millisecond)
						return o.Dial(ctx, network, addr)
					},
				})
				testkit.Crowd(t, 4, func(int) error {
					for range 400 {
						if _, err := s.Try(testkit.NewRequest(t, http.MethodGet, o.URL(), nil)); err != nil {
							return err
						}
					}
					return nil
				})
				st := s.Stats()
				t.Logf("%d replacements, misses %v, opened %d", st.Replacements, st.Misses, st.Opened)
				if st.Replacements == 0 || st.Misses["expired"] != 0 {
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
		})
	}
}
