package peerpool

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"
)

// PeerOptions describes how the peer of some requests differs from the Transport's own settings. The zero value
// changes nothing. Pass PeerOptions to [NewPeer].
type PeerOptions struct {
	// Addr is the address to connect to: "ip:port", "host:port", or "unix:/path". If it is empty, the request's URL
	// gives the address. The Host header and the names used with TLS still come from the request.
	Addr string

	// ServerName is the name that is sent to the server with TLS (SNI) and verified in its certificate. If it is
	// empty, the host of the request's URL is used, or TLSClientConfig.ServerName.
	ServerName string

	// AlternativeName is a name that is accepted in the server's certificate in place of ServerName.
	AlternativeName string

	// SkipVerify, if true, accepts any certificate of the server. SkipHostnameVerify, if true, verifies the
	// certificate's chain but not its name.
	SkipVerify         bool
	SkipHostnameVerify bool

	// RootCAs replaces the Transport's trust roots. If it is nil, the Transport's roots are used.
	RootCAs *x509.CertPool

	// ClientCertificate is presented when the server asks for a client certificate. If it is nil, the Transport
	// presents its own.
	ClientCertificate *tls.Certificate

	// Proxy is the URL of the proxy to use. Its scheme is http, https, socks5 or socks5h. If it is nil,
	// Transport.Proxy chooses the proxy.
	//
	// If Addr is a TCP address, the proxy connects to Addr. This holds for a proxy that Transport.Proxy chooses as
	// well. The Transport asks an HTTP proxy for a tunnel to Addr (CONNECT), even for http URLs, and a SOCKS proxy
	// for a connection to Addr. If Addr is a Unix socket, Transport.Proxy is not called, and NewPeer returns an error
	// if Proxy is set.
	Proxy *url.URL

	// NoProxy, if true, connects to the peer without a proxy. Transport.Proxy is then not called.
	NoProxy bool

	// LocalAddr is the local IP address to connect from. If it is the zero Addr, the operating system chooses the
	// address. The Transport's dial functions do not receive LocalAddr, so a request fails if both are set.
	LocalAddr netip.Addr

	// Group separates the connections of some requests, for example those of one tenant or user, from the connections
	// of all other requests that are otherwise equal. Group appears in logs: do not put a secret into it. NewPeer
	// returns an error if it contains control characters, line ends included, or invalid UTF-8.
	Group string

	// Protocols is the set of HTTP versions to speak: see Transport.Protocols. If it is nil, the Transport's setting
	// applies. The set must not be empty.
	Protocols *http.Protocols

	// IdleTimeout is how long a connection may stay idle in the pool. If it is nil, Transport.IdleConnTimeout
	// applies. If it is zero, connections to this peer are never pooled: each is closed when its response ends.
	IdleTimeout *time.Duration

	// These are time limits of connections and requests to this peer. Nil means the Transport's: Dialer.Timeout,
	// TLSHandshakeTimeout, DialTimeout, ResponseHeaderTimeout, BodyReadTimeout and BodyWriteTimeout. Zero means no limit,
	// except that a dial never takes longer than two minutes unless DialTimeout says so.
	//
	// ConnectTimeout bounds the time until a socket is connected to the server or to the proxy. If the Transport has a
	// DialContext, its context ends then. DialTLSContext, Dial and DialTLS do not see it.
	ConnectTimeout        *time.Duration
	TLSHandshakeTimeout   *time.Duration
	DialTimeout           *time.Duration
	ResponseHeaderTimeout *time.Duration
	BodyReadTimeout       *time.Duration
	BodyWriteTimeout      *time.Duration

	// MinIdleConns is how many idle connections the Transport keeps ready for this peer: see
	// Transport.MinIdleConnsPerHost, which applies if it is zero. It must not be greater than MaxConns.
	MinIdleConns int

	// MaxConnReuse, MaxConnLifetime and MaxConns replace Transport.MaxConnReuse, Transport.MaxConnLifetime and
	// Transport.MaxConnsPerHost. If one is zero, the Transport's value applies.
	MaxConnReuse    int
	MaxConnLifetime time.Duration
	MaxConns        int
}

