package peerpool

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"unique"

	"github.com/peerpool/peerpool/pool"
)

// Warm opens connections to the host of a URL until n requests at once would find one each. It returns nil when these
// connections are ready: their TLS handshakes are complete, and an HTTP/2 server has sent its SETTINGS. Idle connections
// that are open already count. An HTTP/2 connection counts as many times as it has room for requests, so one connection
// usually is enough.
//
// The connections are those that a GET request for the URL with this context would use: the peer of [WithPeer] or
// PeerFor, the proxy and the limits apply to them. PeerFor and Proxy get that request, which has no header fields, and
// must choose by it. Warm sends no request. The connections are idle connections like any others. They are closed after
// IdleConnTimeout, and other requests may use them at any time. To keep a number of idle connections for longer, set
// MinIdleConnsPerHost or PeerOptions.MinIdleConns.
//
// If a connection cannot be opened, Warm returns the error that RoundTrip would return. If a connection ends before a request
// could use it, because an HTTP/2 server sends GOAWAY or allows no streams, Warm tries again, as RoundTrip does: it gives up after
// three such connections in a row. Connections that were opened at the same time count as one. Warm also returns an error if a
// limit does not allow that many connections, or if connections to the peer serve only one request each. If
// MaxConnsPerHost allows them but requests use some of them, Warm waits. While it waits, no other idle connection takes
// a place that MaxIdleConns allows and that a connection of this call needs. If several calls together need more than
// MaxIdleConns, the later call returns an error and opens nothing. Warm returns context.Cause(ctx) if ctx ends first,
// and [ErrClosed] after Shutdown. Connections that Warm has opened by then stay. If n is zero or less, Warm does
// nothing.
func (t *Transport) Warm(ctx context.Context, url string, n int) error {
	if n <= 0 {
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return withoutPassword(err)
	}
	t.use()
	if err := checkRequest(req); err != nil {
		return err
	}
	given, err := t.given(req)
	if err != nil {
		return err
	}
	r, err := t.routeOf(req, given.peer)
	if err != nil {
		return causeOf(err)
	}
	if err := r.warm(ctx, n, r.readyTerms(given.peer)); err != nil {
		if !r.known() {
			t.core.routes.drop(r)
		}
		return err
	}
	if n := t.minIdle(given.peer); n > 0 {
		r.keepIdle(n, given.peer)
	}
	return nil
}

// routeOf returns the route that the request would take. The request is not sent.
func (t *Transport) routeOf(req *http.Request, peer *Peer) (*route, error) {
	to, err := t.destination(req, peer)
	if err != nil {
		return nil, err
	}
	r, _, err := t.routeTo(req.Context(), req.URL, to)
	return r, err
}

// readyTerms returns the terms of connections that are opened without a request.
func (r *route) readyTerms(peer *Peer) pool.Terms {
	terms := r.t.terms(peer)
	terms.Expect, terms.Unpooled = r.expect(), terms.Unpooled || r.looks()
	return terms
}

var errMalformedURL = errors.New("peerpool: the URL for Warm is malformed; it is not shown because it may hold a password")

// withoutPassword returns the error of http.NewRequest, or errMalformedURL if that error quotes a URL with user information.
func withoutPassword(err error) error {
	if parsing, ok := errors.AsType[*url.Error](err); ok && strings.Contains(parsing.URL, "@") {
		return errMalformedURL
	}
	return err
}

var errNotKept = errors.New("peerpool: connections to this peer serve one request each, so they cannot be opened in advance")

// warm opens as many connections as n requests at the same time need.
func (r *route) warm(ctx context.Context, n int, terms pool.Terms) error {
	if terms.Unpooled {
		return errNotKept
	}
	var err error
	if r.host != nil {
		err = r.host.pool.Warm(ctx, readyHostDial{r.host}, n, terms)
	} else {
		err = r.t.core.pool.Warm(ctx, r.id, readyDial{r}, n, terms)
	}
	limit, limited := errors.AsType[*pool.LimitError](err)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case limited:
		return errors.New("peerpool: " + strings.TrimPrefix(strings.Replace(limit.Error(), limit.Limit, limitNames[limit.Limit], 1), "pool: "))
	case errors.Is(err, pool.ErrRetired) && r.looks():
		return errNotKept
	}
	return causeOf(acquireError(ctx, r.identity(), err))
}

// limitNames holds the names that a Transport uses for the limits of the pool.
var limitNames = map[string]string{
	"MaxConns": "MaxConnsPerHost", "MaxIdlePerKey": "MaxIdleConnsPerHost", "MaxIdle": "MaxIdleConns",
}

// keepIdle makes the pool keep n idle connections ready on the route. It is called for each request that has got a
// connection.
func (r *route) keepIdle(n int, p *Peer) {
	if terms := r.readyTerms(p); r.host != nil {
		r.host.pool.KeepIdle(readyHostDial{r.host}, n, terms)
	} else {
		r.t.core.pool.KeepIdle(r.id, readyDial{r}, n, terms)
	}
}

// readyDial dials a route without a request. The connection is ready when it is known how many requests it can serve.
type readyDial struct{ *route }

// Dial is called by the pool.
func (d readyDial) Dial(ctx context.Context) (conn, error) {
	c, err := d.route.Dial(ctx)
	if err == nil {
		err = d.route.awaitReady(ctx, c)
	}
	return c, err
}

// readyHostDial does for a host what readyDial does for a route.
type readyHostDial struct{ *host }

// DialHost is called by the pool.
func (d readyHostDial) DialHost(ctx context.Context, first unique.Handle[Identity]) (unique.Handle[Identity], conn, error) {
	id, c, err := hostDial{host: d.host}.DialHost(ctx, first)
	if err == nil {
		err = d.host.head.awaitReady(ctx, c)
	}
	return id, c, err
}

// awaitReady waits until an HTTP/2 server has said how many streams it allows. If the server does not, awaitReady closes the
// connection.
func (r *route) awaitReady(ctx context.Context, c conn) error {
	h, ok := c.(*http2Conn)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.connectTimeout())
	defer cancel()
	err := h.AwaitSettings(ctx)
	if err != nil {
		c.Close()
		return newDialError(r.identity(), opHTTP2, err)
	}
	return nil
}
