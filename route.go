package peerpool

import (
	"cmp"
	"context"
	"crypto/tls"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unique"

	"github.com/peerpool/peerpool/internal/http1"
	"github.com/peerpool/peerpool/pool"
)

// routeKey is the key under which a route is remembered. It holds everything in a request, and in the Transport's fields,
// that decides where the request goes.
type routeKey struct {
	scheme string
	host   string // host of the URL
	peer   *Peer
	tls    *tls.Config
	proxy  string // URL with credentials, and CONNECT headers; "" if there is no proxy
	dialer dialerKind
	http1  bool // HTTP/2 may not be used
}

// destination says where a request wants to go, as far as that is known without a look-up.
type destination struct {
	key routeKey
	via *proxyChoice // nil if there is no proxy
}

func (t *Transport) destination(req *http.Request, peer *Peer) (destination, error) {
	to := destination{key: routeKey{scheme: req.URL.Scheme, host: req.URL.Host, peer: peer, tls: t.TLSClientConfig}}
	if t.Proxy != nil || peer != nil {
		via, err := t.proxyOf(req, peer)
		if err != nil {
			return destination{}, err
		}
		if via != nil {
			to.via, to.key.proxy = via, via.key()
		}
	}
	to.key.dialer = t.dialerFor(req.URL.Scheme, to.via)
	to.key.http1 = len(req.Header["Upgrade"]) > 0 && requiresHTTP1(req)
	return to, nil
}

// dialerKind says what makes the first hop.
type dialerKind uint8

const (
	ourDialer   dialerKind = iota // the Transport itself
	plainDialer                   // DialContext or Dial
	tlsDialer                     // DialTLSContext or DialTLS, which return a connection with TLS on it
)

// dialerFor returns what makes the first hop, which leads to the proxy if there is one.
func (t *Transport) dialerFor(scheme string, via *proxyChoice) dialerKind {
	if via != nil {
		scheme = via.url.Scheme
	}
	switch {
	case scheme == "https" && (t.DialTLSContext != nil || t.DialTLS != nil):
		return tlsDialer
	case t.DialContext != nil || t.Dial != nil:
		return plainDialer
	}
	return ourDialer
}

// hostPort returns what a trace is told: the address to which the first hop leads.
func (to destination) hostPort(u *url.URL) string {
	peer := to.key.peer
	if to.via != nil {
		u, peer = to.via.url, nil
	}
	_, addr, _ := peer.target(u)
	if addr == "" {
		return u.Host // findRoute will return the error
	}
	return addr
}

// plan says how to reach a destination, at whatever address. It is never changed, and may be copied.
type plan struct {
	t         *Transport
	key       routeKey
	peer      *PeerOptions // never nil
	tls       *tls.Config  // TLS configuration for the target; nil without TLS
	via       *proxyHop    // nil if there is no proxy
	authority string       // host:port of the URL, or of the peer
	protocols http.Protocols
	mayHTTP2  bool // HTTP/2 is spoken, or offered with TLS
}

// route says where the requests with one key go now. It is immutable, except for what it learns later.
type route struct {
	plan
	id      unique.Handle[Identity]
	next    *route                        // the next route of the same identity; guarded by routes.mu
	learned *learned                      // what the connections of the identity have shown
	proxied atomic.Pointer[http1.Options] // the latest options, if the route leads to a proxy: see exchangeOptions

	addr      netip.AddrPort // the only address; not valid for a head, and if a dialer or a proxy resolves the name
	state     *addressState  // state of addr if the host has several addresses; nil otherwise
	host      *host          // set in a head, a route to several addresses whose identity names the host; nil otherwise
	version   uint64         // version of the answer that listed addr; 0 if addr was not looked up
	lookAgain atomic.Int64   // when to look at the answer again, in nanoseconds since epoch
}

