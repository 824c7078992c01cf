package peerpool

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/peerpool/peerpool/internal/tlsid"
	"github.com/peerpool/peerpool/internal/tunnel"
)

// proxyChoice describes the proxy through which a request is to go.
type proxyChoice struct {
	url    *url.URL
	target string      // host:port that a tunnel would lead to: that of the request's URL, or of its Peer
	header http.Header // header of CONNECT, without the credentials in url
}

// proxyHop describes the proxy through which a route goes.
type proxyHop struct {
	proxyChoice
	addr   string      // host:port
	shown  string      // URL without credentials
	secret [32]byte    // digest of the credentials, the CONNECT headers, and the TLS settings
	tunnel string      // host:port that the tunnel leads to; "" if requests name their targets in full
	tls    *tls.Config // configuration for TLS to an https proxy; nil without TLS
	tlsID  tlsid.ID    // ID of tls
}

// proxyOf returns the proxy for a request, with the headers of CONNECT, or nil if there is no proxy.
func (t *Transport) proxyOf(req *http.Request, peer *Peer) (*proxyChoice, error) {
	u := peer.options().Proxy
	if u == nil && t.Proxy != nil && peer.mayUseProxy() {
		var err error
		if u, err = t.Proxy(req); err != nil {
			return nil, err
		}
	}
	if u == nil {
		return nil, nil
	}
	if err := checkProxyURL(u); err != nil {
		return nil, fmt.Errorf("peerpool: Proxy: %w", err)
	}
	_, target, err := peer.target(req.URL)
	if err != nil {
		return nil, err
	}
	via := &proxyChoice{url: u, target: target}
	if !via.socks() && !via.absoluteForm(req.URL.Scheme, peer.options()) {
		via.header, err = t.connectHeader(req.Context(), via)
	}
	return via, err
}

// mayUseProxy reports whether Transport.Proxy is to be called.
func (p *Peer) mayUseProxy() bool { return p == nil || p.network != "unix" && !p.opts.NoProxy }

func (t *Transport) connectHeader(ctx context.Context, via *proxyChoice) (http.Header, error) {
	header := t.ProxyConnectHeader
	if t.GetProxyConnectHeader != nil {
		var err error
		if header, err = t.GetProxyConnectHeader(ctx, via.url, via.target); err != nil {
			return nil, err
		}
	}
	if err := checkFields(header, "proxy header"); err != nil {
		return nil, err
	}
	return header.Clone(), nil
}

func (v *proxyChoice) socks() bool { return v.url.Scheme == "socks5" || v.url.Scheme == "socks5h" }

// key returns a key for the proxy in the table of routes. It holds credentials, so it must not leave the table.
func (v *proxyChoice) key() string {
	key := v.url.String()
	if len(v.header) > 0 {
		key += fmt.Sprintf(" %x", secretDigest(v.header))
	}
	return key
}

// absoluteForm reports whether requests name their target in full instead of going through a tunnel. A peer whose address is
// not that of the URL is always reached through a tunnel.
func (v *proxyChoice) absoluteForm(scheme string, peer *PeerOptions) bool {
	return scheme == "http" && !v.socks() && peer.Addr == ""
}

// hop returns the proxy of a destination, with what an identity and a dial need. It returns the zero proxyHop if there is no
// proxy.
func (t *Transport) hop(to destination) (proxyHop, error) {
	if to.via == nil {
		return proxyHop{}, nil
	}
	v := proxyHop{proxyChoice: *to.via}
	var err error
	if v.addr, err = canonicalAddr(v.url); err != nil {
		return proxyHop{}, err
	}
	v.shown = v.url.Scheme + "://" + v.addr
	if !v.absoluteForm(to.key.scheme, to.key.peer.options()) {
		v.tunnel = v.target
	}
	if v.url.Scheme == "https" && to.key.dialer != tlsDialer {
		host, err := asciiHost(v.url.Hostname())
		if err != nil {
			return proxyHop{}, err
		}
		v.tls = t.baseTLS(host)
		v.tls.NextProtos = offer(v.tls.NextProtos, onlyHTTP1())
		v.tlsID = tlsid.Of(v.tls, t.TLSClientConfig)
	}
	password, set := v.url.User.Password()
	v.secret = secretDigest([]any{v.tlsID, v.url.User.Username(), password, set, v.header})
	return v, nil
}

// authorization returns the credentials for Proxy-Authorization (RFC 9110 section 11.7.2), or "".
func (v *proxyChoice) authorization() string {
	if v.url.User == nil {
		return ""
	}
	password, _ := v.url.User.Password()
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(v.url.User.Username()+":"+password))
}

// requestHeader returns the header that is sent with each request that names its target in full.
func (v *proxyChoice) requestHeader() http.Header {
	if auth := v.authorization(); auth != "" {
		return http.Header{"Proxy-Authorization": {auth}}
	}
	return nil
}

// proxyError returns an error that says, as net/http does, that the proxy and not the target could not be reached.
func proxyError(err error) error {
	return &net.OpError{Op: "proxyconnect", Net: "tcp", Err: err}
}

// proxyTimeout limits the time of the exchange with a proxy, including TLS to the proxy.
const proxyTimeout = time.Minute

// open turns nc, a connection to the proxy, into a connection to the target.
func (v *proxyHop) open(ctx context.Context, r *route, nc net.Conn) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, proxyTimeout)
	defer cancel()
	if v.tls != nil {
		secured, err := r.handshake(ctx, nc, v.tls)
		if err != nil {
			return nil, proxyError(err)
		}
		nc = secured
	}
	switch {
	case v.tunnel == "":
		return nc, nil
	case v.socks():
		return nc, tunnel.Socks(ctx, nc, v.tunnel, v.url.User)
	}
	header := v.header.Clone()
	if auth := v.authorization(); auth != "" {
		if header == nil {
			header = make(http.Header)
		}
		header.Set("Proxy-Authorization", auth)
	}
	ask := tunnel.Request{Target: v.tunnel, Header: header, MaxHeadBytes: r.t.MaxResponseHeaderBytes}
	if hook := r.t.OnProxyConnectResponse; hook != nil {
		ask.OnResponse = func(resp *http.Response) error { return hook(ctx, v.url, resp.Request, resp) }
	}
	return nc, tunnel.Connect(ctx, nc, ask)
}
