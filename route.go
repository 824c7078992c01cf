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
	"strings"
	"sync/atomic"
	"time"
	"unique"

	"github.com/peerpool/peerpool/internal/ascii"
	"github.com/peerpool/peerpool/internal/http1"
	"github.com/peerpool/peerpool/internal/resolve"
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

	addr       netip.AddrPort // settled; not valid where a dialer or a proxy resolves
	candidates atomic.Int32   // addresses that the host has
	version    uint64         // of the answer that listed addr
	lookAgain  atomic.Int64   // nanoseconds since started: until then the answer is taken as it was
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

// findRoute makes the route to a destination, and returns what of its dial that took is done already: also with
// an error. avoid lists the addresses that have not answered.
func (t *Transport) findRoute(ctx context.Context, u *url.URL, to destination, avoid []string) (*route, *presetDial, error) {
	rt := t.core
	old := rt.routes.get(to.key)
	r := &route{t: t, key: to.key, via: to.via, dialer: to.key.dialer, peer: to.key.peer.options()}
	r.candidates.Store(1)
	r.protocols = t.protocols(r.peer)
	if to.key.http1 {
		r.protocols = onlyHTTP1()
	}
	preset, err := r.find(ctx, u, old, avoid)
	if err != nil {
		return nil, preset, err
	}
	if old != nil && old.id == r.id {
		old.lookAgain.Store(r.lookAgain.Load())
		old.candidates.Store(r.candidates.Load())
		return old, preset, nil
	}
	rt.routes.put(r)
	return r, preset, nil
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
	return r.learned.expect()
}

// current says that the route's address has been seen in the answer not long ago.
func (r *route) current() bool {
	return !r.addr.IsValid() || r.version == 0 || time.Since(started) < time.Duration(r.lookAgain.Load())
}

// find fills the route in: the address, TLS, and the identity that they make.
func (r *route) find(ctx context.Context, u *url.URL, old *route, avoid []string) (*presetDial, error) {
	network, addr, err := r.key.peer.target(u)
	if err != nil {
		return nil, err
	}
	r.authority = addr
	id := Identity{network: network, scheme: u.Scheme, group: r.peer.Group}
	if r.peer.LocalAddr.IsValid() {
		if r.dialer != ourDialer {
			return nil, optionError("LocalAddr", "has no effect on a Transport with dial functions of its own")
		}
	}
	if r.dialer == ourDialer && network == "tcp" {
		id.local = localText(r.local())
	}
	if err := r.secure(u, &id); err != nil {
		return nil, err
	}
	if r.via != nil {
		if err := r.via.complete(r); err != nil {
			return nil, err
		}
	}
	preset, err := r.locate(ctx, addr, &id, old, avoid)
	if err != nil {
		return preset, err
	}
	id.priorHTTP2 = id.scheme == "http" && priorKnowledge(r.protocols) && (r.via == nil || id.target != "")
	if id.priorHTTP2 && httpTwoDisabled() {
		return preset, errNoHTTP2
	}
	r.identity = id
	r.id = unique.Make(id)
	r.learned = r.t.core.memory.of(r.id)
	if r.tls != nil {
		r.tls.ClientSessionCache = r.sessionCache(r.tls, r.learned.sessionPrefix(id))
	}
	if preset != nil {
		preset.route = r
	}
	return preset, nil
}

// locate decides what is connected to: a socket, a proxy, a name for a custom dialer, or an IP address.
func (r *route) locate(ctx context.Context, addr string, id *Identity, old *route, avoid []string) (*presetDial, error) {
	switch {
	case r.via != nil:
		id.address, id.proxy, id.proxySecret = r.via.addr, r.via.shown, r.via.secret
		if !r.via.absoluteForm(id.scheme, r.peer) {
			id.target = addr
		}
	case id.network == "unix" || r.dialer != ourDialer:
		id.address = addr
	default:
		return r.resolve(ctx, addr, id, old, avoid)
	}
	return nil, nil
}

// resolve settles on one of the addresses of a host. The one that answered before stays while it is listed;
// otherwise all that are listed are raced (RFC 8305).
func (r *route) resolve(ctx context.Context, addr string, id *Identity, old *route, avoid []string) (*presetDial, error) {
	work := groundwork{start: time.Now()}
	found, err := r.lookup(ctx, addr)
	if cause := canceledCause(ctx); err != nil && cause != nil {
		return nil, cause
	}
	if err != nil || found.waited {
		work.resolve = time.Since(work.start)
	}
	if err != nil {
		id.address = addr // the host, as there is no address
		return &presetDial{work: work}, newDialError(*id, opResolve, &net.OpError{Op: "dial", Net: "tcp", Err: err})
	}
	listed := found.addrs
	r.version = found.version
	r.lookAgain.Store(found.lookAgain)
	r.candidates.Store(int32(len(listed)))
	untried := slices.DeleteFunc(slices.Clone(listed), func(a netip.AddrPort) bool { return slices.Contains(avoid, a.String()) })
	if len(untried) == 0 {
		untried = listed
	}
	var preset *presetDial
	if found.waited {
		preset = &presetDial{work: work}
	}
	switch {
	case old != nil && slices.Contains(untried, old.addr):
		r.addr = old.addr
	case len(untried) == 1:
		r.addr = untried[0]
	default:
		key := settleKey{addr: addr, local: r.local(), avoid: strings.Join(avoid, " ")}
		r.addr, preset, err = r.t.core.settler.settle(ctx, key, untried, r.racing())
		work.connect = time.Since(work.start) - work.resolve
		if err != nil && ctx.Err() == nil {
			id.address = addr // the host, as there is no address that answers
			preset, err = &presetDial{}, newDialError(*id, opConnect, err)
		}
		if preset != nil {
			preset.work = work
		}
	}
	id.address = r.addr.String()
	return preset, err
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
	resolver, ttl := r.t.observed(r.t.resolver()), r.t.DNSRefresh
	if ttl <= 0 {
		ttl = defaultDNSRefresh
	}
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
