package peerpool

import (
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/peerpool/peerpool/internal/http2"
	"golang.org/x/net/http/httpguts"
)

const protoHTTP2 = "h2" // as ALPN names it (RFC 9113 section 3.2)

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

// httpTwoDisabled heeds the switch that operators know from net/http.
func httpTwoDisabled() bool {
	return slices.Contains(strings.Split(os.Getenv("GODEBUG"), ","), "http2client=0")
}

// onlyHTTP1 is what a proxy is spoken to with, and what is left where HTTP/2 will not do.
func onlyHTTP1() (p http.Protocols) {
	p.SetHTTP1(true)
	return p
}

// priorKnowledge says that HTTP/2 is spoken without TLS and without asking (RFC 9113 section 3.3).
func priorKnowledge(p http.Protocols) bool { return p.UnencryptedHTTP2() && !p.HTTP1() }

// offer returns the protocols to offer in a TLS handshake: those of the configuration that are none of HTTP, and of
// HTTP what may be used.
func offer(configured []string, p http.Protocols) []string {
	offered := slices.DeleteFunc(slices.Clone(configured), func(proto string) bool {
		return proto == protoHTTP2 && !p.HTTP2() || proto == "http/1.1" && !p.HTTP1()
	})
	if !p.HTTP2() {
		return offered
	}
	if !slices.Contains(offered, protoHTTP2) {
		offered = append(offered, protoHTTP2)
	}
	if p.HTTP1() && !slices.Contains(offered, "http/1.1") {
		offered = append(offered, "http/1.1")
	}
	return offered
}

// requiresHTTP1 says that a request can only be sent over HTTP/1.1: a WebSocket begins with an upgrade, which HTTP/2
// does not have (RFC 9113 section 8.2.2).
func requiresHTTP1(req *http.Request) bool {
	return len(req.Header["Upgrade"]) > 0 &&
		strings.EqualFold(req.Header.Get("Upgrade"), "websocket") &&
		httpguts.HeaderValuesContainsToken(req.Header["Connection"], "upgrade")
}

// http2Config is what the Transport says about HTTP/2.
func (t *Transport) http2Config() http2.Config {
	return http2.Config{
		HTTP2:                  t.HTTP2,
		ResponseHeaderTimeout:  t.ResponseHeaderTimeout,
		ExpectContinueTimeout:  t.ExpectContinueTimeout,
		DisableCompression:     t.DisableCompression,
		MaxResponseHeaderBytes: t.MaxResponseHeaderBytes,
		MaxStreams:             t.MaxConnStreams,
	}
}
