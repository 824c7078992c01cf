package peerpool

import (
	"sync"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

func TestABalanceSpreadsRequestsOverTheAddressesOfAHost(t *testing.T) {
	for name, balance := range map[string]Balance{"round robin": BalanceRoundRobin, "least requests": BalanceLeastRequests} {
		t.Run(name, func(t *testing.T) {
			one, two, port := twins(t)
			r := &httptestutil.Resolver{}
			r.Set(t, "a.test", "127.0.0.1", "127.0.0.2")
			tr := peerTransport(t, &Transport{Resolver: r, Balance: balance, MaxConnsPerHost: 8})
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					for range 500 {
						if err := peerTry(tr, peerRequest(t, "http://a.test:"+port, nil)); err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			// The first requests go where the first dials land.
			if a, b := one.Requests(), two.Requests(); a+b != 2000 || a < 600 || b < 600 {
				t.Errorf("%d and %d requests, want about half of 2000 each", a, b)
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
