package peerpool

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// balances are those that spread requests.
var balances = []Balance{BalanceRoundRobin, BalanceLeastRequests}

// overHTTP2 makes the Transport speak HTTP/2, with up to 250 streams on a connection.
func (c *cluster) overHTTP2() {
	c.tr.Protocols = new(http.Protocols)
	c.tr.Protocols.SetUnencryptedHTTP2(true)
}

// requestsOf has callers send n GETs between them, and returns how many each server has got.
func (c *cluster) requestsOf(callers, n int) (of []int) {
	c.t.Helper()
	of = make([]int, len(c.servers))
	for i := range of {
		of[i] = -int(c.at(byte(i + 1)).requests.Load())
	}
	left := make(chan struct{}, n)
	for range n {
		left <- struct{}{}
	}
	close(left)
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range left {
				if err := c.get(); err != nil {
					c.t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for i := range of {
		of[i] += int(c.at(byte(i + 1)).requests.Load())
	}
	return of
}

// takes returns a handler that answers after a while.
func takes(d time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(d)
		serves(w, r)
	}
}

func TestABalanceSpreadsRequestsOverTheAddressesOfAHost(t *testing.T) {
	for _, balance := range balances {
		for _, http2 := range []bool{false, true} {
			for _, servers := range []int{3, 20} {
				t.Run(fmt.Sprintf("Balance %d, HTTP/2 %v, %d servers", balance, http2, servers), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						c := newCluster(t, servers, &Transport{Balance: balance})
						if http2 {
							c.overHTTP2()
						}
						for i := range servers {
							c.at(byte(i + 1)).does(takes(time.Millisecond))
						}
						each := 100
						if http2 { // the first connection serves all requests that wait for one, and others make up for that
							each = 150
						}
						for i, n := range c.requestsOf(16, each*servers) {
							if n < each*9/10 || n > each*11/10 {
								t.Errorf("192.0.2.%d has got %d requests, want %d, give or take 10 %%", i+1, n, each)
							}
						}
					})
				})
			}
		}
	}
}

func TestABalanceReachesEachOfAHundredAddresses(t *testing.T) {
	for _, balance := range balances {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 100, &Transport{Balance: balance})
			for range 600 {
				c.mustGet(1)
				synctest.Wait() // until dials have ended
			}
			for i := range c.servers {
				if n := c.at(i.As4()[3]).requests.Load(); n < 4 || n > 8 {
					t.Errorf("Balance %d: %v has got %d of 600 requests, want 6, give or take 2", balance, i, n)
				}
			}
		})
	}
}

func TestLeastRequestsSendsLessToASlowServer(t *testing.T) {
	for _, servers := range []int{3, 20} {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, servers, &Transport{Balance: BalanceLeastRequests})
			for i := range servers {
				c.at(byte(i + 1)).does(takes(time.Millisecond))
			}
			c.at(2).does(takes(20 * time.Millisecond))
			const each = 100
			if of := c.requestsOf(4*servers, each*servers); of[1] > each/4 {
				t.Errorf("of %d servers, the slow one has got %d requests, want far fewer than %d", servers, of[1], each)
			}
		})
	}
}

func TestWithoutABalanceTheConnectionReleasedLastServes(t *testing.T) {
	one, two, port := twins(t)
	r := &httptestutil.Resolver{}
	r.Set(t, "a.test", "127.0.0.1", "127.0.0.2")
	tr := peerTransport(t, &Transport{Resolver: r})
	for range 20 {
		peerGet(t, tr, "http://a.test:"+port, nil)
	}
	if one.Requests() != 20 || two.Requests() != 0 {
		t.Errorf("%d and %d requests, want all at the first address", one.Requests(), two.Requests())
	}
}
