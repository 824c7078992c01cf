package peerpool

import (
	"crypto/tls"
	"errors"
	"math"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/peerpool/peerpool/internal/exchange"
	"github.com/peerpool/peerpool/internal/http1"
	"github.com/peerpool/peerpool/internal/watch"
	"github.com/peerpool/peerpool/pool"
)

// http1Conn is a connection that speaks HTTP/1.1. Many of them may be idle, so an idle connection consists of this one
// object. What the connections of a route have in common is kept in the route.
type http1Conn struct {
	http1.Conn
	route  *route               // for which the connection was dialed
	*facts                      // nil without an Observer
	tls    *tls.ConnectionState // nil without TLS

	place   connPlace // set once by the pool, before the first lease
	watched watch.Registration

	past atomic.Uint32 // the flags served, blamed and lingers
	mute uint32        // milliseconds for which nothing had arrived when it was closed; see learnFromClose
}

// These flags say what has happened to a connection.
const (
	served  = 1 << iota // it has served a request
	blamed              // its peer was blamed for unexpected data on it
	lingers             // its socket stays open for a moment when the pool has closed it, unless another one does: see linger
)

var (
	_ conn         = (*http1Conn)(nil)
	_ pool.Rester  = (*http1Conn)(nil)
	_ watch.Socket = (*http1Conn)(nil)

	_ connRetirer         = (*http1Conn)(nil)
	_ pool.Replacer[conn] = (*http1Conn)(nil)
)

// exchange runs an exchange. The response, its body and the values of its header are part of the http1.Exchange, so that
// they are one allocation.
func (c *http1Conn) exchange(a *attempt) (*http.Response, exchange.Outcome, error) {
	x := &http1.Exchange{Conn: &c.Conn, Req: a.req, Opts: c.route.exchangeOptions(), Owner: a}
	if a.peer != nil {
		x.Opts = a.peer.limited(x.Opts)
	}
	if a.trace != nil {
		x.SetTrace(a.trace)
	}
	x.HeedLater = !a.entry.Run(x)
	if c.route.learned.limits.idleClose.Load() != 0 {
		a.begun = time.Since(epoch)
	}
	resp, err := x.Run()
	if resp != nil {
		resp.TLS = c.tls
	}
	return resp, x.Outcome(), err
}

// noticesFailure returns false, because nothing reads from an idle connection, and the watcher may be late.
func (c *http1Conn) noticesFailure(error) bool { return false }

// endLease discards the connection after any error.
func (c *http1Conn) endLease(a *attempt, end exchange.End, o exchange.Outcome) (reason CloseReason) {
	switch end {
	case exchange.EndHijacked:
		c.unwatch()
		a.lease.Hijack()
		return CloseReason(end)
	case exchange.EndUnfit:
		return a.lease.Release()
	case exchange.Reusable:
		if c.route.learned.limits.shown.Load() != nil {
			c.learnFromAnswer(a)
			c.keepToRequests(a)
		}
		if o.KeepAlive.Timeout >= 0 || o.KeepAlive.Max >= 0 {
			a.heedKeepAlive(o.KeepAlive)
		}
		reason = a.lease.Release()
		if a.trace != nil {
			a.putIdle(reason)
		}
		return reason
	case exchange.EndUnexpected:
		c.blame(behindResponse)
	case exchange.EndClose:
		c.learnFromEnd(a)
	case exchange.EndError:
		if o.Wrote && !o.Started && a.lease.Reused() {
			c.learnFromLoss(a)
		}
	}
	return a.discard(end)
}

// heedKeepAlive lowers the connection's limits to those that the server announces. It subtracts a tenth from the idle time,
// because a request takes some time to reach the server.
func (a *attempt) heedKeepAlive(ka exchange.KeepAlive) {
	idle := time.Duration(-1)
	if ka.Timeout >= 0 {
		idle = max(1, time.Duration(ka.Timeout)*time.Second*9/10)
	}
	a.lease.Limit(idle, int(ka.Max))
}

