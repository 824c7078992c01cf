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

// The names of HTTP in ALPN (RFC 7301 section 6, RFC 9113 section 3.2).
const (
	protoHTTP1 = "http/1.1"
	protoHTTP2 = "h2"
)

// protocols returns the HTTP versions that requests to a peer may use, by the rules of net/http: HTTP/2 goes without
// saying only where nothing about dialing and TLS has been said either.
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

// speaksHTTP2 decides for a Transport without Protocols.
func (t *Transport) speaksHTTP2() bool {
	if t.TLSNextProto != nil {
		return t.TLSNextProto[protoHTTP2] != nil
	}
	dials := t.Dial != nil || t.DialContext != nil || t.DialTLS != nil || t.DialTLSContext != nil
	return t.ForceAttemptHTTP2 || t.TLSClientConfig == nil && !dials
}

// httpTwoDisabled heeds the switch that operators know from net/http: http2client=0, in GODEBUG, in a //go:debug line, or in
// go.mod. Only net/http knows which of them counts, so it is asked whether it prepares a Transport for HTTP/2.
func httpTwoDisabled() bool {
	t := new(http.Transport)
	t.CloseIdleConnections()
	return t.TLSNextProto[protoHTTP2] == nil
}

// onlyHTTP1 is what a proxy is spoken to with, and what is left where HTTP/2 will not do.
func onlyHTTP1() (p http.Protocols) {
	p.SetHTTP1(true)
	return p
}

// errNoHTTP2 is what net/http says where HTTP/2 alone will do, and is turned off.
var errNoHTTP2 = errors.New("http: Transport does not support unencrypted HTTP/2")

// priorKnowledge says that HTTP/2 is spoken without TLS and without asking (RFC 9113 section 3.3).
func priorKnowledge(p http.Protocols) bool { return p.UnencryptedHTTP2() && !p.HTTP1() }

// offer returns the protocols to offer in a TLS handshake where configured are those of the configuration: as they are,
// unless HTTP/2 is spoken, without TLS or with it, or they name HTTP/2 in vain. Then those of HTTP are what may be used.
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

// offerTo returns the protocols to offer to the target of a destination, where p are those that may be used. If a
// function in TLSNextProto serves HTTP/2, the configuration of its caller holds.
func (t *Transport) offerTo(to destination, configured []string, p http.Protocols) []string {
	switch {
	case to.key.http1:
		return nil
	case to.key.peer.options().Protocols == nil && t.TLSNextProto[protoHTTP2] != nil:
		return configured
	}
	return offer(configured, p)
}

// offering guards the configurations that announceHTTP2 writes to, which several Transports may have in common.
var offering sync.Mutex

// announceHTTP2 enters HTTP/2 into TLSClientConfig if it is to be spoken on connections from DialTLSContext or DialTLS. As
// these often make their handshakes with that configuration, and net/http enters it there, they would not offer it
// otherwise. It is called before the first dial.
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

// requiresHTTP1 says that a request can only be sent over HTTP/1.1: a WebSocket begins with an upgrade, which HTTP/2
// does not have (RFC 9113 section 8.2.2).
func requiresHTTP1(req *http.Request) bool {
	return len(req.Header["Upgrade"]) > 0 &&
		ascii.EqualFold(req.Header.Get("Upgrade"), "websocket") &&
		httpguts.HeaderValuesContainsToken(req.Header["Connection"], "upgrade")
}

// http2Config is what the Transport says about HTTP/2.
func (t *Transport) http2Config() http2.Config {
	return http2.Config{
		HTTP2:                  t.HTTP2,
		ExpectContinueTimeout:  t.ExpectContinueTimeout,
		DisableCompression:     t.DisableCompression,
		MaxResponseHeaderBytes: t.MaxResponseHeaderBytes,
		MaxStreams:             t.MaxConnStreams,
	}
}
