package peerpool

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/peerpool/peerpool/internal/exchange"
)

const (
	defaultMaxIdleConnsPerHost = 64
	defaultDNSRefresh          = 30 * time.Second
)

// Resolver looks up the addresses of a host; network is "ip", "ip4" or "ip6". *[net.Resolver] is one. It must
// be safe for concurrent use.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Transport is an [http.RoundTripper] over pooled connections. Its zero value is ready for use, and it is safe
// for concurrent use by any number of goroutines. Make few and keep them. It must not be copied after its
// first use, nor should its fields be changed then.
//
// The fields that net/http's Transport has too mean the same here; the comments below tell what differs. The
// others, from MaxConnReuse on, are ours.
type Transport struct {
	// Proxy returns the proxy for a request; nil: none. Besides http and https it may be a socks5 or
	// socks5h proxy, both of which resolve names themselves.
	Proxy func(*http.Request) (*url.URL, error)

	// OnProxyConnectResponse sees the response of a proxy to CONNECT; its error fails the dial.
	OnProxyConnectResponse func(ctx context.Context, proxyURL *url.URL, connectReq *http.Request, connectRes *http.Response) error

	// DialContext, DialTLSContext and their older forms Dial and DialTLS open connections in our place.
	// Names are then theirs to resolve, and the identity holds the name instead of an address: Resolver, DNSRefresh and
	// PeerOptions.LocalAddr have no effect. For settings of sockets alone there is Dialer, which costs nothing of that. The
	// context carries the values of the request that asked for the dial, but does not end with it. A read
	// deadline set on the connection does not outlive the first request over TLS: the probe uses it.
	//
	// A connection of DialTLSContext or DialTLS speaks the protocol that its method ConnectionState names, if it has
	// that method of [tls.Conn]. If it has the method HandshakeContext, too, that is called first.
	DialContext    func(ctx context.Context, network, addr string) (net.Conn, error)
	Dial           func(network, addr string) (net.Conn, error)
	DialTLSContext func(ctx context.Context, network, addr string) (net.Conn, error)
	DialTLS        func(network, addr string) (net.Conn, error)

	// TLSClientConfig is the TLS configuration; nil: the default one. A copy is taken when a peer is
	// first dialed. If DialTLSContext or DialTLS is set and HTTP/2 is to be spoken, the first request enters that into
	// its NextProtos; otherwise it is never written to. Each identity has TLS sessions of its own, kept in ClientSessionCache if that is set.
	TLSClientConfig *tls.Config

	// TLSHandshakeTimeout bounds a TLS handshake; 0: only the two minutes that a whole dial may take.
	TLSHandshakeTimeout time.Duration

	// DisableKeepAlives closes every connection after one request, and tells the server so.
	DisableKeepAlives bool

	// DisableCompression does not ask for gzip. Otherwise a response is decoded if the request did not
	// ask for gzip itself.
	DisableCompression bool

	// MaxIdleConns bounds the idle connections of the whole pool: the one that idled longest goes first;
	// 0: no limit.
	MaxIdleConns int

	// MaxIdleConnsPerHost bounds those of one identity, or of a host with several addresses; 0: 64 (net/http: 2); negative: none is kept.
	MaxIdleConnsPerHost int

	// MaxConnsPerHost bounds the connections of one identity, or of a host with several addresses, those being dialed
	// included; more requests wait in the order they came; 0: no limit.
	MaxConnsPerHost int

	// IdleConnTimeout is how long a connection may idle; 0: for ever. What the server says about that in
	// a Keep-Alive field is heeded if it is less.
	IdleConnTimeout time.Duration

	// ResponseHeaderTimeout bounds the time from the end of the request to the head of its response; 0: none.
	ResponseHeaderTimeout time.Duration

	// ExpectContinueTimeout is how long a request with "Expect: 100-continue" waits before it sends its
	// body unasked; 0: it does not wait.
	ExpectContinueTimeout time.Duration

	// TLSNextProto has connections on which TLS has agreed upon a protocol (ALPN) served by what the function
	// returns, which owns them then. A map that is not nil turns our HTTP/2 off, unless Protocols ask for it.
	TLSNextProto map[string]func(authority string, c *tls.Conn) http.RoundTripper

	// ProxyConnectHeader is sent with CONNECT; GetProxyConnectHeader, if set, is asked for it instead,
	// for every request, as its answer is part of the identity.
	ProxyConnectHeader    http.Header
	GetProxyConnectHeader func(ctx context.Context, proxyURL *url.URL, target string) (http.Header, error)

	// MaxResponseHeaderBytes bounds the heads of a response, and its trailer; 0: 10 MiB.
	MaxResponseHeaderBytes int64

	// WriteBufferSize and ReadBufferSize are the sizes in bytes of the buffers of a request under way; 0: 4 KiB.
	WriteBufferSize int
	ReadBufferSize  int

	// ForceAttemptHTTP2 offers HTTP/2 to servers with TLS although there is a TLSClientConfig or a dial function, in
	// whose presence it is otherwise not offered. Protocols goes before it.
	ForceAttemptHTTP2 bool

	// HTTP2 are the settings for HTTP/2. Two differ from net/http's in what zero means: SendPingTimeout is how long
	// nothing may come on a connection with requests under way before it is pinged, and how long a connection may be
	// quiet before it is pinged ahead of a reuse (for which a request waits up to 2 seconds); zero: 15 seconds,
	// negative: it is never pinged. PingTimeout is how long the answer may take before the connection is given up;
	// zero: 15 seconds. What of that would be more PINGs than servers of gRPC bear by default is an empty SETTINGS,
	// which a server must answer, too.
	HTTP2 *http.HTTP2Config

	// Protocols are the HTTP versions to speak; nil: HTTP/1, and HTTP/2 with TLS unless one of the fields above rules
	// it out. HTTP/2 without TLS, which a server must be known to speak, is used if UnencryptedHTTP2 is set and HTTP1
	// is not.
	Protocols *http.Protocols

	// MaxConnReuse is how many times a connection may be reused: it carries at most MaxConnReuse+1
	// requests. 0: no cap.
	MaxConnReuse int

	// MaxConnStreams is how many requests an HTTP/2 connection serves at a time before another one is opened, if the
	// server does not allow less: a lost packet stops all that share a connection. 0: as many as the server allows.
	MaxConnStreams int

	// MaxConnLifetime is the age after which a connection takes no new request, give or take 10 %, so
	// that connections made together do not end together. One in use is never cut. 0: no cap.
	MaxConnLifetime time.Duration

	// PeerFor says how the peer of a request differs from what the Transport would do; nil, or a nil
	// *Peer: not at all. An error fails the request.
	PeerFor func(*http.Request) (*Peer, error)

	// Dialer has the settings of the sockets that the Transport opens itself, be it to servers or to proxies: Timeout (zero:
	// only the two minutes that a whole dial may take), KeepAlive and KeepAliveConfig, Control and ControlContext,
	// FallbackDelay (zero: 250 ms), LocalAddr, and what its SetMultipathTCP says. Its Resolver counts if the field below is
	// nil. A TCP address as LocalAddr is in the identity, and is not used for Unix sockets; PeerOptions.LocalAddr goes
	// before it. Nil: 30 seconds to connect, and keep-alive probes every 30 seconds. The dial functions above go before
	// the Dialer. It must not be changed after the first use of the Transport.
	Dialer *net.Dialer

	// Observer is told what happens; nil: nobody is. Observers makes one of several.
	Observer *Observer

	// Resolver resolves names; nil: that of the Dialer, or else [net.DefaultResolver].
	Resolver Resolver

	// DNSRefresh is how long an answer of the Resolver is used before it is looked up again, in the
	// background; 0: 30 seconds. Connections to an address that is no longer listed get no new requests; they are
	// closed after they have idled for three times DNSRefresh. While the Resolver fails, the last answer is used for
	// up to 24 hours.
	DNSRefresh time.Duration

	// Balance says how the requests to a host with several addresses are spread over them; zero: not at all, see
	// [BalanceNone].
	Balance Balance

	// DisableQuarantine lets the connections of a peer that has sent unexpected data be reused like any other. Otherwise
	// they serve one request each, until the peer has behaved for long enough: see [Quarantine].
	DisableQuarantine bool

	once     sync.Once
	core     *core     // made by once, never reassigned: see runtime
	announce sync.Once // of announceHTTP2
	begun    sync.Once // the first request, before anything else is done for it

	// settings is held while the fields above are written, which a front does with the first request, and while they are
	// copied. Nothing of the user's is called under it.
	settings sync.Mutex
}

