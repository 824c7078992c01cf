package peerpool

import (
	"time"

	"github.com/peerpool/peerpool/internal/http1"
	"github.com/peerpool/peerpool/pool"
)

// keptTime is how long the socket of a connection stays open that has served as many requests as its peer is known to serve.
// A peer that ends a connection after its last request does so at once: see youngClose. The rest of the time is for machines
// that are busy.
const keptTime = 100 * time.Millisecond

// keepToRequests is called when a connection has served a request and could serve another one. If the peer is known to serve
// only some number of requests on a connection, the pool closes the connection when it has served that many. The limit is
// that of the connection's own peer: the other addresses of a host may have another one, or none.
func (c *http1Conn) keepToRequests(a *attempt) {
	n := int(c.route.learned.limits.requests.Load())
	if n == 0 {
		return
	}
	left := max(0, n-a.lease.Uses()-1)
	if left == 0 {
		c.past.Or(lingers)
	}
	a.lease.Limit(-1, left)
}

// limitTried is called with what was found on a connection that had served as many requests as the peer is known to serve, n,
// and whose socket has stayed open for a while. If the peer has not closed the connection, there is no such limit any more.
func (c *http1Conn) limitTried(n int, found http1.Condition) {
	switch c.found(found, whileIdle) {
	case pool.ReasonPeerClosed:
		c.route.learn(func(t *teacher, now time.Duration) { t.requests.End(n, false, now) })
	case "":
		c.route.learn(func(t *teacher, _ time.Duration) { t.requests.Keep(n) })
	}
}
