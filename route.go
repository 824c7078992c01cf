package peerpool

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync/atomic"
	"time"
	"unique"

	"github.com/peerpool/peerpool/internal/ascii"
	"github.com/peerpool/peerpool/internal/http1"
	"github.com/peerpool/peerpool/internal/resolve"
	"github.com/peerpool/peerpool/pool"
	"golang.org/x/net/idna"
)

// routeKey is what a route is remembered by: all of a request, and of the Transport's fields, that decides
// where it goes.
type routeKey struct {
	scheme string
	host   string // as in the URL
	peer   *Peer
	tls    *tls.Config
	dialer dialerKind
	proxy  string // URL with credentials, and the CONNECT headers; "": none
	http1  bool   // HTTP/2 will not do
}

// route says where the requests of one key go now. It is immutable but for what it learns when it looks again.
type route struct {
	t         *Transport
	key       routeKey
	identity  Identity
	id        unique.Handle[Identity]
	dialer    dialerKind
	peer      *PeerOptions // never nil
	protocols http.Protocols
	tls       *tls.Config                   // towards the target; nil: none
	via       *proxyHop                     // nil: direct
	learned   *learned                      // of the identity
	authority string                        // host:port of the URL, or of the peer
	proxied   atomic.Pointer[http1.Options] // the last ones, of a route to a proxy: see exchangeOptions

	addr      netip.AddrPort   // the only one; not valid where a dialer or a proxy resolves, and of a head
	host      *host            // of a head: a route to several addresses, whose identity names the host; or nil
	listed    []netip.AddrPort // of a head that is new
	version   uint64           // of the answer that listed addr
	lookAgain atomic.Int64     // nanoseconds since started: until then the answer is taken as it was
}

// lookInterval is how often a route asks the cache of names whether its address is still listed.
const lookInterval = time.Second

// started is what the clocks of routes count from.
var started = time.Now()

// destination is where a request wants to go, as far as that can be said without looking anything up.
type destination struct {
	key routeKey
	via *proxyHop // nil: direct
}

func (t *Transport) destination(req *http.Request, peer *Peer) (destination, error) {
	to := destination{key: routeKey{scheme: req.URL.Scheme, host: req.URL.Host, peer: peer, tls: t.TLSClientConfig}}
	via, err := t.proxyOf(req, peer)
	if err != nil {
		return destination{}, err
	}
	if via != nil {
		to.via, to.key.proxy = via, via.key()
	}
	to.key.dialer = t.dialerFor(req.URL.Scheme, via)
	return to, nil
}

// hostPort is what a trace is told: where the first hop goes.
func (to destination) hostPort(u *url.URL) string {
	peer := to.key.peer
	if to.via != nil {
		u, peer = to.via.url, nil
	}
	_, addr, _ := peer.target(u)
	if addr == "" {
		return u.Host // the route says what is wrong with it
	}
	return addr
}

// findRoute makes the route to a destination, and returns what of its dial is done already: also with an error.
func (t *Transport) findRoute(ctx context.Context, u *url.URL, to destination) (*route, groundwork, error) {
	rt := t.core
	old := rt.routes.get(to.key)
	r := &route{t: t, key: to.key, via: to.via, dialer: to.key.dialer, peer: to.key.peer.options()}
	r.protocols = t.protocols(r.peer)
	if to.key.http1 {
		r.protocols = onlyHTTP1()
	}
	work, err := r.find(ctx, u, old)
	if err != nil {
		return nil, work, err
	}
	if r.listed != nil && (old == nil || old.id != r.id || old.host == nil) {
		r.host = newHost(r, r.listed)
		if old != nil && old.addr.IsValid() && !slices.Contains(r.listed, old.addr) {
			r.host.replace(old)
		}
	}
	if old != nil && old.id == r.id && (old.host != nil) == (r.listed != nil) {
		if old.host != nil {
			old.host.update(listing{addrs: r.listed, version: r.version})
		}
		old.lookAgain.Store(r.lookAgain.Load())
		return old, work, nil
	}
	return rt.routes.put(r), work, nil
}

// options returns the peer's options; no peer has none.
func (p *Peer) options() *PeerOptions {
	if p == nil {
		return &noOptions
	}
	return &p.opts
}

var noOptions PeerOptions