var _ http.RoundTripper = (*Transport)(nil)

// New returns a Transport for programs that have no settings of their own. It has what [http.DefaultTransport] has: the
// proxy that the environment names, HTTP/2 where a server offers it, 30 seconds to connect, 10 for a TLS handshake, and one
// for the answer to "Expect: 100-continue". Its limits are ours: at most 1000 idle connections, of which 64 to one
// identity; 50 seconds to idle, which is less than load balancers commonly allow; and an age of 10 minutes, so that
// connections follow a service whose servers change. The fields may be changed before the first use.
func New() *Transport {
	return &Transport{
		Proxy:                 http.ProxyFromEnvironment,
		ForceAttemptHTTP2:     true,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		MaxIdleConns:          1000,
		IdleConnTimeout:       50 * time.Second,
		MaxConnLifetime:       10 * time.Minute,
	}
}

// CloseIdleConnections closes the connections that idle. Those in use are closed as they come back, unless
// there was another request since.
func (t *Transport) CloseIdleConnections() {
	c := t.runtime()
	c.pool.CloseIdle()
	c.quarantine.stop()
	for _, alt := range c.alternates() {
		if a, ok := alt.(interface{ CloseIdleConnections() }); ok {
			a.CloseIdleConnections()
		}
	}
}

// Shutdown refuses new requests with [ErrClosed], closes idle connections, and waits until the requests under way have
// ended and their connections are closed. A request is under way if RoundTrip was called for it before Shutdown was:
// also if it still waits for an address or a connection, or is sent again.
//
// If ctx ends first, Shutdown returns its cause. Requests that have no connection by then, or need another one, fail
// with ErrClosed. Those that have one go on. Shutdown is safe for concurrent use, and may be called more than once.
func (t *Transport) Shutdown(ctx context.Context) error {
	c := t.runtime()
	c.inflight.Shut()
	c.pool.KeepNone()
	c.inflight.Emptied(ctx)
	err := c.pool.Shutdown(ctx)
	c.quarantine.stop()
	return err
}

// Discard sees to it that the connection of resp is not used again. Call it before the body is closed or read
// to its end; a response without a body has given its connection back already. It does nothing to the
// response of another RoundTripper.
func Discard(resp *http.Response) {
	if resp != nil && resp.Body != nil {
		exchange.Discard(resp.Body)
	}
}
