package peerpool

import (
	"net/http"

	known "github.com/peerpool/peerpool/internal/known/http2"
)

// NewClient returns an http.Client that sends its requests through t. The caller may set the client's Timeout:
//
//	client := peerpool.NewClient(t)
//	client.Timeout = 30 * time.Second
//
// A request with a Timeout costs less with this client than with &http.Client{Transport: t}. The time-outs and their
// errors are the same. &http.Client{Transport: t} is always correct, only slower.
//
// An http.Client with a Timeout starts a goroutine and a timer for each request, unless it knows that its Transport obeys
// contexts. It knows this of net/http's own Transport, and of any type that is named *http2.Transport, on which
// golang.org/x/net/http2 relies. The Transport of the client that NewClient returns is an unexported type of that name,
// which wraps t. Do not inspect client.Transport: keep t instead. If a Go release lets http.Client recognize such a
// Transport in another way, NewClient will change with it.
func NewClient(t *Transport) *http.Client {
	return &http.Client{Transport: &known.Transport{Base: t}}
}
