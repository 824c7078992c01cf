package peerpool

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/peerpool/peerpool/pool"
)

const (
	// dialTimeout limits the first hop, including the race of several addresses, unless a Dialer sets another limit. maxDial
	// limits a whole dial, which does not end with the request that asked for it.
	dialTimeout = 30 * time.Second
	maxDial     = 2 * time.Minute

	tcpKeepAlive = 30 * time.Second
)

// Dial opens a connection for the route's identity. The pool calls it on a goroutine of its own.
func (r *route) Dial(ctx context.Context) (conn, error) { return r.dial(ctx, nil, groundwork{}) }

// again returns what dials for the route without a request, or nil if the dial needs the context of a request.
func (r *route) again() pool.Dialer[conn] {
	if r.learned.looks.Load() {
		return nil
	}
	return workedDial{r, groundwork{replaces: true}}
}

// dial opens a connection hop by hop: socket, proxy, TLS, and then the protocol that was agreed on. If the first hop is
// already done, first is its connection. work says how long that hop, and what came before it, took.
func (r *route) dial(ctx context.Context, first net.Conn, work groundwork) (conn, error) {
	d := timedDial{route: r, report: DialDone{Identity: r.identity(), Host: r.key.host}}
	d.start(work)
	nc, err := first, error(nil)
	if nc == nil && r.dialsKnownAddress() { // this hop has a time limit of its own; another one around it would cost as much again
		nc, err = d.firstHop(ctx)
	}
	if err == nil && (nc == nil || r.furtherHops()) {
		var cancel context.CancelFunc
		ctx, cancel = r.withinDial(ctx, d.begun)
		defer cancel()
		nc, err = d.hops(ctx, nc)
	}
	var c conn
	if err == nil {
		r.learned.limits.connected(d.report.Connect)
		c, err = r.newConn(ctx, nc)
	}
	err = r.outOfTime(ctx, err)
	d.tell(ctx, nc, c, err)
	return c, err
}

// dialsKnownAddress reports whether the first hop is a connection that the Transport makes itself, within a time limit, to
// an address that it knows.
func (r *route) dialsKnownAddress() bool {
	return r.key.dialer == ourDialer && r.addr.IsValid() && r.limitsConnect()
}

// furtherHops reports whether a connection needs more than the first hop before it is ready.
func (r *route) furtherHops() bool {
	return r.via != nil || r.key.scheme == "https" || r.identity().priorHTTP2
}

// timedDial measures a dial for the observer.
type timedDial struct {
	route       *route
	report      DialDone
	begun, last time.Time
}

func (d *timedDial) start(work groundwork) {
	d.report.Replaces = work.replaces
	d.begun = time.Now()
	d.last, d.report.Start = d.begun, d.begun
	if !work.start.IsZero() {
		d.report.Start, d.report.Resolve, d.report.Connect = work.start, work.resolve, work.connect
	}
}

func (d *timedDial) firstHop(ctx context.Context) (net.Conn, error) {
	return d.hop(opConnect, &d.report.Connect, func() (net.Conn, error) { return d.route.firstHop(ctx) })
}

// hops makes the remaining hops. If nc is not nil, it is the connection of the first hop.
func (d *timedDial) hops(ctx context.Context, nc net.Conn) (net.Conn, error) {
	r := d.route
	var err error
	if nc == nil {
		nc, err = d.firstHop(ctx)
	}
	if err == nil && r.via != nil {
		nc, err = d.hop(opProxy, &d.report.Proxy, func() (net.Conn, error) { return r.via.open(ctx, r, nc) })
	}
	if err == nil && r.key.scheme == "https" {
		nc, err = d.hop(opTLS, &d.report.TLS, func() (net.Conn, error) { return r.lastHop(ctx, nc) })
	}
	return nc, err
}

// hop makes one hop, measures how long it takes, and names it in the error.
func (d *timedDial) hop(op string, took *time.Duration, do func() (net.Conn, error)) (net.Conn, error) {
	nc, err := do()
	now := time.Now()
	*took += now.Sub(d.last)
	d.last = now
	if err == nil {
		return nc, nil
	}
	failed := newDialError(d.route.identity(), op, err)
	if d.route.via != nil && op == opConnect {
		failed.err, failed.told = proxyError(failed.err), proxyError(failed.told)
	}
	return nil, failed
}

