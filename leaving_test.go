package peerpool

import (
	"context"
	"math"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// showing is a Resolver that shows only some of its addresses in each answer, and others in the next.
type showing struct {
	addrs   []netip.Addr
	shown   int
	answers atomic.Int64
}

func (r *showing) LookupNetIP(context.Context, string, string) (found []netip.Addr, err error) {
	first := int(r.answers.Add(1)-1) * r.shown
	for i := range r.shown {
		found = append(found, r.addrs[(first+i)%len(r.addrs)])
	}
	return found, nil
}

// subsets is a cluster of n servers whose resolver shows only some of them in each answer.
func subsets(t *testing.T, n, shown int, tr *Transport) *cluster {
	c := newCluster(t, n, tr)
	r := &showing{shown: shown}
	for i := range n {
		r.addrs = append(r.addrs, netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}))
	}
	tr.Resolver = r
	return c
}

func TestALongDNSRefreshClosesNoConnection(t *testing.T) {
	for _, refresh := range []time.Duration{100 * 365 * 24 * time.Hour, math.MaxInt64/9 + 1, math.MaxInt64} {
		synctest.Test(t, func(t *testing.T) {
			c, r := watchedCluster(t, 2, &Transport{DNSRefresh: refresh})
			r.changes <- []string{"192.0.2.1:80", "192.0.2.2:80"}
			c.mustGet(1)
			r.changes <- []string{"192.0.2.2:80"}
			time.Sleep(time.Second)
			if s := c.tr.Stats(); s.Closes[reasonUnlisted] != 0 {
				t.Errorf("after one of %v, closes are %v, want none", refresh, s.Closes)
			}
		})
	}
}

// during sends a GET each time that the pause has passed.
func (c *cluster) during(whole, pause time.Duration) {
	c.t.Helper()
	for end := time.Now().Add(whole); time.Now().Before(end); time.Sleep(pause) {
		c.mustGet(1)
	}
}

func TestAnAddressThatIsMissingFromThreeAnswersKeepsItsConnections(t *testing.T) {
	for _, refresh := range []time.Duration{time.Second, 5 * time.Second} {
		for _, pause := range []time.Duration{300 * time.Millisecond, 700 * time.Millisecond, 1100 * time.Millisecond} {
			for _, test := range []struct{ servers, shown int }{{4, 1}, {8, 2}, {6, 2}} {
				synctest.Test(t, func(t *testing.T) {
					c := subsets(t, test.servers, test.shown, &Transport{DNSRefresh: refresh, Balance: BalanceRoundRobin})
					c.during(15*refresh, pause)
					if n := c.tr.Stats().Closes[reasonUnlisted]; n != 0 {
						t.Errorf("%d of %d shown each %v, a request each %v: %d connections were closed, want none",
							test.shown, test.servers, refresh, pause, n)
					}
				})
			}
		}
	}
}

func TestAnAddressThatIsMissingFromMoreAnswersLosesItsConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := subsets(t, 5, 1, &Transport{DNSRefresh: 10 * time.Second})
		c.during(5*time.Minute, time.Second)
		if n := c.tr.Stats().Closes[reasonUnlisted]; n == 0 {
			t.Error("no connection was closed, want those to addresses that four answers in a row have not shown")
		}
	})
}

func TestAnAddressThatHasGoneLosesItsConnectionsWithTheFourthAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, &Transport{DNSRefresh: 10 * time.Second, Balance: BalanceRoundRobin})
		c.mustGet(4)
		synctest.Wait() // a connection to each address is there
		c.tr.Resolver.(*httptestutil.Resolver).Set(t, "a.test", "192.0.2.1")
		c.during(35*time.Second, 500*time.Millisecond)
		if n := c.tr.Stats().Closes[reasonUnlisted]; n != 0 {
			t.Errorf("%d connections were closed after three answers", n)
		}
		c.during(10*time.Second, 500*time.Millisecond)
		if n := c.tr.Stats().Closes[reasonUnlisted]; n == 0 {
			t.Error("no connection was closed after four answers")
		}
	})
}

func TestAnAddressOfAHostThatIsNotUsedLosesItsConnectionsAfterThreeRefreshes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, &Transport{DNSRefresh: 10 * time.Second, Balance: BalanceRoundRobin})
		c.mustGet(4)
		synctest.Wait() // a connection to each address is there
		c.tr.Resolver.(*httptestutil.Resolver).Set(t, "a.test", "192.0.2.1")
		time.Sleep(11 * time.Second)
		c.mustGet(1)
		time.Sleep(2 * time.Second)
		c.mustGet(1)
		time.Sleep(30*time.Second + 1)
		synctest.Wait()
		if n := c.tr.Stats().Closes[reasonUnlisted]; n == 0 {
			t.Error("no connection was closed")
		}
	})
}

func TestTheConnectionsToAnAddressThatHasGoneAreClosedAfterThreeRefreshes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := watchedCluster(t, 2, &Transport{DNSRefresh: 10 * time.Second, Balance: BalanceRoundRobin})
		r.changes <- []string{"192.0.2.1:80", "192.0.2.2:80"}
		c.mustGet(4)
		synctest.Wait()
		r.changes <- []string{"192.0.2.1:80"}
		synctest.Wait()
		time.Sleep(30*time.Second - 1)
		synctest.Wait()
		if n := c.tr.Stats().Closes[reasonUnlisted]; n != 0 {
			t.Errorf("%d connections were closed before that", n)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if n := c.tr.Stats().Closes[reasonUnlisted]; n == 0 {
			t.Error("no connection was closed")
		}
	})
}

func TestAnAddressThatComesAndGoesIsKeptForSixRefreshesAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := watchedCluster(t, 4, &Transport{DNSRefresh: 10 * time.Second, Balance: BalanceRoundRobin})
		r.changes <- []string{"192.0.2.1:80", "192.0.2.2:80"}
		c.mustGet(4)
		synctest.Wait()
		r.changes <- []string{"192.0.2.1:80"}
		synctest.Wait()
		r.changes <- []string{"192.0.2.1:80", "192.0.2.3:80"} // the second answer without it, and the last one
		synctest.Wait()
		time.Sleep(60*time.Second - 1)
		synctest.Wait()
		if n := c.tr.Stats().Closes[reasonUnlisted]; n != 0 {
			t.Errorf("%d connections were closed before that", n)
		}
		time.Sleep(2 * time.Nanosecond)
		synctest.Wait()
		if n := c.tr.Stats().Closes[reasonUnlisted]; n == 0 {
			t.Error("no connection was closed")
		}
	})
}
