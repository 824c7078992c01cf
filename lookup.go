package peerpool

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"time"

	"github.com/peerpool/peerpool/internal/ascii"
	"github.com/peerpool/peerpool/internal/resolve"
	"golang.org/x/net/idna"
)

// lookInterval is how often a route asks the cache of names whether its address is still listed.
const lookInterval = time.Second

// epoch is when the process began to use this package. Points in time are stored as the time since epoch.
var epoch = time.Now()

// resolve looks up the addresses of the host that id names.
func (p *plan) resolve(ctx context.Context, id Identity) (listing, groundwork, error) {
	begun := time.Now()
	found, err := p.lookup(ctx, p.authority)
	if cause := canceledCause(ctx); err != nil && cause != nil {
		return listing{}, groundwork{}, cause
	}
	var work groundwork
	if err != nil || found.waited {
		work = groundwork{start: begun, resolve: time.Since(begun)}
	}
	if err != nil {
		return listing{}, work, newDialError(id, opResolve, &net.OpError{Op: "dial", Net: "tcp", Err: err})
	}
	return found, work, nil
}

// listing is the answer to a look-up of a host.
type listing struct {
	addrs     []netip.AddrPort
	version   uint64 // 0 for an IP address, which never changes
	number    uint64 // higher in a later answer, even if that has the same version; 0 if a WatchResolver reports changes
	lookAgain int64  // see route.lookAgain
	waited    bool   // the request waited for the resolver
	watched   bool   // a WatchResolver reports changes
}

// lookup returns the addresses of host:port. An IP address needs no look-up.
func (p *plan) lookup(ctx context.Context, addr string) (listing, error) {
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
	if r, watches := p.t.resolver().(WatchResolver); watches {
		return p.watched(ctx, r, host, uint16(port))
	}
	resolver, ttl := p.t.observed(p.t.resolver()), p.t.dnsRefresh()
	answer, err := p.t.core.names.Lookup(lookupContext(ctx), resolver, family(p.t.local(p.peer).Addr()), ascii.ToLower(host), ttl)
	if err != nil {
		return listing{}, err
	}
	found := listed(answer, uint16(port))
	found.lookAgain = int64(time.Since(epoch) + min(ttl, lookInterval))
	return found, nil
}

// listed returns what an answer says about a host and a port.
func listed(answer resolve.Answer, port uint16) listing {
	found := listing{version: answer.Version, number: answer.Number, waited: answer.Waited}
	for _, ip := range resolve.Order(answer.Addrs) {
		found.addrs = append(found.addrs, netip.AddrPortFrom(ip, port))
	}
	return found
}

// lastAnswer returns the latest answer about the host, however old. It asks no resolver.
func (p *plan) lastAnswer() listing {
	host, service, _ := net.SplitHostPort(p.authority)
	port, err := net.DefaultResolver.LookupPort(context.Background(), "tcp", service)
	if err != nil {
		return listing{}
	}
	return listed(p.t.core.names.Known(family(p.t.local(p.peer).Addr()), ascii.ToLower(host)), uint16(port))
}

// longestDNSRefresh is more than nine years. Its multiples, up to the 27th, do not overflow.
const longestDNSRefresh = math.MaxInt64 >> 5

func (t *Transport) dnsRefresh() time.Duration {
	if t.DNSRefresh <= 0 {
		return defaultDNSRefresh
	}
	return min(t.DNSRefresh, longestDNSRefresh)
}

// family returns the network, for a Resolver, of the addresses that a socket with the given local address can connect to.
func family(local netip.Addr) string {
	switch {
	case local.Is4() || local.Is4In6():
		return "ip4"
	case local.Is6() && !local.IsUnspecified():
		return "ip6"
	}
	return "ip"
}

// canonicalAddr returns the host:port of a URL. The host is in ASCII (RFC 5891). If the URL has no port, the port is that of
// the scheme.
func canonicalAddr(u *url.URL) (string, error) {
	host, err := asciiHost(u.Hostname())
	if err != nil {
		return "", fmt.Errorf("peerpool: host %q of the URL: %w", u.Hostname(), err)
	}
	if host == "" {
		host = "localhost" // as a net.Dialer takes it
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