func (a *attempt) putIdle(reason CloseReason) {
	if a.trace.PutIdleConn == nil {
		return
	}
	if reason == "" {
		a.trace.PutIdleConn(nil)
		return
	}
	a.trace.PutIdleConn(errors.New("peerpool: connection not kept: " + string(reason)))
}

// Attach is called by the pool before the first lease. A veiled connection is read ahead while it is idle. The end of that
// read serves as well as a watcher.
func (c *http1Conn) Attach(place connPlace) {
	c.place = place
	if c.Veiled() {
		c.OnIdleEnd(c.idleEnded)
	}
}

// Replacement is called by the pool. It returns what dials a connection that replaces this one.
func (c *http1Conn) Replacement() pool.Dialer[conn] { return c.route.again() }

// Probe is called by the pool before the connection is leased again.
func (c *http1Conn) Probe() pool.Reason {
	if found := c.Conn.Probe(); found != http1.Quiet {
		return c.found(found, whileIdle)
	}
	if c.Watching == http1.Unwatched {
		c.watch()
	}
	if q := &c.route.t.core.quarantine; q.count.Load() > 0 && c.has(served) && q.holds(c.route.id) {
		return reasonQuarantine
	}
	return ""
}

// Rest is called by the pool when the connection is released. It does not ask the system about closes and bytes. The watcher
// reports a close, and bytes need not be known before the Probe that follows.
func (c *http1Conn) Rest() pool.Reason {
	if !c.has(served) {
		c.past.Or(served)
	}
	if found := c.Conn.Rest(); found != http1.Quiet {
		return c.found(found, behindResponse)
	}
	if c.Watching == http1.Unwatched {
		c.watch()
	}
	if q := &c.route.t.core.quarantine; q.count.Load() > 0 && q.holds(c.route.id) {
		c.past.Or(lingers)
		return reasonQuarantine
	}
	return ""
}

func (c *http1Conn) has(past uint32) bool { return c.past.Load()&past != 0 }

// found returns why a connection is closed if a probe has found cond. It notes that the peer has sent unexpected data. why
// says where that was found.
func (c *http1Conn) found(cond http1.Condition, why string) pool.Reason {
	switch cond {
	case http1.PeerClosed:
		return pool.ReasonPeerClosed
	case http1.Unexpected:
		if !c.has(served) {
			why = beforeRequest
		}
		c.blame(why)
		return pool.ReasonUnexpectedData
	}
	return ""
}

// blame notes that the peer has sent unexpected data, once for each connection.
func (c *http1Conn) blame(why string) {
	if c.past.Or(blamed)&blamed == 0 {
		c.route.misbehaved(why)
	}
}

// watch has the watcher watch a connection that a probe has found quiet for the first time. It is not watched earlier,
// because the first lease may still read an answer after which the server closes the connection.
func (c *http1Conn) watch() {
	c.Watching = http1.Unwatchable
	if watched, ok := c.route.t.core.watcher.Add(c); ok {
		c.watched, c.Watching = watched, http1.BeingWatched
	}
}

// Notify is called by the watcher when the peer has closed the connection.
func (c *http1Conn) Notify() {
	c.Rouse()
	c.place.Retire(pool.ReasonPeerClosed)
}

// idleEnded is called when the read of an idle connection has ended that the watcher cannot watch.
func (c *http1Conn) idleEnded(found http1.Condition) { c.place.Retire(c.found(found, whileIdle)) }

// Close closes the connection. If that can show something about the peer, the socket stays open for a moment: see linger.
func (c *http1Conn) Close() error {
	c.unwatch()
	if c.has(served) {
		c.mute = uint32(min(c.SinceReceived().Milliseconds(), math.MaxUint32))
	}
	if c.has(lingers) && c.linger() {
		return nil
	}
	return c.Conn.Close()
}

// unwatch ends the watching of a connection that is closed, or that the caller takes over.
func (c *http1Conn) unwatch() {
	c.route.t.core.watcher.Remove(c.watched)
}