// planTo decides how to reach a destination, and returns the Identity of everything that is reached in this way. No other
// code puts an Identity together. Each step returns what it has found out, and the Identity consists of these results. Its
// address is the name of the host until a look-up has returned an address: see Identity.at.
func (t *Transport) planTo(u *url.URL, to destination) (plan, Identity, error) {
	opts := to.key.peer.options()
	network, authority, err := to.key.peer.target(u)
	if err != nil {
		return plan{}, Identity{}, err
	}
	local, err := t.boundTo(network, to.key.dialer, opts)
	if err != nil {
		return plan{}, Identity{}, err
	}
	protocols := t.protocols(opts)
	if to.key.http1 {
		protocols = onlyHTTP1()
	}
	target, err := t.secure(u, to, protocols)
	if err != nil {
		return plan{}, Identity{}, err
	}
	hop, err := t.hop(to)
	if err != nil {
		return plan{}, Identity{}, err
	}
	id := Identity{
		network:         network,
		address:         cmp.Or(hop.addr, authority),
		scheme:          u.Scheme,
		serverName:      target.serverName,
		alternativeName: target.alternativeName,
		skipVerify:      target.skipVerify,
		skipHostname:    target.skipHostname,
		tls:             target.id,
		certificate:     target.certificate,
		proxy:           hop.shown,
		proxySecret:     hop.secret,
		target:          hop.tunnel,
		priorHTTP2:      u.Scheme == "http" && priorKnowledge(protocols) && (to.via == nil || hop.tunnel != ""),
		local:           localText(local),
		group:           opts.Group,
	}
	if id.priorHTTP2 && httpTwoDisabled() {
		return plan{}, Identity{}, errNoHTTP2
	}
	p := plan{
		t: t, key: to.key, peer: opts, protocols: protocols, tls: target.config, authority: authority,
		mayHTTP2: id.priorHTTP2 || u.Scheme == "https" && protocols.HTTP2(),
	}
	if to.via != nil {
		via := hop // so that hop is on the heap only if there is a proxy
		p.via = &via
	}
	return p, id, nil
}

// unrouted returns the Identity that an observer is told for a request without a route.
func unrouted(u *url.URL, peer *Peer) Identity {
	network, addr, _ := peer.target(u)
	return Identity{network: network, address: addr, scheme: u.Scheme}
}

// resolves reports whether the Transport itself looks up the addresses of the host. Otherwise a dial function or a proxy
// does.
func (p *plan) resolves(network string) bool {
	return p.via == nil && p.key.dialer == ourDialer && network == "tcp"
}

// head returns the route to a host. Its identity names the host.
func (p plan) head(id Identity) *route {
	key := unique.Make(id)
	p.keepTexts(key.Value())
	return &route{plan: p, id: key, learned: p.t.core.memory.of(key)}
}

// keepTexts replaces texts of the plan by equal ones, which a route may keep. The scheme and the host of a request are parts of
// its URL, which may be long, and which the route would otherwise keep in memory. The identity holds a copy of most of these
// texts, and there are many routes.
func (p *plan) keepTexts(known Identity) {
	p.key.scheme = shared(p.key.scheme, known.scheme)
	if p.authority == known.address {
		p.authority = known.address
	}
	p.key.host = shared(p.key.host, p.authority)
}

// shared returns a text that equals s. It is a part of whole if whole begins with s, and a copy otherwise.
func shared(s, whole string) string {
	if strings.HasPrefix(whole, s) {
		return whole[:len(s)]
	}
	return strings.Clone(s)
}

// identity returns the Identity. The route does not keep a copy of it, because there are many routes.
func (r *route) identity() Identity { return r.id.Value() }

// to returns the route to one address of a host with the given identity. If addr is not valid, the route leads to the host
// itself.
func (p plan) to(addr netip.AddrPort, host Identity, version uint64) *route {
	r := p.head(host.at(addr))
	r.addr, r.version = addr, version
	r.keepSessions()
	return r
}

// routeTo returns the remembered route to a destination, or finds one. It also returns the part of the coming dial that is
// already done, even with an error. If the server has asked for HTTP/1.1 lately, the route is one for HTTP/1.1.
func (t *Transport) routeTo(ctx context.Context, u *url.URL, to destination) (*route, groundwork, error) {
	r, work, err := t.rememberedOrFound(ctx, u, to)
	if err == nil && r.wantsHTTP1() {
		to.key.http1 = true
		r, work, err = t.rememberedOrFound(ctx, u, to)
	}
	return r, work, err
}

func (t *Transport) rememberedOrFound(ctx context.Context, u *url.URL, to destination) (*route, groundwork, error) {
	if r := t.core.routes.get(&to.key); r != nil && r.current() {
		return r, groundwork{}, nil
	}
	return t.findRoute(ctx, u, to)
}

