// Package http2 has a RoundTripper of which http.Client knows that it obeys contexts.
//
// RoundTrippers that were written before Go had contexts do not obey them. So a Client with a Timeout starts a goroutine
// and a timer for each request, unless it knows its RoundTripper. It knows net/http's own Transport, and any type that is
// named "*http2.Transport", as that of golang.org/x/net/http2 is. Its source says: "There's a very minor chance of a false
// positive with this. [...] the only problem would be some temporarily leaked goroutines if the transport didn't support
// contexts." The Transports behind this one do support contexts.
package http2

import "net/http"

// Transport is a RoundTripper with that type name. It passes requests on to its Base.
type Transport struct{ Base Base }

// Base is the RoundTripper behind a Transport. It must obey the contexts of requests.
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
