package peerpool

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/peerpool/peerpool/internal/resolve"
)

// netDialer opens the sockets of a Transport without a Dialer.
var netDialer = net.Dialer{Timeout: dialTimeout, KeepAlive: tcpKeepAlive}

func cloneDialer(d *net.Dialer) *net.Dialer {
	if d == nil {
		return nil
	}
	c := *d
	return &c
}

// netDialer returns the settings of the sockets that the Transport opens itself.
func (t *Transport) netDialer() *net.Dialer {
	if t.Dialer != nil {
		return t.Dialer
	}
	return &netDialer
}

// resolver returns the Resolver that looks up names.
func (t *Transport) resolver() resolve.Resolver {
	switch {
	case t.Resolver != nil:
		return t.Resolver
	case t.Dialer != nil && t.Dialer.Resolver != nil:
		return t.Dialer.Resolver
	}
	return net.DefaultResolver
}

// boundTo returns the address to which the TCP sockets to a peer are bound if the Transport opens them. The address is not
// valid if the system chooses one, or if the network is not "tcp".
func (t *Transport) boundTo(network string, dialer dialerKind, peer *PeerOptions) (netip.AddrPort, error) {
	if dialer != ourDialer && peer.LocalAddr.IsValid() {
		return netip.AddrPort{}, optionError("LocalAddr", "has no effect on a Transport with dial functions of its own")
	}
	if dialer != ourDialer || network != "tcp" {
		return netip.AddrPort{}, nil
	}
	return t.local(peer), nil
}

// local returns the address to which TCP sockets to a peer are bound: that of the peer, otherwise that of the Dialer. It is
// not valid if the system chooses the address. If its port is zero, the system chooses the port.
func (t *Transport) local(peer *PeerOptions) netip.AddrPort {
	if own := peer.LocalAddr; own.IsValid() {
		return netip.AddrPortFrom(own, 0)
	}
	bound, ok := t.netDialer().LocalAddr.(*net.TCPAddr)
	if !ok || bound == nil {
		return netip.AddrPort{}
	}
	addr := bound.AddrPort()
	switch ip := addr.Addr().Unmap(); {
	case ip.IsValid() && !ip.IsUnspecified():
		return netip.AddrPortFrom(ip, addr.Port())
	case addr.Port() != 0:
		return netip.AddrPortFrom(netip.IPv6Unspecified(), addr.Port())
	}
	return netip.AddrPort{}
}

// localText returns the text of a local address in an identity.
func localText(local netip.AddrPort) string {
	switch {
	case !local.IsValid():
		return ""
	case local.Port() == 0:
		return local.Addr().String()
	}
	return local.String()
}

// tcpDialer returns the net.Dialer that opens TCP sockets.
func (p *plan) tcpDialer() *net.Dialer {
	d := p.withTimeout(p.t.netDialer())
	_, unix := d.LocalAddr.(*net.UnixAddr)
	own := p.peer.LocalAddr
	if !unix && !own.IsValid() {
		return d
	}
	c := *d
	c.LocalAddr = nil
	if own.IsValid() {
		c.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(own, 0))
	}
	return &c
}

// unixDialer returns the net.Dialer that opens Unix sockets. They cannot be bound to a TCP address.
func (p *plan) unixDialer() *net.Dialer {
	d := p.withTimeout(p.t.netDialer())
	if _, tcp := d.LocalAddr.(*net.TCPAddr); !tcp {
		return d
	}
	c := *d
	c.LocalAddr = nil
	return &c
}

// connect connects to an IP address.
func (p *plan) connect(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	if network := p.t.network; network != nil {
		return network(ctx, addr)
	}
	d := p.tcpDialer()
	limit, limited := limitConnect(ctx, d)
	if !limited {
		return d.DialContext(ctx, "tcp", addr.String())
	}
	nc, err := d.DialContext(limit, "tcp", addr.String())
	return nc, limit.explain(err)
}

// racing holds the settings of a race of the addresses of a host.
type racing struct {
	connect resolve.Connect
	timeout time.Duration // time limit of the race
	delay   time.Duration // the delay of resolve.Race
}

func (p *plan) racing() racing {
	return racing{connect: p.connect, timeout: p.connectTimeout(), delay: p.t.netDialer().FallbackDelay}
}

// errRaceTimeout is the cause of the end of a race that has reached its own time limit.
var errRaceTimeout = errors.New("peerpool: timeout connecting to the addresses of a host")

// run connects to one of addrs. A race and its first socket have the same time limit. Whichever of them notices first, the
// error is the one that package net has for a connect that takes too long.
func (r racing) run(ctx context.Context, addrs []netip.AddrPort) (net.Conn, netip.AddrPort, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, r.timeout, errRaceTimeout)
	defer cancel()
	nc, addr, err := resolve.Race(ctx, r.delay, addrs, r.connect)
	if err == errRaceTimeout {
		err = &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(addrs[0]), Err: errConnectTimeout()}
	}
	return nc, addr, err
}
