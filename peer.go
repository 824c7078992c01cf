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

// PeerOptions say how the peer of some requests differs from what the Transport would do on its own. The
// zero value changes nothing. See [NewPeer].
type PeerOptions struct {
	// Addr is where to connect to: "ip:port", "host:port", or "unix:/path". Empty: where the request's
	// URL says. The Host field and the names used with TLS still come from the request.
	Addr string

	// ServerName is sent with TLS (SNI) and verified. Empty: the host of the request's URL, or
	// TLSClientConfig.ServerName.
	ServerName string

	// AlternativeName is accepted in the server's certificate in place of the ServerName.
	AlternativeName string

	// SkipVerify accepts any certificate. SkipHostnameVerify verifies the chain, but not the name.
	SkipVerify         bool
	SkipHostnameVerify bool

	// RootCAs replace the Transport's trust roots. Nil: those stay.
	RootCAs *x509.CertPool

	// ClientCertificate is presented when the server asks for one. Nil: what the Transport presents.
	ClientCertificate *tls.Certificate

	// Proxy is the proxy to go through: http, https, socks5 or socks5h. Nil: what Transport.Proxy says. A proxy, whoever
	// names it, and a TCP Addr go together: an HTTP proxy is asked for a tunnel to Addr (CONNECT) for http URLs too, a
	// SOCKS proxy for a connection to it. Transport.Proxy is not asked for a peer whose Addr is a Unix socket, and Proxy is
	// an error beside one.
	Proxy *url.URL

	// NoProxy goes to the peer without a proxy, whatever Transport.Proxy says, which is not asked.
	NoProxy bool

	// LocalAddr is the local IP address to connect from. The zero Addr: the system chooses. Dial functions of the
	// Transport would not know of it, so a request with both fails.
	LocalAddr netip.Addr

	// Group sets the connections of some requests apart from all others that are equal to them, for
	// example those of a tenant or of a user. It appears in logs: do not put a secret into it. Control characters, line
	// ends among them, and bytes that are not UTF-8 are refused.
	Group string

	// Protocols are the HTTP versions to speak, see Transport.Protocols. Nil: the Transport's. They must not be empty.
	Protocols *http.Protocols

	// IdleTimeout is how long a connection may idle in the pool. Nil: Transport.IdleConnTimeout. Zero:
	// connections of this peer are never pooled, but closed as their response ends.
	IdleTimeout *time.Duration

	// MaxConnReuse, MaxConnLifetime and MaxConns replace Transport.MaxConnReuse, MaxConnLifetime and
	// MaxConnsPerHost. Zero: those stay.
	MaxConnReuse    int
	MaxConnLifetime time.Duration
	MaxConns        int
}

// Peer is a checked, immutable set of [PeerOptions], safe for concurrent use by any number of requests and
// Transports. Make one per peer and keep it: requests with two Peers made of the same options share connections, but
// each Peer costs the finding of a route.
type Peer struct {
	opts    PeerOptions
	network string // of opts.Addr: "", "tcp" or "unix"
	addr    string // of opts.Addr, without "unix:"
}

// NewPeer checks opts and returns a Peer. The error names the field that is wrong. What opts point to is
// copied, as far as it can be.
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

// validHost accepts what can be a host name, internationalized ones in ASCII (RFC 5891).
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

// checkProxyURL accepts the proxies that we speak to. Its error shows no credentials.
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

// checkGroup refuses what could forge lines where a group is shown.
func checkGroup(group string) error {
	if !utf8.ValidString(group) {
		return optionError("Group", "is no valid UTF-8")
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
	case o.Protocols != nil && *o.Protocols == http.Protocols{}:
		return optionError("Protocols", "are empty")
	}
	return nil
}

// WithPeer returns a context whose requests go to p. It wins over [Transport.PeerFor]; a nil p undoes a
// WithPeer further out.
func WithPeer(ctx context.Context, p *Peer) context.Context {
	v := valuesOf(ctx)
	v.peer = p
	return context.WithValue(ctx, contextKey{}, v)
}

// contextValues are what callers have put into a request's context for this package. They are one value, so that a request
// looks for it once.
type contextValues struct {
	peer   *Peer
	report *Report
}

type contextKey struct{}

func valuesOf(ctx context.Context) contextValues {
	v, _ := ctx.Value(contextKey{}).(contextValues)
	return v
}

// peerOf returns the peer of a request, or nil for the Transport's own settings. given is that of its context.
func (t *Transport) peerOf(req *http.Request, given *Peer) (*Peer, error) {
	if given != nil || t.PeerFor == nil {
		return given, nil
	}
	return t.PeerFor(req)
}

// target returns where a URL leads: to the host:port that it names, or where the peer says. The address is the
// peer's even if there is something wrong with the URL.
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

// cloneCertificate copies all but the private key, which cannot be copied.
func cloneCertificate(cert *tls.Certificate) *tls.Certificate {
	c := *cert
	c.Certificate = slices.Clone(c.Certificate)
	for i, der := range c.Certificate {
		c.Certificate[i] = bytes.Clone(der)
	}
	return &c
}

// secretDigest stands for values that must not be kept in the clear in an identity.
func secretDigest(values any) [32]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%#v", values))
}