// Peer is a checked, immutable set of [PeerOptions]. Any number of requests and Transports may use it concurrently.
// Create one Peer for each peer and reuse it. Requests whose Peers were made from the same options share connections,
// but the Transport has to find a route for each Peer separately.
type Peer struct {
	opts    PeerOptions
	network string      // network of opts.Addr: "", "tcp" or "unix"
	addr    string      // opts.Addr without "unix:"
	limits  *timeLimits // nil if the Transport's limits apply to exchanges
}

// NewPeer checks opts and returns a Peer with these options. If an option is wrong, the error names its field.
// NewPeer copies the values that opts points to, as far as they can be copied.
func NewPeer(opts PeerOptions) (*Peer, error) {
	p := &Peer{opts: opts}
	if err := errors.Join(
		p.parseAddr(),
		checkName("ServerName", opts.ServerName),
		checkName("AlternativeName", opts.AlternativeName),
		opts.checkVerification(),
		opts.checkCertificate(),
		opts.checkProxy(),
		opts.checkLimits(),
		opts.checkTimeLimits(),
		checkGroup(opts.Group),
	); err != nil {
		return nil, err
	}
	if opts.RootCAs != nil {
		p.opts.RootCAs = opts.RootCAs.Clone()
	}
	if opts.ClientCertificate != nil {
		p.opts.ClientCertificate = cloneCertificate(opts.ClientCertificate)
	}
	if opts.Proxy != nil {
		p.opts.Proxy = cloneURL(opts.Proxy)
	}
	if opts.IdleTimeout != nil {
		d := *opts.IdleTimeout
		p.opts.IdleTimeout = &d
	}
	p.opts.ownTimeLimits()
	p.limits = newTimeLimits(&p.opts)
	if opts.Protocols != nil {
		protocols := *opts.Protocols
		p.opts.Protocols = &protocols
	}
	return p, nil
}

func optionError(field, format string, args ...any) error {
	return fmt.Errorf("peerpool: PeerOptions.%s: %s", field, fmt.Sprintf(format, args...))
}

func (p *Peer) parseAddr() error {
	addr := p.opts.Addr
	if addr == "" {
		return nil
	}
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		if path == "" || strings.ContainsRune(path, 0) {
			return optionError("Addr", "%q has no path of a socket", addr)
		}
		if p.opts.Proxy != nil {
			return optionError("Addr", "a Unix socket is not reached through a proxy")
		}
		if p.opts.LocalAddr.IsValid() {
			return optionError("LocalAddr", "has no effect on a Unix socket")
		}
		p.network, p.addr = "unix", path
		return nil
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return optionError("Addr", "%q is neither host:port nor unix:/path", addr)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return optionError("Addr", "%q has no port between 1 and 65535", addr)
	}
	if _, err := netip.ParseAddr(host); err != nil && !validHost(host) {
		return optionError("Addr", "%q has no valid host", addr)
	}
	p.network, p.addr = "tcp", addr
	return nil
}

// validHost reports whether host can be a host name. An internationalized name must be in ASCII (RFC 5891).
func validHost(host string) bool {
	return host != "" && !strings.ContainsAny(host, ":/@[]%?# \t") && httpguts.ValidHostHeader(host)
}

func checkName(field, name string) error {
	if name != "" && !validHost(name) && net.ParseIP(name) == nil {
		return optionError(field, "%q is neither a host name nor an IP address", name)
	}
	return nil
}

func (o *PeerOptions) checkVerification() error {
	switch {
	case o.SkipVerify && o.RootCAs != nil:
		return optionError("SkipVerify", "contradicts RootCAs, which would never be used")
	case o.SkipVerify && o.AlternativeName != "":
		return optionError("SkipVerify", "contradicts AlternativeName, which would never be used")
	case o.SkipHostnameVerify && o.AlternativeName != "":
		return optionError("SkipHostnameVerify", "contradicts AlternativeName, which would never be used")
	}
	return nil
}

