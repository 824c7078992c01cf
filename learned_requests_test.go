package peerpool

import (
	"io"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// closes answers as serves does, and then closes the connection without having announced that.
var closes http.HandlerFunc = func(w http.ResponseWriter, _ *http.Request) {
	nc, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	io.WriteString(nc, httptestutil.Response("well"))
	nc.Close()
}

// slowly sends n GETs, one every 50 milliseconds.
func (c *cluster) slowly(n int) {
	c.t.Helper()
	for range n {
		c.mustGet(1)
		time.Sleep(50 * time.Millisecond)
	}
}

// wantCapped checks which addresses are known to serve only one request on a connection, by the last byte of each.
func (c *cluster) wantCapped(want ...byte) {
	c.t.Helper()
	learned := c.tr.Stats().Learned
	for _, n := range want {
		found := false
		for _, l := range learned {
			found = found || l.Identity.Address() == netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, n}), 80).String() && l.Requests == 1
		}
		if !found {
			c.t.Errorf("192.0.2.%d is not known to serve one request on a connection", n)
		}
	}
	if len(learned) != len(want) {
		c.t.Errorf("learned %+v, want limits of %d addresses", learned, len(want))
	}
}

// lingeringCluster starts one server, which is known to serve one request on a connection, and which has just served a request
// without closing the connection.
func lingeringCluster(t *testing.T) *cluster {
	t.Helper()
	c := newCluster(t, 1, &Transport{})
	c.at(1).does(closes)
	c.slowly(10)
	c.wantCapped(1)
	time.Sleep(2 * keptTime) // a socket that still lingers would keep the next one from it
	c.at(1).does(serves)
	c.mustGet(1)
	return c
}

func TestAnAddressThatServesOneRequestOnAConnectionDoesNotUnpoolTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, &Transport{Balance: BalanceRoundRobin})
		c.at(1).does(closes)
		c.slowly(60)
		c.wantCapped(1)
		connects, requests := c.at(2).connects.Load()+c.at(3).connects.Load(), c.at(1).requests.Load()
		c.slowly(60)
		c.wantCapped(1)
		if n := c.at(2).connects.Load() + c.at(3).connects.Load() - connects; n != 0 {
			t.Errorf("the other addresses got %d new connections for 60 requests", n)
		}
		if n := c.at(1).requests.Load() - requests; n < 15 || n > 25 {
			t.Errorf("the address has served %d of 60 requests, want its share", n)
		}
	})
}

func TestAServerThatServesMoreRequestsOnAConnectionAgainIsPooledAgainAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := lingeringCluster(t)
		time.Sleep(keptTime)
		synctest.Wait()
		c.wantCapped()
		connects := c.at(1).connects.Load()
		c.slowly(10)
		if n := c.at(1).connects.Load() - connects; n != 1 {
			t.Errorf("the server got %d connections for 10 requests, want 1", n)
		}
	})
}

func TestALimitOfOneRequestLastsAsLongAsTheServerKeepsToIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, &Transport{})
		c.at(1).does(closes)
		c.slowly(10)
		for range 30 * 6 { // thirty minutes
			c.mustGet(1)
			time.Sleep(10 * time.Second)
			c.wantCapped(1)
		}
		if n := c.tr.Stats().Active; n != 0 {
			t.Errorf("%d connections are in use", n)
		}
	})
}

func TestASocketThatLingersIsClosedByShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := lingeringCluster(t)
		if n := len(c.tr.core.lingering.conns); n != 1 {
			t.Fatalf("%d sockets linger, want 1", n)
		}
		if err := c.tr.Shutdown(t.Context()); err != nil || len(c.tr.core.lingering.conns) != 0 {
			t.Errorf("Shutdown returned %v, %d sockets linger", err, len(c.tr.core.lingering.conns))
		}
	})
}
