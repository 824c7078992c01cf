package peerpool

import (
	"context"
	"errors"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/peerpool/peerpool/internal/exchange"
	"github.com/peerpool/peerpool/internal/http1"
	"github.com/peerpool/peerpool/internal/http2"
	"github.com/peerpool/peerpool/internal/watch"
	"github.com/peerpool/peerpool/pool"
	"golang.org/x/net/http/httpguts"
)

// errTurnedOver is the error of a request after many attempts, each of which has found a connection that the server is about
// to close.
var errTurnedOver = errors.New("http2: the server closes the connection gracefully, with GOAWAY")

// http2Conn is a connection that speaks HTTP/2. It serves many attempts at the same time.
type http2Conn struct {
	*http2.Conn
	*facts             // nil without an Observer
	route       *route // for which the connection was dialed
	learned     *learned
	partitioned bool // the identity has a Group
	http1       bool // HTTP/1.1 is allowed as well

	place connPlace // set once by the pool, before the first lease

	// While the connection rests, the watcher wakes it if there is something to read.
	watcher *watch.Watcher
	socket  syscall.RawConn // nil if a goroutine always reads from the connection
	watched watch.Registration
}

var (
	_ conn        = (*http2Conn)(nil)
	_ pool.Sharer = (*http2Conn)(nil)

	_ connRetirer         = (*http2Conn)(nil)
	_ pool.Failer         = (*http2Conn)(nil)
	_ pool.Replacer[conn] = (*http2Conn)(nil)
	_ http2.Alarm         = (*http2Conn)(nil)
	_ watch.Socket        = (*http2Conn)(nil)
)

// Attach is called by the pool before the first lease.
func (c *http2Conn) Attach(place connPlace) { c.place = place }

// Replacement is called by the pool. It returns what dials a connection that replaces this one.
func (c *http2Conn) Replacement() pool.Dialer[conn] { return c.route.again() }

// Share is called by the pool. It returns how many requests the connection serves at a time, and calls resize when that
// changes.
func (c *http2Conn) Share(resize func(int)) int {
	return c.Watch(
		func(r http2.Reason) {
			if d := c.PingDistance(); d > 0 {
				c.learned.pingAfter.Store(int64(d))
			}
			c.place.Retire(pool.Reason(r))
		},
		func(streams int) {
			c.learned.allows(streams)
			resize(streams)
		},
	)
}

// Probe is called by the pool. It does not look for anything, because the connection reports its end by itself.
func (c *http2Conn) Probe() pool.Reason { return pool.Reason(c.Ended()) }

// noticesFailure returns true, except if the server has fallen silent. Then the other connections may be as silent, and
// nothing has noticed it yet.
func (c *http2Conn) noticesFailure(failure error) bool { return !errors.Is(failure, http2.ErrLost) }

// endLease keeps the connection in use, unless the caller wants it discarded. What went wrong concerns one stream. If
// something goes wrong on the connection, the connection retires by itself.
func (c *http2Conn) endLease(a *attempt, end exchange.End, _ exchange.Outcome) CloseReason {
	if end == exchange.EndDiscarded {
		return a.discard(end)
	}
	return a.lease.Release()
}

// exchange sends the attempt's request on a stream. If the connection has been quiet, exchange first asks the server whether
// it is still there.
func (c *http2Conn) exchange(a *attempt) (*http.Response, exchange.Outcome, error) {
	if err := c.check(a); err != nil {
		var o exchange.Outcome
		o.TurnedOver = c.TurnedOver()
		o.Refused = o.TurnedOver
		a.ExchangeDone(exchange.EndError, o)
		return nil, o, err
	}
	if a.req.Close || httpguts.HeaderValuesContainsToken(a.req.Header["Connection"], "close") {
		c.Retire(http2.Reason(exchange.EndClose))
	}
	x := c.NewExchange(a.ctx, a.req, a.t.exchangeLimits(a.peer), a)
	x.HeedLater = !a.entry.Run(x)
	resp, err := x.Run()
	if err != nil {
		o := x.Outcome
		if o.WantsHTTP1 = o.WantsHTTP1 && c.http1; o.WantsHTTP1 {
			c.learned.wantHTTP1()
		}
		return nil, o, err
	}
	if !c.partitioned && (x.Binds || exchange.ChallengeBinds(resp.StatusCode, resp.Header)) {
		c.Retire(http2.Reason(exchange.EndAuth))
	}
	o := x.Outcome
	x.HandOver()
	return resp, o, nil
}

// check finds out whether the connection still works, before anything is written to it.
func (c *http2Conn) check(a *attempt) error {
	if err := c.Hear(); err != nil {
		return err
	}
	if c.TurnedOver() { // since the connection was leased
		return errTurnedOver
	}
	if !c.Quiet() {
		return nil
	}
	ctx, stop := a.waiting()
	defer a.waited(stop)
	alive, err := c.Check(ctx)
	if !alive && err == nil {
		err = http2.ErrLost
	}
	return err
}

// newHTTP2 makes a connection of the pool from nc, which is to speak HTTP/2.
func (r *route) newHTTP2(ctx context.Context, nc net.Conn) (conn, error) {
	c, err := r.t.core.http2().NewConn(ctx, nc, http2.Known{
		Streams:   int(r.learned.streams.Load()),
		PingAfter: time.Duration(r.learned.pingAfter.Load()),
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		return nil, newDialError(r.identity(), opHTTP2, err)
	}
	hc := &http2Conn{
		Conn: c, facts: r.newFacts(nameHTTP2), route: r, learned: r.learned,
		partitioned: r.peer.Group != "", http1: r.protocols.HTTP1(),
		watcher: &r.t.core.watcher, socket: http1.KernelSocket(nc),
	}
	if hc.socket != nil {
		c.SetAlarm(hc)
		if l := http1.NewLooker(nc); l != nil {
			c.SetLooker(l)
		}
	}
	return hc, nil
}

// SyscallConn is called by the watcher.
func (c *http2Conn) SyscallConn() (syscall.RawConn, error) { return c.socket, nil }

// Notify is called by the watcher when there is something to read.
func (c *http2Conn) Notify() { c.Wake() }

// Set has the watcher wake the connection when there is something to read. It reports whether the watcher can.
func (c *http2Conn) Set() (ok bool) {
	c.watched, ok = c.watcher.AddInput(c)
	return ok
}

// Clear undoes Set.
func (c *http2Conn) Clear() {
	c.watcher.Remove(c.watched)
	c.watched = watch.Registration{}
}