// findRoute makes the route to a destination. It also returns the part of the coming dial that is already done, even with an
// error.
func (t *Transport) findRoute(ctx context.Context, u *url.URL, to destination) (*route, groundwork, error) {
	p, id, err := t.planTo(u, to)
	if err != nil {
		return nil, groundwork{}, err
	}
	routes := &t.core.routes
	if !p.resolves(id.network) {
		return routes.put(p.to(netip.AddrPort{}, id, 0)), groundwork{}, nil
	}
	found, work, err := p.resolve(ctx, id)
	if err != nil {
		return nil, work, err
	}
	old := routes.get(&to.key)
	if len(found.addrs) == 1 && !found.watched && !old.elsewhere(found.addrs[0]) {
		return routes.put(p.only(found, id, old)), work, nil
	}
	return routes.put(p.several(found, id, old)), work, nil
}

// elsewhere reports whether a host whose only address is addr has had other addresses. r is the remembered route to the
// host, or nil.
func (r *route) elsewhere(addr netip.AddrPort) bool {
	return r != nil && (r.host != nil || r.addr.IsValid() && r.addr != addr)
}

// only returns the route to a host that has one address. It returns the old route if that leads to the same address.
func (p plan) only(found listing, id Identity, old *route) *route {
	r := p.to(found.addrs[0], id, found.version)
	if old != nil && old.id == r.id {
		r = old
	}
	r.lookAgain.Store(found.lookAgain)
	return r
}

// several returns the route to a host that has, or has had, more than one address. It returns the old route if that leads to
// the same host.
func (p plan) several(found listing, id Identity, old *route) *route {
	r := p.head(id)
	r.version = found.version
	if old != nil && old.id == r.id && old.host != nil {
		r = old
		r.host.update(found)
	} else {
		r.host = newHost(r, found.addrs)
		r.host.number = found.number
		if old != nil && old.addr.IsValid() && !slices.Contains(found.addrs, old.addr) {
			r.host.replace(old)
		}
	}
	r.lookAgain.Store(found.lookAgain)
	return r
}

// options returns the peer's options, or empty options if p is nil.
func (p *Peer) options() *PeerOptions {
	if p == nil {
		return &noOptions
	}
	return &p.opts
}

var noOptions PeerOptions

// expect returns how many requests a new connection may serve at the same time, in the terms of the pool. It returns 0,
// which means one, if HTTP/2 is not spoken.
func (r *route) expect() int {
	if !r.mayHTTP2 {
		return 0
	}
	if r.host == nil {
		return r.learned.expect()
	}
	return r.host.lessons().expect
}

// wantsHTTP1 reports whether the server, at any of its addresses, has asked for HTTP/1.1 lately.
func (r *route) wantsHTTP1() bool {
	if !r.mayHTTP2 || r.host == nil {
		return r.mayHTTP2 && r.learned.wantsHTTP1()
	}
	return r.host.lessons().wantsHTTP1()
}

// looks reports whether handshakes look something up in the context of the request: see handshakeContext.
func (r *route) looks() bool {
	if r.host == nil {
		return r.learned.looks.Load()
	}
	return r.host.lessons().looks
}

// current reports whether the route's addresses were looked up not long ago, or need no look-up.
func (r *route) current() bool {
	return r.version == 0 || time.Since(epoch) < time.Duration(r.lookAgain.Load())
}

func (r *route) tryAcquire(terms pool.Terms) (connLease, bool) {
	if r.host != nil {
		return r.host.pool.TryAcquire(terms)
	}
	return r.t.core.pool.TryAcquire(r.id, terms)
}

// acquire waits for a connection. work, which is done already, becomes part of the dial that begins for it.
func (r *route) acquire(ctx context.Context, terms pool.Terms, work groundwork) (connLease, error) {
	switch {
	case r.host != nil:
		return r.host.pool.Acquire(ctx, hostDial{r.host, work}, terms)
	case work != groundwork{}:
		return r.t.core.pool.Acquire(ctx, r.id, workedDial{r, work}, terms)
	}
	return r.t.core.pool.Acquire(ctx, r.id, r, terms)
}

// known reports whether the pool holds something of the route. If so, the pool will call back when it holds nothing any
// more.
func (r *route) known() bool {
	if r.host != nil {
		return r.host.pool.Known()
	}
	return r.t.core.pool.Knows(r.id)
}

// workedDial dials a route. work is the part of the dial that is already done.
type workedDial struct {
	*route
	work groundwork
}

// Dial is called by the pool.
func (d workedDial) Dial(ctx context.Context) (conn, error) { return d.route.dial(ctx, nil, d.work) }