func (d *timedDial) tell(ctx context.Context, nc net.Conn, c conn, err error) {
	o, reported := d.route.t.Observer, reportingIn(ctx)
	if observed := o != nil && o.DialDone != nil; !observed {
		o = nil
	}
	if o == nil && reported == nil {
		return
	}
	r := &d.report
	r.Total, r.Err, r.Hop = time.Since(r.Start), toldOf(err), hopOf(err)
	r.ErrorType, r.HopErrorType = dialErrorType(err), hopErrorType(err)
	if err == nil {
		r.Conn, r.Protocol = c.about().number, protocolOf(c)
		if tc, ok := nc.(*tls.Conn); ok {
			state := tc.ConnectionState()
			r.Version, r.Resumed = state.Version, state.DidResume
		}
	}
	if o != nil {
		o.DialDone(ctx, *r)
	}
	if reported != nil {
		reported.dialed(*r)
	}
}

// firstHop connects to the server or to the proxy.
func (r *route) firstHop(ctx context.Context) (net.Conn, error) {
	switch {
	case r.key.dialer == tlsDialer:
		return r.customTLS(ctx)
	case r.key.dialer == plainDialer:
		return r.custom(ctx)
	case r.addr.IsValid(): // which is that of the identity
		return r.connect(ctx, r.addr)
	case r.identity().network == "unix" && r.via == nil:
		return r.unixDialer().DialContext(ctx, "unix", r.identity().address)
	}
	found, err := r.lookup(ctx, r.identity().address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
	}
	nc, _, err := r.racing().run(ctx, found.addrs)
	return nc, err
}

// custom dials through DialContext or Dial.
func (r *route) custom(ctx context.Context) (net.Conn, error) {
	ctx, cancel := r.connectContext(ctx)
	defer cancel()
	t, id := r.t, r.identity()
	var nc net.Conn
	var err error
	hook := "DialContext"
	if t.DialContext != nil {
		nc, err = t.DialContext(ctx, id.network, id.address)
	} else {
		hook = "Dial"
		nc, err = t.Dial(id.network, id.address)
	}
	if nc == nil && err == nil {
		err = errors.New("net/http: Transport." + hook + " hook returned (nil, nil)")
	}
	return nc, err
}

// customTLS dials through DialTLSContext or DialTLS. If the connection is a *tls.Conn, or has the same methods, its
// handshake may not be complete. customTLS then completes it.
func (r *route) customTLS(ctx context.Context) (net.Conn, error) {
	t, id := r.t, r.identity()
	var nc net.Conn
	var err error
	if t.DialTLSContext != nil {
		nc, err = t.DialTLSContext(ctx, id.network, id.address)
	} else {
		nc, err = t.DialTLS(id.network, id.address)
	}
	if nc == nil && err == nil {
		err = errors.New("net/http: Transport.DialTLS or DialTLSContext returned (nil, nil)")
	}
	if tc, ok := nc.(tlsConn); ok && err == nil {
		return nc, r.finishHandshake(ctx, tc, nil)
	}
	return nc, err
}

// lastHop starts TLS with the target, unless a custom dialer has done so.
func (r *route) lastHop(ctx context.Context, nc net.Conn) (net.Conn, error) {
	if r.tls == nil {
		return nc, nil
	}
	return r.handshake(ctx, nc, r.tls)
}

// newConn makes a connection of the pool from one that is ready.
func (r *route) newConn(ctx context.Context, nc net.Conn) (conn, error) {
	state, agreed := r.tlsState(nc), ""
	if state != nil && r.key.scheme == "https" { // otherwise TLS ends at a proxy, which speaks HTTP/1.1
		agreed = state.NegotiatedProtocol
	}
	if agreed != "" {
		tc, ok := nc.(*tls.Conn)
		if next := r.t.TLSNextProto[agreed]; ok && next != nil {
			if c, err := r.newAlternate(next, tc); !isStub(err) {
				return c, err
			}
		}
	}
	if r.identity().priorHTTP2 || agreed == protoHTTP2 {
		r.learned.spoke(speaksHTTP2)
		return r.newHTTP2(ctx, nc)
	}
	r.learned.spoke(speaksHTTP1)
	return r.newHTTP1(nc, state), nil
}

// tlsState returns the state of TLS with the server that answers the requests, or nil: with the target, or with an https
// proxy to which requests name their target in full. The connection of a custom dialer need not be a [tls.Conn] if it has
// the method ConnectionState.
func (r *route) tlsState(nc net.Conn) *tls.ConnectionState {
	shown, ok := nc.(interface{ ConnectionState() tls.ConnectionState })
	answersItself := r.via != nil && r.via.tunnel == "" && r.via.url.Scheme == "https"
	if !ok || r.key.scheme != "https" && !answersItself {
		return nil
	}
	state := shown.ConnectionState()
	return &state
}

func (r *route) newHTTP1(nc net.Conn, state *tls.ConnectionState) *http1Conn {
	c := &http1Conn{route: r, facts: r.newFacts(nameHTTP1), tls: state}
	c.Init(nc)
	return c
}