func (o *PeerOptions) checkCertificate() error {
	cert := o.ClientCertificate
	if cert == nil {
		return nil
	}
	if len(cert.Certificate) == 0 {
		return optionError("ClientCertificate", "holds no certificate")
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		return optionError("ClientCertificate", "%v", err)
	}
	if cert.PrivateKey == nil {
		return optionError("ClientCertificate", "has no private key")
	}
	if signer, ok := cert.PrivateKey.(crypto.Signer); ok {
		public, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
		if ok && !public.Equal(signer.Public()) {
			return optionError("ClientCertificate", "its private key belongs to another certificate")
		}
	}
	return nil
}

func (o *PeerOptions) checkProxy() error {
	if o.Proxy == nil {
		return nil
	}
	if o.NoProxy {
		return optionError("NoProxy", "contradicts Proxy")
	}
	if err := checkProxyURL(o.Proxy); err != nil {
		return optionError("Proxy", "%v", err)
	}
	return nil
}

// checkProxyURL returns an error if we do not speak to such a proxy. The error shows no credentials.
func checkProxyURL(u *url.URL) error {
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
	default:
		return fmt.Errorf("unsupported proxy scheme %q: want http, https, socks5 or socks5h", u.Scheme)
	}
	if u.Hostname() == "" {
		return errors.New("the proxy's URL has no host")
	}
	return nil
}

// checkGroup refuses characters that could forge lines where the group is shown.
func checkGroup(group string) error {
	if !utf8.ValidString(group) {
		return optionError("Group", "is not valid UTF-8")
	}
	for _, r := range group {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return optionError("Group", "holds the control character %U", r)
		}
	}
	return nil
}

func (o *PeerOptions) checkLimits() error {
	switch {
	case o.IdleTimeout != nil && *o.IdleTimeout < 0:
		return optionError("IdleTimeout", "%v is negative", *o.IdleTimeout)
	case o.MaxConnLifetime < 0:
		return optionError("MaxConnLifetime", "%v is negative", o.MaxConnLifetime)
	case o.MaxConnReuse < 0:
		return optionError("MaxConnReuse", "%d is negative", o.MaxConnReuse)
	case o.MaxConns < 0:
		return optionError("MaxConns", "%d is negative", o.MaxConns)
	case o.MinIdleConns < 0:
		return optionError("MinIdleConns", "%d is negative", o.MinIdleConns)
	case o.MaxConns > 0 && o.MinIdleConns > o.MaxConns:
		return optionError("MinIdleConns", "%d is greater than MaxConns, %d", o.MinIdleConns, o.MaxConns)
	case o.Protocols != nil && *o.Protocols == http.Protocols{}:
		return optionError("Protocols", "are empty")
	}
	return nil
}

// WithPeer returns a copy of ctx whose requests go to p. It takes precedence over [Transport.PeerFor]. If p is nil,
// it undoes an earlier WithPeer.
func WithPeer(ctx context.Context, p *Peer) context.Context {
	v := valuesOf(ctx)
	v.peer = p
	return context.WithValue(ctx, contextKey{}, v)
}

// contextValues holds what callers have put into a request's context for this package. It is one value, so that a request
// needs one look-up in its context.
type contextValues struct {
	peer   *Peer
	report *Report
}

type contextKey struct{}

func valuesOf(ctx context.Context) contextValues {
	v, _ := ctx.Value(contextKey{}).(contextValues)
	return v
}

// target returns the address that a URL leads to: the peer's if it has one, otherwise the host:port of the URL. It returns
// the peer's address even if there is something wrong with the URL.
func (p *Peer) target(u *url.URL) (network, addr string, err error) {
	addr, err = canonicalAddr(u)
	if p != nil && p.addr != "" {
		return p.network, p.addr, err
	}
	return "tcp", addr, err
}

func cloneURL(u *url.URL) *url.URL {
	c := *u
	return &c
}

// cloneCertificate copies everything except the private key, which cannot be copied.
func cloneCertificate(cert *tls.Certificate) *tls.Certificate {
	c := *cert
	c.Certificate = slices.Clone(c.Certificate)
	for i, der := range c.Certificate {
		c.Certificate[i] = bytes.Clone(der)
	}
	return &c
}

// secretDigest returns a digest of values that an identity must not hold in the clear.
func secretDigest(values any) [32]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%#v", values))
}
