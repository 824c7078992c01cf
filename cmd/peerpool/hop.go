package main

import (
	"context"
	"crypto/tls"
	"net/http/httptrace"
	"sync"
)

// hop is a step of a request. The report names the hop at which a request was given up.
type hop string

const (
	hopPool     hop = "pool"
	hopResolve  hop = "resolve"
	hopConnect  hop = "connect"
	hopProxy    hop = "proxy"
	hopTLS      hop = "tls"
	hopHTTP2    hop = "http2"
	hopRequest  hop = "request"
	hopResponse hop = "response"
	hopBody     hop = "body"
)

// hopMeanings says what a request that was given up at a hop was waiting for.
var hopMeanings = map[hop]string{
	hopPool:     "a connection that another request dials or uses",
	hopResolve:  "the look-up of the host",
	hopConnect:  "an address to accept the connection",
	hopProxy:    "the proxy to open the tunnel",
	hopTLS:      "the end of the TLS handshake",
	hopHTTP2:    "the first HTTP/2 frame of the server",
	hopRequest:  "the server to take the request",
	hopResponse: "the head of the response",
	hopBody:     "the rest of the body",
}

// whereabouts knows at which hop a request is. A nil *whereabouts knows nothing.
type whereabouts struct {
	proxied bool // a proxy stands between the socket and TLS

	mu   sync.Mutex // guards what follows; nothing is called under it
	at   hop
	held bool // the request has a connection, so its dial no longer counts
}

// follow returns a context whose request keeps w up to date.
func (w *whereabouts) follow(ctx context.Context) context.Context {
	w.at = hopPool
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:      func(string) { w.enter(hopPool, false) },
		DNSStart:     func(httptrace.DNSStartInfo) { w.dial(hopResolve) },
		DNSDone:      func(httptrace.DNSDoneInfo) { w.dial(hopPool) },
		ConnectStart: func(_, _ string) { w.dial(hopConnect) },
		ConnectDone: func(_, _ string, err error) {
			switch {
			case err != nil:
			case w.proxied:
				w.dial(hopProxy)
			default:
				w.dial(hopPool)
			}
		},
		TLSHandshakeStart: func() { w.dial(hopTLS) },
		TLSHandshakeDone: func(state tls.ConnectionState, _ error) {
			if state.NegotiatedProtocol == "h2" {
				w.dial(hopHTTP2)
			}
		},
		GotConn:      func(httptrace.GotConnInfo) { w.enter(hopRequest, true) },
		WroteRequest: func(httptrace.WroteRequestInfo) { w.enter(hopResponse, true) },
	})
}

// enter notes that the request itself is at a hop. A request that is sent again goes back to the pool.
func (w *whereabouts) enter(at hop, held bool) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at, w.held = at, held
}

// dial notes that the dial of the request is at a hop. It has no effect once the request has a connection.
func (w *whereabouts) dial(at hop) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.held {
		w.at = at
	}
}

// now returns the hop at which the request is, or "" if w is nil.
func (w *whereabouts) now() hop {
	if w == nil {
		return ""
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at
}