// expect is how many requests at once a new connection may serve, for the pool: one, if HTTP/2 is not on offer.
func (r *route) expect() int {
	if !r.identity.priorHTTP2 && (r.identity.scheme != "https" || !r.protocols.HTTP2()) {
		return 0
	}
	if r.host == nil {
		return r.learned.expect()
	}
	expect := pool.ExpectUnknown
	for _, m := range *r.host.members.Load() {
		if shown := m.learned.expect(); shown != pool.ExpectUnknown {
			expect = shown
		}
	}
	return expect
}

// wantsHTTP1 says whether the server, at whatever address, has asked for HTTP/1.1 lately.
func (r *route) wantsHTTP1() bool {
	if r.host == nil {
		return r.learned.wantsHTTP1()
	}
	return slices.ContainsFunc(*r.host.members.Load(), func(m *route) bool { return m.learned.wantsHTTP1() })
}

// looks says whether handshakes look something up in the context of the request, see handshakeContext.
func (r *route) looks() bool {
	if r.host == nil {
		return r.learned.looks.Load()
	}
	return slices.ContainsFunc(*r.host.members.Load(), func(m *route) bool { return m.learned.looks.Load() })
}

// current says that the route's addresses have been looked up not long ago.
func (r *route) current() bool {
	return !r.addr.IsValid() && r.host == nil || r.version == 0 || time.Since(started) < time.Duration(r.lookAgain.Load())
}

// find fills the route in: the address, TLS, and the identity that they make.
func (r *route) find(ctx context.Context, u *url.URL, old *route) (groundwork, error) {
	network, addr, err := r.key.peer.target(u)
	if err != nil {
		return groundwork{}, err
	}
	r.authority = addr
	id := Identity{network: network, scheme: u.Scheme, group: r.peer.Group}
	if r.peer.LocalAddr.IsValid() {
		if r.dialer != ourDialer {
			return groundwork{}, optionError("LocalAddr", "has no effect on a Transport with dial functions of its own")
		}
	}
	if r.dialer == ourDialer && network == "tcp" {
		id.local = localText(r.local())
	}
	if err := r.secure(u, &id); err != nil {
		return groundwork{}, err
	}
	if r.via != nil {
		if err := r.via.complete(r); err != nil {
			return groundwork{}, err
		}
	}
	work, err := r.locate(ctx, addr, &id, old)
	if err != nil {
		return work, err
	}
	id.priorHTTP2 = id.scheme == "http" && priorKnowledge(r.protocols) && (r.via == nil || id.target != "")
	if id.priorHTTP2 && httpTwoDisabled() {
		return work, errNoHTTP2
	}
	r.identity = id
	r.id = unique.Make(id)
	r.learned = r.t.core.memory.of(r.id)
	if r.tls != nil && r.listed == nil { // each address has sessions of its own
		r.tls.ClientSessionCache = r.sessionCache(r.tls, r.learned.sessionPrefix(id))
	}
	return work, nil
}

// locate decides what is connected to: a socket, a proxy, a name for a custom dialer, or an IP address.
func (r *route) locate(ctx context.Context, addr string, id *Identity, old *route) (groundwork, error) {
	switch {
	case r.via != nil:
		id.address, id.proxy, id.proxySecret = r.via.addr, r.via.shown, r.via.secret
		if !r.via.absoluteForm(id.scheme, r.peer) {
			id.target = addr
		}
	case id.network == "unix" || r.dialer != ourDialer:
		id.address = addr
	default:
		return r.resolve(ctx, addr, id, old)
	}
	return groundwork{}, nil
}

// resolve looks up the addresses of a host. One that has had several, or another one, is dialed as a host.
func (r *route) resolve(ctx context.Context, addr string, id *Identity, old *route) (groundwork, error) {
	begun := time.Now()
	found, err := r.lookup(ctx, addr)
	if cause := canceledCause(ctx); err != nil && cause != nil {
		return groundwork{}, cause
	}
	var work groundwork
	if err != nil || found.waited {
		work = groundwork{start: begun, resolve: time.Since(begun)}
	}
	if err != nil {
		id.address = addr // the host, as there is no address
		return work, newDialError(*id, opResolve, &net.OpError{Op: "dial", Net: "tcp", Err: err})
	}
	r.version = found.version
	r.lookAgain.Store(found.lookAgain)
	changed := old != nil && (old.host != nil || old.addr.IsValid() && old.addr != found.addrs[0])
	if changed || len(found.addrs) > 1 {
		r.listed, id.address = found.addrs, addr
	} else {
		r.addr, id.address = found.addrs[0], found.addrs[0].String()
	}
	return work, nil
}

