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

// proxyChoice is the proxy that a request is to go through.
type proxyChoice struct {
	url    *url.URL
	target string      // host:port of a tunnel: of the request's URL, or of its Peer
	header http.Header // of CONNECT, without the credentials in url
}

// proxyHop is the proxy that a route goes through.
type proxyHop struct {
	proxyChoice
	addr   string      // host:port
	shown  string      // URL without credentials
	secret [32]byte    // digest of the credentials, the CONNECT headers, and the TLS settings
	tunnel string      // host:port that a tunnel leads to; "": requests name their targets in full
	tls    *tls.Config // towards an https proxy; nil: none
	tlsID  tlsid.ID    // of tls
}

// proxyOf returns the proxy for a request, and the headers for it; nil: none.
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

// mayUseProxy says that Transport.Proxy is to be asked.
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

// key tells proxies apart for the table of routes, which keeps it to itself.
func (v *proxyChoice) key() string {
	key := v.url.String()
	if len(v.header) > 0 {
		key += fmt.Sprintf(" %x", secretDigest(v.header))
	}
	return key
}

// absoluteForm says that requests name their target in full instead of going through a tunnel. A peer that
// connects elsewhere than the URL says is always reached through one.
func (v *proxyChoice) absoluteForm(scheme string, peer *PeerOptions) bool {
	return scheme == "http" && !v.socks() && peer.Addr == ""
}

// hop returns the proxy of a destination with what an identity and a dial need. It is zero if there is none.
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

// requestHeader is sent with each request that names its target in full.
func (v *proxyChoice) requestHeader() http.Header {
	if auth := v.authorization(); auth != "" {
		return http.Header{"Proxy-Authorization": {auth}}
	}
	return nil
}

// proxyError says that it was not the target that could not be reached, in net/http's words.
func proxyError(err error) error {
	return &net.OpError{Op: "proxyconnect", Net: "tcp", Err: err}
}

// proxyTimeout bounds the exchange with a proxy, TLS to it included.
const proxyTimeout = time.Minute

// open makes nc, a connection to the proxy, one to the target.
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
