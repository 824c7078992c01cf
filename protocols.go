package peerpool

import (
	"crypto/tls"
	"errors"
	"net/http"
	"slices"
	"sync"

	"github.com/peerpool/peerpool/internal/ascii"
	"github.com/peerpool/peerpool/internal/http2"
	"golang.org/x/net/http/httpguts"
)

// These are the names of HTTP in ALPN (RFC 7301 section 6, RFC 9113 section 3.2).
const (
	protoHTTP1 = "http/1.1"
	protoHTTP2 = "h2"
)

// protocols returns the HTTP versions that requests to a peer may use, by the rules of net/http: without Protocols, HTTP/2
// is used by default only if the settings of dialing and TLS are the defaults too.
func (t *Transport) protocols(peer *PeerOptions) http.Protocols {
	var p http.Protocols
	switch {
	case peer.Protocols != nil:
		p = *peer.Protocols
	case t.Protocols != nil:
		p = *t.Protocols
	default:
		p.SetHTTP1(true)
		p.SetHTTP2(t.speaksHTTP2())
	}
	if p.HTTP2() && httpTwoDisabled() {
		p.SetHTTP2(false)
	}
	return p
}

// speaksHTTP2 reports whether a Transport without Protocols speaks HTTP/2.
func (t *Transport) speaksHTTP2() bool {
	if t.TLSNextProto != nil {
		return t.TLSNextProto[protoHTTP2] != nil
	}
	dials := t.Dial != nil || t.DialContext != nil || t.DialTLS != nil || t.DialTLSContext != nil
	return t.ForceAttemptHTTP2 || t.TLSClientConfig == nil && !dials
}

// httpTwoDisabled reports whether HTTP/2 is turned off by net/http's setting http2client=0, in GODEBUG, in a //go:debug
// line, or in go.mod. Only net/http knows which of them counts. So httpTwoDisabled checks whether net/http prepares a
// Transport for HTTP/2.
func httpTwoDisabled() bool {
	t := new(http.Transport)
	t.CloseIdleConnections()
	return t.TLSNextProto[protoHTTP2] == nil
}

// onlyHTTP1 returns the set that holds only HTTP/1. It applies to proxies, and to requests that cannot use HTTP/2.
func onlyHTTP1() (p http.Protocols) {
	p.SetHTTP1(true)
	return p
}

// errNoHTTP2 has the text of net/http's error for a request that can use only HTTP/2 while that is turned off.
var errNoHTTP2 = errors.New("http: Transport does not support unencrypted HTTP/2")

// priorKnowledge reports whether HTTP/2 is spoken without TLS and without negotiation (RFC 9113 section 3.3).
func priorKnowledge(p http.Protocols) bool { return p.UnencryptedHTTP2() && !p.HTTP1() }

// offer returns the protocols to offer in a TLS handshake. configured holds those of the TLS configuration, and p the HTTP
// versions that may be used. offer removes the names of HTTP versions that may not be used, except http/1.1 if HTTP/2 is not
// spoken, with or without TLS. If HTTP/2 is spoken, it adds the names that are missing.
func offer(configured []string, p http.Protocols) []string {
	speaksHTTP2 := p.HTTP2() || p.UnencryptedHTTP2()
	offered := slices.DeleteFunc(slices.Clone(configured), func(proto string) bool {
		return proto == protoHTTP2 && !p.HTTP2() || proto == protoHTTP1 && speaksHTTP2 && !p.HTTP1()
	})
	if p.HTTP2() && !slices.Contains(offered, protoHTTP2) {
		offered = append(offered, protoHTTP2)
	}
	if speaksHTTP2 && p.HTTP1() && !slices.Contains(offered, protoHTTP1) {
		offered = append(offered, protoHTTP1)
	}
	return offered
}

// offerTo returns the protocols to offer to the target of a destination. p holds the HTTP versions that may be used. If a
// function in TLSNextProto serves HTTP/2, the protocols of the TLS configuration are offered unchanged.
func (t *Transport) offerTo(to destination, configured []string, p http.Protocols) []string {
	switch {
	case to.key.http1:
		return nil
	case to.key.peer.options().Protocols == nil && t.TLSNextProto[protoHTTP2] != nil:
		return configured
	}
	return offer(configured, p)
}

// offering guards the configurations that announceHTTP2 writes to. Several Transports may share one.
var offering sync.Mutex

// announceHTTP2 adds HTTP/2 to the NextProtos of TLSClientConfig if HTTP/2 is to be spoken on connections from
// DialTLSContext or DialTLS. Dial functions often use that configuration for their handshakes, and rely on net/http to add
// HTTP/2 to it. Without the entry, they would not offer HTTP/2. announceHTTP2 is called before the first dial.
func (t *Transport) announceHTTP2() {
	if t.DialTLSContext == nil && t.DialTLS == nil || t.TLSNextProto[protoHTTP2] != nil {
		return
	}
	p := t.protocols(&noOptions)
	if !p.HTTP2() && !p.UnencryptedHTTP2() || httpTwoDisabled() {
		return
	}
	if t.TLSClientConfig == nil {
		t.TLSClientConfig = new(tls.Config)
	}
	offering.Lock()
	defer offering.Unlock()
	if offered := offer(t.TLSClientConfig.NextProtos, p); !slices.Equal(offered, t.TLSClientConfig.NextProtos) {
		t.TLSClientConfig.NextProtos = offered
	}
}

// requiresHTTP1 reports whether a request can be sent only over HTTP/1.1. A WebSocket begins with an upgrade, which HTTP/2
// does not have (RFC 9113 section 8.2.2).
func requiresHTTP1(req *http.Request) bool {
	return len(req.Header["Upgrade"]) > 0 &&
		ascii.EqualFold(req.Header.Get("Upgrade"), "websocket") &&
		httpguts.HeaderValuesContainsToken(req.Header["Connection"], "upgrade")
}

// http2Config returns the Transport's settings for HTTP/2.
func (t *Transport) http2Config() http2.Config {
	return http2.Config{
		HTTP2:                  t.HTTP2,
		ExpectContinueTimeout:  t.ExpectContinueTimeout,
		DisableCompression:     t.DisableCompression,
		MaxResponseHeaderBytes: t.MaxResponseHeaderBytes,
		MaxStreams:             t.MaxConnStreams,
	}
}