// listing is the answer to a look-up.
type listing struct {
	addrs     []netip.AddrPort
	version   uint64 // 0: an IP address, which stays what it is
	lookAgain int64  // see route.lookAgain
	waited    bool   // for the resolver
}

// lookup returns the addresses of host:port. An IP address is its own.
func (r *route) lookup(ctx context.Context, addr string) (listing, error) {
	host, service, err := net.SplitHostPort(addr)
	if err != nil {
		return listing{}, err
	}
	port, err := net.DefaultResolver.LookupPort(ctx, "tcp", service)
	if err != nil {
		return listing{}, err
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return listing{addrs: []netip.AddrPort{netip.AddrPortFrom(ip.Unmap(), uint16(port))}}, nil
	}
	resolver, ttl := r.t.observed(r.t.resolver()), r.t.dnsRefresh()
	answer, err := r.t.core.names.Lookup(lookupContext(ctx), resolver, family(r.local().Addr()), ascii.ToLower(host), ttl)
	if err != nil {
		return listing{}, err
	}
	addrs := make([]netip.AddrPort, 0, len(answer.Addrs))
	for _, ip := range resolve.Order(answer.Addrs) {
		addrs = append(addrs, netip.AddrPortFrom(ip, uint16(port)))
	}
	lookAgain := int64(time.Since(started) + min(ttl, lookInterval))
	return listing{addrs: addrs, version: answer.Version, lookAgain: lookAgain, waited: answer.Waited}, nil
}

func (t *Transport) dnsRefresh() time.Duration {
	if t.DNSRefresh <= 0 {
		return defaultDNSRefresh
	}
	return t.DNSRefresh
}

// family is what can be connected to from a local address.
func family(local netip.Addr) string {
	switch {
	case local.Is4() || local.Is4In6():
		return "ip4"
	case local.Is6() && !local.IsUnspecified():
		return "ip6"
	}
	return "ip"
}

// canonicalAddr returns the host:port of a URL, the host in ASCII (RFC 5891) and the port filled in.
func canonicalAddr(u *url.URL) (string, error) {
	host, err := asciiHost(u.Hostname())
	if err != nil {
		return "", fmt.Errorf("peerpool: host %q of the URL: %w", u.Hostname(), err)
	}
	if host == "" {
		host = "localhost" // as a dialer has it
	}
	return net.JoinHostPort(host, portOf(u)), nil
}

func asciiHost(host string) (string, error) {
	for i := range len(host) {
		if host[i] >= 0x80 {
			return idna.Lookup.ToASCII(host)
		}
	}
	return host, nil
}

func portOf(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	switch u.Scheme {
	case "https":
		return "443"
	case "socks5", "socks5h":
		return "1080"
	}
	return "80"
}

func (r *route) tryAcquire(terms pool.Terms) (connLease, bool) {
	if r.host != nil {
		return r.host.pool.TryAcquire(terms)
	}
	return r.t.core.pool.TryAcquire(r.id, terms)
}

// acquire waits for a connection. What finding the route has done is part of the dial that is begun for it.
func (r *route) acquire(ctx context.Context, terms pool.Terms, work groundwork) (connLease, error) {
	switch {
	case r.host != nil:
		return r.host.pool.Acquire(ctx, hostDial{r.host, work}, terms)
	case work != groundwork{}:
		return r.t.core.pool.Acquire(ctx, r.id, workedDial{r, work}, terms)
	}
	return r.t.core.pool.Acquire(ctx, r.id, r, terms)
}

// known says whether the pool has something of the route, and will tell when it has not.
func (r *route) known() bool {
	if r.host != nil {
		return r.host.pool.Known()
	}
	return r.t.core.pool.Knows(r.id)
}

// workedDial dials a route whose look-up somebody has waited for.
type workedDial struct {
	*route
	work groundwork
}

// Dial is called by the pool.
func (d workedDial) Dial(ctx context.Context) (conn, error) { return d.route.dial(ctx, nil, d.work) }
