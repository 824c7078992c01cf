package peerpool

import (
	"crypto/tls"
	"errors"
	"math"
	"net"
	"net/http"

	"github.com/peerpool/peerpool/internal/exchange"
	"github.com/peerpool/peerpool/pool"
)

// alternateConn is a connection that a function of Transport.TLSNextProto has taken over, and all that we know of it.
type alternateConn struct {
	http.RoundTripper
	*facts  // nil without an Observer
	learned *learned
	nc      net.Conn
	name    string // of the protocol
}

var (
	_ conn        = (*alternateConn)(nil)
	_ pool.Sharer = (*alternateConn)(nil)
)

func (r *route) newAlternate(next func(string, *tls.Conn) http.RoundTripper, tc *tls.Conn) (conn, error) {
	rt := next(r.authority, tc)
	if failed, ok := rt.(interface{ RoundTripErr() error }); ok { // as x/net/http2 says it
		return nil, newDialError(r.identity, opTLS, failed.RoundTripErr())
	}
	protocol := tc.ConnectionState().NegotiatedProtocol
	if protocol == protoHTTP2 {
		protocol = nameHTTP2
	}
	return &alternateConn{RoundTripper: rt, facts: r.newFacts(protocol), learned: r.learned, nc: tc, name: protocol}, nil
}

// isStub recognizes the function that net/http, since Go 1.27, puts into TLSNextProto as a sign that it speaks HTTP/2. It
// comes here with the configuration of a Transport that has been used; the connection is as it was.
func isStub(err error) bool {
	return err != nil && err.Error() == "unexpected use of stub RoundTripper"
}

// exchange leaves the request to the connection's new owner. There is no telling when its response ends.
func (c *alternateConn) exchange(a *attempt) (*http.Response, exchange.Outcome, error) {
	req, o := a.req, exchange.Outcome{}
	if req.Body != nil && req.Body != http.NoBody {
		again := *req
		o.Body = new(exchange.Body)
		o.Body.Init(req.Body)
		req, again.Body = &again, o.Body
	}
	if t := a.trace; t != nil && t.GetConn != nil {
		req = req.WithContext(withoutGetConn(a.ctx, t))
	}
	resp, err := c.RoundTrip(req)
	if o.Body != nil {
		o.Touched = true // whatever came of it: the new owner closes it
		if err != nil {
			o.Body.Finish()
		}
	}
	end := exchange.Reusable
	if err != nil {
		end = exchange.EndError
		var unused interface{ IsHTTP2NoCachedConnError() }
		o.Wrote = !errors.As(err, &unused)
	} else {
		o.Status = int32(resp.StatusCode)
	}
	a.ExchangeDone(end, o)
	return resp, o, err
}

// Share is the pool's. How many requests go at a time is the new owner's business.
func (c *alternateConn) Share(func(int)) int { return math.MaxInt32 }

// Probe is the pool's.
func (c *alternateConn) Probe() pool.Reason { return "" }

// Close leaves the connection to its new owner, who is asked to close it if it is not in use.
func (c *alternateConn) Close() error {
	if o, ok := c.RoundTripper.(interface{ CloseIdleConnections() }); ok {
		o.CloseIdleConnections()
	}
	return nil
}

// NetConn returns the connection below.
func (c *alternateConn) NetConn() net.Conn { return c.nc }

// noticesFailure is false: nothing is known.
func (c *alternateConn) noticesFailure(error) bool { return false }

// endLease discards the connection whatever has gone wrong: its owner has dealt with what could be dealt with.
func (c *alternateConn) endLease(a *attempt, end exchange.End, _ exchange.Outcome) CloseReason {
	if end == exchange.Reusable {
		return a.lease.Release()
	}
	return a.discard(end)
}
