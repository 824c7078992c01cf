package reuse_test

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/testkit"
)

// ending answers requests after a twentieth of the idle time, and ends a connection that has been idle for that long.
// The client hears of the end a fiftieth of that time later. A request that comes meanwhile is lost.
func ending(idle time.Duration, end func(c *httptestutil.WireConn)) httptestutil.Script {
	return func(c *httptestutil.WireConn) {
		for {
			timer := time.AfterFunc(idle, func() {
				time.Sleep(idle / 50)
				end(c)
			})
			req := c.ReadRequest()
			if req == nil || !timer.Stop() {
				return
			}
			time.Sleep(idle / 20)
			c.Write(httptestutil.Response("x"))
		}
	}
}

// TestHardlyAPostIsLostToTheIdleLimitOfAServer lets callers come back just as the limit passes, in simulated time. The test
// of internal/learn has more kinds of servers and networks.
func TestHardlyAPostIsLostToTheIdleLimitOfAServer(t *testing.T) {
	const callers, rounds = 100, 60
	for name, end := range map[string]func(c *httptestutil.WireConn){
		"closed": (*httptestutil.WireConn).Close,
		"reset":  (*httptestutil.WireConn).Reset,
	} {
		for _, limit := range []time.Duration{40 * time.Millisecond, time.Second} {
			t.Run(name+" after "+limit.String(), func(t *testing.T) {
				testkit.InBubble(t, ending(limit, end), &peerpool.Transport{}, func(t *testing.T, s *testkit.Subject) {
					var mu sync.Mutex // guards sent and lost
					sent, lost := 0, 0
					begun := time.Now()
					testkit.Crowd(t, callers, func(caller int) error {
						random := rand.New(rand.NewPCG(uint64(caller), uint64(limit)))
						for round := range rounds {
							due := time.Duration(round)*(limit+limit/20) + time.Duration(random.Float64()*float64(limit)/5)
							time.Sleep(due - time.Since(begun)) // all callers come back within a fifth of the limit
							counts := s.Stats().Opened > 100
							_, err := s.Try(testkit.NewRequest(t, http.MethodPost, origin, strings.NewReader("body")))
							mu.Lock()
							if counts {
								sent++
								if err != nil {
									lost++
								}
							}
							mu.Unlock()
						}
						return nil
					})
					st := s.Stats()
					t.Logf("%d of %d POSTs were lost; %d hits, %d connections; closes %v", lost, sent, st.Hits, st.Opened, st.Closes)
					if sent < callers*rounds/4 || lost > sent/1000 {
						t.Errorf("%d of %d POSTs were lost", lost, sent)
					}
				})
			})
		}
	}
}
