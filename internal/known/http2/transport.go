// Package http2 has a RoundTripper that http.Client takes for one that heeds contexts.
//
// For the sake of RoundTrippers that were written before there were contexts, a Client with a Timeout starts a goroutine
// and a timer for each request, unless it knows the RoundTripper. Those that it knows are net/http's own, and, as its source
// says, whatever has the type "*http2.Transport", as that of golang.org/x/net/http2 has: "There's a very minor chance of a
// false positive with this. [...] the only problem would be some temporarily leaked goroutines if the transport didn't
// support contexts." The Transports behind this one do support contexts.
package http2

import "net/http"

// Transport is another RoundTripper by that name.
type Transport struct{ Base Base }

// Base is what can be behind a Transport. It must heed the contexts of requests.
type Base interface {
	http.RoundTripper
	CloseIdleConnections()
}

// RoundTrip is that of the Base.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	return t.Base.RoundTrip(req)
}

// CloseIdleConnections is that of the Base.
func (t *Transport) CloseIdleConnections() { t.Base.CloseIdleConnections() }
