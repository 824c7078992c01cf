package peerpool

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peerpool/peerpool/internal/exchange"
	"github.com/peerpool/peerpool/internal/resolve"
)

const (
	defaultMaxIdleConnsPerHost = 64
	defaultDNSRefresh          = 30 * time.Second
)

// Resolver looks up the IP addresses of a host. The network is "ip", "ip4" or "ip6". A *[net.Resolver] is a Resolver.
// A Resolver must be safe for concurrent use.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Transport is an [http.RoundTripper] that sends requests over pooled connections. The zero value is ready for use. A
// Transport is safe for concurrent use by multiple goroutines. Create few Transports and reuse them. Do not copy a
// Transport, and do not change its fields, after its first use.
//
// Fields that net/http's Transport also has mean the same here. Their comments describe the differences. net/http's
// Transport does not have the fields from RetryBudget on.
type Transport struct {
	// Proxy returns the proxy for a request. If Proxy is nil, or returns a nil URL, no proxy is used. The URL's
	// scheme may be http, https, socks5 or socks5h. Both kinds of SOCKS proxy resolve names themselves.
	Proxy func(*http.Request) (*url.URL, error)

	// OnProxyConnectResponse is called with the proxy's response to a CONNECT request. If it returns an error, the
	// dial fails with that error.
	OnProxyConnectResponse func(ctx context.Context, proxyURL *url.URL, connectReq *http.Request, connectRes *http.Response) error

	// DialContext and DialTLSContext, and their older forms Dial and DialTLS, open connections in place of the Transport.
	// The function then resolves names itself, and the identity holds the name instead of an address: Resolver and
	// DNSRefresh have no effect, and a request whose PeerOptions have a LocalAddr fails. To change only the settings of
	// sockets, set Dialer instead, which has none of these effects. The context carries the values of the request that asked
	// for the dial, but is not canceled when that request ends. The probe of a TLS connection sets its read deadline, so a
	// read deadline that the function has set lasts only until the end of the first request.
	//
	// If a connection from DialTLSContext or DialTLS has the ConnectionState method of [tls.Conn], the connection speaks the
	// protocol that this method names. If it also has the HandshakeContext method, that method is called first.
	DialContext    func(ctx context.Context, network, addr string) (net.Conn, error)
	DialTLSContext func(ctx context.Context, network, addr string) (net.Conn, error)

	// Dial is used if DialContext is nil.
	//
	// Deprecated: use DialContext, which gets a context, as with net/http's Transport.
	Dial func(network, addr string) (net.Conn, error)

	// DialTLS is used if DialTLSContext is nil.
	//
	// Deprecated: use DialTLSContext, which gets a context, as with net/http's Transport.
	DialTLS func(network, addr string) (net.Conn, error)

	// TLSClientConfig is the TLS configuration. If it is nil, the default configuration is used. The Transport copies
	// it when it first dials a peer. If DialTLSContext or DialTLS is set and the Transport is to speak HTTP/2, the
	// first request adds the protocol to its NextProtos; otherwise the Transport never writes to it. Each identity
	// has TLS sessions of its own. They are kept in ClientSessionCache if that is set.
	TLSClientConfig *tls.Config

	// TLSHandshakeTimeout limits the duration of a TLS handshake. Zero means that only the limit of two minutes on a
	// whole dial applies.
	TLSHandshakeTimeout time.Duration

	// DisableKeepAlives, if true, closes every connection after one request and tells the server so.
	DisableKeepAlives bool

	// DisableCompression, if true, keeps the Transport from asking for gzip. Otherwise the Transport asks for gzip
	// and decodes the response, unless the request asks for gzip itself.
	DisableCompression bool

	// MaxIdleConns limits the number of idle connections in the whole pool. When the limit is exceeded, the pool
	// closes the connection that has been idle longest. Zero means no limit.
	MaxIdleConns int

	// MaxIdleConnsPerHost limits the number of idle connections of one identity, or of one host if the host has
	// several addresses. Zero means 64 (in net/http: 2) or, with a Balance, two for each address of the host with the
	// most addresses, if that is more. If it is negative, no idle connection is kept.
	MaxIdleConnsPerHost int

	// MaxConnsPerHost limits the number of connections of one identity, or of one host if the host has several
	// addresses. Connections that are being dialed count. Requests beyond the limit wait in the order in which they
	// came. Zero means no limit.
	MaxConnsPerHost int

	// IdleConnTimeout is how long a connection may stay idle before the pool closes it. Zero means no limit. If the
	// server sends a shorter time in a Keep-Alive header, that time applies. A connection that was opened for a request
	// that did not need it, and that no request has used, stays idle for at most 4 seconds.
	IdleConnTimeout time.Duration

	// ResponseHeaderTimeout limits the time from the end of the request to the head of its response. Zero means no
	// limit.
	ResponseHeaderTimeout time.Duration

	// ExpectContinueTimeout is how long a request with "Expect: 100-continue" waits for the server's answer before it
	// sends its body anyway. Zero means that it does not wait.
	ExpectContinueTimeout time.Duration

	// TLSNextProto holds a function for each protocol that TLS may negotiate (ALPN). When TLS has negotiated such a
	// protocol, the [http.RoundTripper] that the function returns owns the connection and serves the requests on it.
	// A map that is not nil turns the Transport's own HTTP/2 off, unless Protocols enables it.
	TLSNextProto map[string]func(authority string, c *tls.Conn) http.RoundTripper

	// ProxyConnectHeader is sent with CONNECT requests. If GetProxyConnectHeader is set, the Transport uses the
	// header that it returns instead. The Transport calls it for every request, because the header is part of the
	// identity.
	ProxyConnectHeader    http.Header
	GetProxyConnectHeader func(ctx context.Context, proxyURL *url.URL, target string) (http.Header, error)

	// MaxResponseHeaderBytes limits the size in bytes of the heads of a response, and of its trailer. Zero means 10
	// MiB.
	MaxResponseHeaderBytes int64

	// WriteBufferSize and ReadBufferSize are the sizes in bytes of the buffers that a request uses while it is under
	// way. Zero means 4 KiB, and more than 16 MiB means 16 MiB.
	WriteBufferSize int
	ReadBufferSize  int

	// ForceAttemptHTTP2, if true, offers HTTP/2 to servers with TLS even if TLSClientConfig or a dial function is
	// set. Otherwise the Transport does not offer HTTP/2 if one of these is set. Protocols takes precedence over
	// ForceAttemptHTTP2.
	ForceAttemptHTTP2 bool

	// HTTP2 holds the settings for HTTP/2. Zero means something else than in net/http for two of them.
	//
	// SendPingTimeout is the time after which the Transport pings a connection that has requests under way and on
	// which nothing has arrived. It is also the time after which the Transport pings a quiet connection before it
	// reuses it; the request waits up to 2 seconds for the answer. Zero means 15 seconds. If it is negative, the
	// Transport never sends a ping.
	//
	// PingTimeout is how long the answer to a ping may take. After that, the Transport gives the connection up. Zero
	// means 15 seconds.
	//
	// By default, gRPC servers tolerate only so many PING frames. The Transport sends an empty SETTINGS frame, which
	// a server must acknowledge as well (RFC 9113, section 6.5.3), in place of a PING that would exceed that number.
	HTTP2 *http.HTTP2Config

	// Protocols is the set of HTTP versions that the Transport speaks. Nil means HTTP/1, and also HTTP/2 with TLS
	// unless one of the fields above rules it out. The Transport speaks HTTP/2 without TLS if UnencryptedHTTP2 is set
	// and HTTP1 is not. The caller must then know that the server speaks it.
	Protocols *http.Protocols

	// RetryBudget limits the retries of requests that a server may have processed already, to that share of the requests of
	// the last 10 seconds: with 0.2, one retry for five requests. Ten such retries in that time are always allowed. A
	// request beyond the budget fails with the error of its last attempt. So a server in trouble does not get much more load
	// than it has.
	//
	// Retries of requests that the server certainly did not process do not count. Retries also do not count if the
	// connection broke within a second after it had been idle, as all connections to a server do when the server restarts.
	// Zero means no limit.
	RetryBudget float64

	// DialTimeout limits the time until a new connection is ready for a request: the connect, the proxy, and the TLS
	// handshake together. Looking up the name does not count. Zero means two minutes. RoundTrip then returns
	// [ErrDialTimeout].
	DialTimeout time.Duration

	// BodyReadTimeout limits the time that a Read of a response's body waits for the server to send more. The Read then
	// returns [ErrBodyReadTimeout]. The time between two Reads does not count. Zero means no limit.
	BodyReadTimeout time.Duration

	// BodyWriteTimeout limits the time that the server, or what lies between, may accept nothing more of a request's body.
	// RoundTrip then returns [ErrBodyWriteTimeout]. Two times do not count: the time that the body's own Read takes, and the
	// wait for the answer to "Expect: 100-continue". Zero means no limit.
	//
	// If a response has arrived before the body is sent, the response can still be read. The request is never sent again,
	// and its connection, or its HTTP/2 stream, is not used again. The same holds for the other time limits.
	BodyWriteTimeout time.Duration

	// MinIdleConnsPerHost is how many idle connections the Transport keeps ready to each host that is in use, so that a
	// request finds one that is open. Whenever a host has fewer, because requests use them or because the server or a
	// limit has closed one, the Transport opens more in the background. Zero means none.
	//
	// If an HTTP/2 connection has room for more requests, each place counts as an idle connection, so that one connection
	// usually is enough. A host with several addresses, and each Group of a peer, counts as a host.
	//
	// The Transport stays within MaxConnsPerHost, MaxIdleConns and MaxIdleConnsPerHost. MaxIdleConnsPerHost should be
	// larger by the number of requests that are under way at a time. Otherwise the connections of these requests find
	// no room when they come back, and are closed.
	//
	// The Transport pauses if a connection cannot be opened, or if the server closes one within a minute that no
	// request has used: for a second at first, and for up to a minute after more failures. A host is in use from the
	// first request that gets a connection, or the first call of [Transport.Warm] that succeeds, until an hour after
	// the last, or until CloseIdleConnections or Shutdown is called. The Transport keeps no connection ready to a peer
	// whose connections are not pooled, or serve only one request because GetClientCertificate uses the context of a
	// request.
	MinIdleConnsPerHost int

	// MaxConnReuse is how many times a connection may be reused: a connection carries at most MaxConnReuse+1
	// requests. Zero means no limit.
	MaxConnReuse int

	// MaxConnStreams is how many requests an HTTP/2 connection serves at the same time before the Transport opens
	// another one. If the server allows fewer, the server's limit applies. A lost packet delays all requests that
	// share a connection, so a lower value confines the delay to fewer requests. Zero means as many as the server
	// allows.
	MaxConnStreams int

	// MaxConnLifetime is the age after which a connection takes no new request. The Transport varies it by up to 10 %
	// in either direction, so that connections opened together do not end together. A connection in use is never cut.
	// Zero means no limit.
	MaxConnLifetime time.Duration

	// PeerFor returns how the peer of a request differs from the Transport's own settings. If PeerFor is nil, or
	// returns a nil *Peer, the Transport's settings apply unchanged. If it returns an error, the request fails.
	PeerFor func(*http.Request) (*Peer, error)

	// Dialer holds the settings of the sockets that the Transport opens itself, to servers and to proxies. The
	// Transport uses Timeout (zero means that only the limit of two minutes on a whole dial applies), KeepAlive and
	// KeepAliveConfig, Control and ControlContext, FallbackDelay (zero means 250 ms), LocalAddr, and what
	// SetMultipathTCP has set. It uses the Dialer's Resolver if the Resolver field below is nil.
	//
	// If LocalAddr is a TCP address, it is part of the identity, and it is not used for Unix sockets.
	// PeerOptions.LocalAddr takes precedence over it.
	//
	// If Dialer is nil, a connect may take 30 seconds, and keep-alive probes are sent every 30 seconds. The dial
	// functions above take precedence over Dialer. Do not change the Dialer after the first use of the Transport.
	Dialer *net.Dialer

	// Observer is told what happens in the Transport. If it is nil, nothing is reported. To use several Observers,
	// combine them with [MultiObserver].
	Observer *Observer

	// Resolver resolves names. If it is nil, the Transport uses the Dialer's Resolver, or [net.DefaultResolver] if
	// that is nil too.
	Resolver Resolver

	// DNSRefresh is how long the Transport uses an answer of the Resolver before it looks the name up again in the
	// background. Zero means 30 seconds. Connections to an address that is no longer listed get no new requests.
	// After three times DNSRefresh, or six times if answers list only some of the addresses, the idle ones are closed,
	// and the others when their requests end. While the Resolver fails, the Transport uses the last answer for up to 24
	// hours.
	DNSRefresh time.Duration

	// Balance says how the Transport spreads the requests to a host with several addresses over these addresses. The
	// zero value is [BalanceNone], which does not spread them.
	Balance Balance

	// Outliers says when the Transport leaves out an address of a host with several addresses because it fails. The zero
	// value leaves out addresses whose connects or requests fail three times in a row.
	Outliers Outliers

	// DisableQuarantine, if true, reuses the connections of a peer that has sent unexpected data like any others.
	// Otherwise each of these connections serves only one request until the peer has behaved for long enough: see
	// [Quarantine].
	DisableQuarantine bool

	// DisableLearning, if true, stops the Transport from learning the limits of its peers from the moments at which they
	// close connections. Otherwise a request that could not be sent again takes no connection that the peer is about to
	// close, and no connection serves more requests than the peer allows: see [LearnedLimits]. A Keep-Alive header
	// counts in both cases.
	DisableLearning bool

	network resolve.Connect // set only by tests; connects in place of the system to hosts with several addresses

	changed  atomic.Pointer[Limits] // set by SetLimits; if nil, the fields count
	changing coalescer              // runs applyLimits

	once     sync.Once
	core     *core     // made by once, and then never changed: see use
	announce sync.Once // calls announceHTTP2
	begun    sync.Once // done by the first request, before anything else is done for it

	// settings is held while the fields above are written or copied. A front writes them with its first request. No function
	// of the user is called while it is held.
	settings sync.Mutex
}

