package peerpool

import (
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// One of four members at a time refuses connects, does not answer them, ends every connection, is slow, or is not listed.
func TestNoGETIsLostWhileMembersComeGoHangAndResetUnderLoad(t *testing.T) {
	for _, balance := range []Balance{BalanceNone, BalanceRoundRobin, BalanceLeastRequests} {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 4, &Transport{Balance: balance, DNSRefresh: 100 * time.Millisecond, MaxConnLifetime: time.Second})
			addrs := []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"}
			random := rand.New(rand.NewPCG(1, uint64(balance)))
			end := time.Now().Add(3 * time.Second)
			var callers sync.WaitGroup
			for range 16 {
				callers.Go(func() {
					for time.Now().Before(end) {
						if err := c.get(); err != nil {
							t.Errorf("Balance %d: %v", balance, err)
						}
						time.Sleep(5 * time.Millisecond)
					}
				})
			}
			for time.Now().Before(end) {
				i := random.IntN(len(addrs))
				s := c.at(byte(i + 1))
				switch random.IntN(5) {
				case 0:
					s.refuses.Store(true)
				case 1:
					s.dark.Store(true)
				case 2:
					s.does(aborts)
				case 3:
					s.does(func(w http.ResponseWriter, r *http.Request) { time.Sleep(200 * time.Millisecond); serves(w, r) })
				case 4:
					var others []string
					for j, addr := range addrs {
						if j != i {
							others = append(others, addr)
						}
					}
					c.tr.Resolver.(*httptestutil.Resolver).Set(t, "a.test", others...)
				}
				time.Sleep(time.Duration(random.IntN(400)) * time.Millisecond)
				s.refuses.Store(false)
				s.dark.Store(false)
				s.does(serves)
				c.tr.Resolver.(*httptestutil.Resolver).Set(t, "a.test", addrs...)
			}
			callers.Wait()
		})
	}
}
