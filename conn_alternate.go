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

// alternateConn is a connection that a function of Transport.TLSNextProto has taken over, with all that we know about it.
type alternateConn struct {
	http.RoundTripper
	*facts  // nil without an Observer
	learned *learned
	nc      net.Conn
	name    string // name of the protocol
}

var (
	_ conn        = (*alternateConn)(nil)
	_ pool.Sharer = (*alternateConn)(nil)
)

func (r *route) newAlternate(next func(string, *tls.Conn) http.RoundTripper, tc *tls.Conn) (conn, error) {
	rt := next(r.authority, tc)
	if failed, ok := rt.(interface{ RoundTripErr() error }); ok { // how golang.org/x/net/http2 returns an error
		return nil, newDialError(r.identity(), opTLS, failed.RoundTripErr())
	}
	protocol := tc.ConnectionState().NegotiatedProtocol
	if protocol == protoHTTP2 {
		protocol = nameHTTP2
	}
	return &alternateConn{RoundTripper: rt, facts: r.newFacts(protocol), learned: r.learned, nc: tc, name: protocol}, nil
}

// isStub recognizes the error of the function that net/http, since Go 1.27, puts into TLSNextProto as a sign that it speaks
// HTTP/2. The function comes here with the configuration of an http.Transport that has been used. It leaves the connection
// unchanged.
func isStub(err error) bool {
	return err != nil && err.Error() == "unexpected use of stub RoundTripper"
}

// exchange hands the request over to the connection's new owner. We cannot see when its response ends, so the exchange
// counts as ended when RoundTrip returns.
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
		o.Touched = true // in any case, because the new owner closes the body
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

// Share is called by the pool. It sets no limit, because the new owner decides how many requests it serves at a time.
func (c *alternateConn) Share(func(int)) int { return math.MaxInt32 }

// Probe is called by the pool. It finds nothing, because the connection belongs to its new owner.
func (c *alternateConn) Probe() pool.Reason { return "" }

// Close leaves the connection to its new owner, and asks the owner to close it if it is not in use.
func (c *alternateConn) Close() error {
	if o, ok := c.RoundTripper.(interface{ CloseIdleConnections() }); ok {
		o.CloseIdleConnections()
	}
	return nil
}

// NetConn returns the underlying connection.
func (c *alternateConn) NetConn() net.Conn { return c.nc }

// noticesFailure returns false, because nothing is known about the other connections.
func (c *alternateConn) noticesFailure(error) bool { return false }

// endLease discards the connection after any error. The new owner has already handled the errors after which the connection
// can be used.
func (c *alternateConn) endLease(a *attempt, end exchange.End, _ exchange.Outcome) CloseReason {
	if end == exchange.Reusable {
		return a.lease.Release()
	}
	return a.discard(end)
}
