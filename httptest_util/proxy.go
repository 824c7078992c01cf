package httptestutil

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"testing"
	"time"
)

// ProxyOptions describes how a [Proxy] listens, which clients it serves, and
// how it connects to targets. The zero value describes a proxy that listens
// on 127.0.0.1 and serves all clients.
type ProxyOptions struct {
	// Network is "tcp4", "tcp6" or "unix". "" means "tcp4".
	Network string
	// Listener, if set, is used in place of a new listener, and is closed at
	// the end of the test.
	Listener net.Listener

	// If CA or TLS is set, an HTTP proxy speaks TLS with its clients: see
	// [OriginOptions].
	CA  *CA
	TLS *tls.Config

	// Username and Password are the credentials that a client must send. The
	// proxy refuses requests without them. If Username is empty, the proxy
	// accepts any credentials, and requests without credentials.
	Username, Password string

	// Dial connects to a target. It must return when its context is done. If
	// it is nil, the proxy uses a net.Dialer. [Origin.Dial] connects every
	// name to one origin.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// ProxyRequest describes one request that a [Proxy] received.
type ProxyRequest struct {
	Conn     int         // number of the client's connection, from 1
	Method   string      // "GET"; "CONNECT" for every tunnel, including SOCKS5
	Target   string      // "host:port" of a tunnel, otherwise the absolute URL
	ByName   bool        // the target's host is a name, not an IP address
	Header   http.Header // the request's header; nil for SOCKS5
	Username string      // the credentials in the request
	Password string
	ClientCN string // common name of the certificate shown to the proxy
	Granted  bool   // the proxy reached the target and gave a tunnel or an answer
}

// Proxy is a proxy server on loopback. It records the requests that it
// receives, carries connections, and misbehaves when told to. It is safe for
// concurrent use.
type Proxy struct {
	t      testing.TB
	opts   ProxyOptions
	scheme string
	serve  func(*Proxy, *proxyConn)
	ln     net.Listener
	tls    *tls.Config
	ca     *CA
	tr     *tracker
	ctx    context.Context // done when the proxy is closed
	cancel context.CancelFunc
	wg     sync.WaitGroup // the accept loop and the connections

	// Guarded by tr.mu.
	fault *Fault
	asked []*ProxyRequest
}

// NewHTTPProxy starts an HTTP proxy. It is closed at the end of the test. The
// proxy answers CONNECT with a tunnel. It forwards requests in absolute-form
// over a connection that belongs to the client's connection, so that an
// [Origin] behind the proxy counts connections as it would without the proxy.
// The proxy holds the body of a forwarded request in memory.
func NewHTTPProxy(t testing.TB, opts ProxyOptions) *Proxy {
	t.Helper()
	scheme := "http"
	if opts.CA != nil || opts.TLS != nil {
		scheme = "https"
	}
	return newProxy(t, opts, scheme, (*Proxy).serveHTTP)
}

// NewSOCKS5Proxy starts a SOCKS5 proxy (RFC 1928). It is closed at the end of
// the test. The proxy supports the command CONNECT and the methods "no
// authentication" and "username and password" (RFC 1929). It chooses the
// latter if the client offers it.
func NewSOCKS5Proxy(t testing.TB, opts ProxyOptions) *Proxy {
	t.Helper()
	if opts.CA != nil || opts.TLS != nil {
		t.Fatalf("httptestutil: a SOCKS5 proxy does not speak TLS")
	}
	return newProxy(t, opts, "socks5", (*Proxy).serveSOCKS5)
}

func newProxy(t testing.TB, opts ProxyOptions, scheme string, serve func(*Proxy, *proxyConn)) *Proxy {
	t.Helper()
	p := &Proxy{t: t, opts: opts, scheme: scheme, serve: serve, tr: newTracker()}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	if p.opts.Dial == nil {
		p.opts.Dial = new(net.Dialer).DialContext
	}
	p.tls, p.ca = serverTLS(t, opts.CA, opts.TLS)
	ln := opts.Listener
	if ln == nil {
		ln = listen(t, cmp.Or(opts.Network, "tcp4"))
	}
	p.ln = p.tr.listen(ln)
	p.wg.Go(p.accept)
	t.Cleanup(p.Close)
	return p
}

// accept accepts connections until the listener is closed.
func (p *Proxy) accept() {
	for {
		nc, err := p.ln.Accept()
		if err != nil {
			return
		}
		c := &proxyConn{raw: nc.(*trackedConn), nc: nc}
		if p.tls != nil {
			c.nc = tls.Server(nc, p.tls)
		}
		c.br = bufio.NewReader(c.nc)
		p.wg.Go(func() {
			defer c.nc.Close()
			if f := p.currentFault(); f != nil && f.Early {
				p.misbehave(c, *f)
				return
			}
			p.serve(p, c)
		})
	}
}

// URL returns the proxy's URL with the credentials that the proxy requires.
func (p *Proxy) URL() *url.URL {
	if p.opts.Username == "" {
		return &url.URL{Scheme: p.scheme, Host: p.Addr()}
	}
	return p.URLAs(p.opts.Username, p.opts.Password)
}

// URLAs returns the proxy's URL with the given credentials.
func (p *Proxy) URLAs(username, password string) *url.URL {
	return &url.URL{Scheme: p.scheme, Host: p.Addr(), User: url.UserPassword(username, password)}
}

// Addr returns the proxy's "ip:port", or the path of its socket.
func (p *Proxy) Addr() string { return p.ln.Addr().String() }

// CA returns the authority that the proxy was given or has created, or nil if
// there is none.
func (p *Proxy) CA() *CA { return p.ca }

// SetFault makes the proxy misbehave as f says, from the next request on. If
// f.Early is set, it starts with the next connection.
func (p *Proxy) SetFault(f Fault) { p.tr.update(func() { p.fault = &f }) }

// Heal makes the proxy behave well again.
func (p *Proxy) Heal() { p.tr.update(func() { p.fault = nil }) }

// Asked returns the requests that the proxy has received so far, in the order
// of their arrival, including those that it refused.
func (p *Proxy) Asked() []ProxyRequest {
	p.tr.mu.Lock()
	defer p.tr.mu.Unlock()
	asked := make([]ProxyRequest, len(p.asked))
	for i, req := range p.asked {
		asked[i] = *req
	}
	return asked
}

// Granted returns how many requests the proxy has granted so far.
func (p *Proxy) Granted() int {
	n := 0
	for _, req := range p.Asked() {
		if req.Granted {
			n++
		}
	}
	return n
}

// Conns returns how many connections have been accepted so far.
func (p *Proxy) Conns() int { return p.tr.acceptedConns() }

// OpenConns returns how many connections of clients are open, as the proxy
// sees it.
func (p *Proxy) OpenConns() int { return p.tr.openConns() }

// WaitOpenConns waits until exactly n connections of clients are open, and
// ends the test if that does not happen within Bound. Only the test's
// goroutine may call it.
func (p *Proxy) WaitOpenConns(n int) {
	p.t.Helper()
	p.tr.waitOpenConns(p.t, n)
}

// WaitAsked waits until the proxy has received at least n requests, and ends
// the test if that does not happen within Bound. Only the test's goroutine
// may call it.
func (p *Proxy) WaitAsked(n int) {
	p.t.Helper()
	p.tr.waitFor(p.t, fmt.Sprintf("asked %d times", n), func() bool { return len(p.asked) >= n })
}

// CloseConns closes every connection and its tunnel. The proxy continues to
// listen.
func (p *Proxy) CloseConns() { p.tr.closeConns() }

// Close closes the proxy and all connections that it carries. It is called at
// the end of the test. It may be called more than once.
func (p *Proxy) Close() {
	p.cancel()
	p.ln.Close()
	p.tr.shutDown()
	p.wg.Wait() // whatever runs ends with its connection or with p.ctx
}

// A proxyConn is a client's connection.
type proxyConn struct {
	raw *trackedConn
	nc  net.Conn // *tls.Conn, or raw
	br  *bufio.Reader
}

func (c *proxyConn) write(s string) bool {
	_, err := io.WriteString(c.nc, s)
	return err == nil
}

func (p *Proxy) currentFault() *Fault {
	p.tr.mu.Lock()
	defer p.tr.mu.Unlock()
	return p.fault
}

// record adds req to the requests that Asked returns, as a request on c.
func (p *Proxy) record(c *proxyConn, req *ProxyRequest) {
	req.Conn = c.raw.number
	host, _, err := net.SplitHostPort(req.Target)
	if u, urlErr := url.Parse(req.Target); err != nil && urlErr == nil {
		host = u.Hostname()
	}
	_, err = netip.ParseAddr(host)
	req.ByName = host != "" && err != nil
	if tc, ok := c.nc.(*tls.Conn); ok {
		if certs := tc.ConnectionState().PeerCertificates; len(certs) > 0 {
			req.ClientCN = certs[0].Subject.CommonName
		}
	}
	p.tr.update(func() { p.asked = append(p.asked, req) })
}

func (p *Proxy) grant(req *ProxyRequest) { p.tr.update(func() { req.Granted = true }) }

// misbehave writes the wrong answer. It reports whether the connection is
// used further, for a tunnel or for another request, as f.Then says.
func (p *Proxy) misbehave(c *proxyConn, f Fault) bool {
	if s := f.Answer + f.Extra; s != "" && !c.write(s) {
		return false
	}
	switch f.Then {
	case EndReset:
		c.raw.reset()
	case EndStall:
		timer := time.NewTimer(Bound)
		defer timer.Stop()
		select {
		case <-p.ctx.Done():
		case <-timer.C:
		}
	case EndKeep, EndTunnel:
		return true
	}
	return false
}

// dial connects to a target. The caller closes the connection when the
// client's connection is closed, or when p.ctx is done.
func (p *Proxy) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, Bound)
	defer cancel()
	return p.opts.Dial(ctx, network, addr)
}

// relay carries bytes between the client and its target until both have
// closed, or one has failed.
func (c *proxyConn) relay(upstream net.Conn) {
	defer upstream.Close()
	defer c.nc.Close()
	var up sync.WaitGroup
	up.Go(func() { pour(upstream, c.nc, c.br) })
	pour(c.nc, upstream, upstream)
	up.Wait()
}

// pour copies r, which reads from source, to sink. When source ends, pour
// closes sink for writing. After an error, it closes both.
func pour(sink, source net.Conn, r io.Reader) {
	_, err := io.Copy(sink, r)
	if err == nil {
		err = closeWrite(sink)
	}
	if err != nil {
		sink.Close()
		source.Close()
	}
}