var _ http.RoundTripper = (*Transport)(nil)

// New returns a Transport for programs that have no settings of their own. It has these settings of
// [http.DefaultTransport]: it uses the proxy that the environment names, speaks HTTP/2 if a server offers it, and
// allows 30 seconds for a connect, 10 seconds for a TLS handshake, and one second for the answer to "Expect:
// 100-continue".
//
// New chooses the limits differently from [http.DefaultTransport]. The pool keeps at most 1000 idle connections, and
// at most 64 of one identity. A connection may be idle for 50 seconds, which is less than load balancers commonly
// allow. A connection takes new requests for 10 minutes, so that the Transport follows a service when its servers
// change.
//
// The caller may change the fields before the first use.
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

// CloseIdleConnections closes the connections that are idle. It does not interrupt connections in use: each of them
// is closed when its request ends, unless another request has been made since.
func (t *Transport) CloseIdleConnections() {
	c := t.use()
	c.pool.CloseIdle()
	c.lingering.stop()
	for _, alt := range c.alternates() {
		if a, ok := alt.(interface{ CloseIdleConnections() }); ok {
			a.CloseIdleConnections()
		}
	}
}

// Shutdown shuts the Transport down without interrupting requests that have a connection. It makes new requests fail
// with [ErrClosed], closes idle connections, and then waits until the requests under way have ended and their
// connections are closed. A request is under way if RoundTrip was called for it before Shutdown was called. This
// includes a request that still waits for an address or a connection, and one that is being sent again.
//
// If ctx ends first, Shutdown returns context.Cause(ctx). Requests that have no connection at that time, or that need
// another one, then fail with ErrClosed. Requests that have a connection go on. Shutdown is safe for concurrent use
// and may be called more than once.
func (t *Transport) Shutdown(ctx context.Context) error {
	c := t.use()
	c.inflight.Shut()
	c.pool.KeepNone()
	defer c.watches.shutdown()
	c.inflight.Emptied(ctx)
	err := c.pool.Shutdown(ctx)
	c.lingering.stop()
	return err
}

// DiscardConn prevents the connection of resp from being used again. Call it before the body is closed or read to its
// end. A response without a body has already given its connection back. DiscardConn does nothing to a response of
// another RoundTripper.
func DiscardConn(resp *http.Response) {
	if resp != nil && resp.Body != nil {
		exchange.Discard(resp.Body)
	}
}

// Discard does what [DiscardConn] does.
//
// Deprecated: use DiscardConn, whose name says what is discarded.
func Discard(resp *http.Response) { DiscardConn(resp) }
