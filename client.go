package peerpool

import (
	"net/http"

	known "github.com/peerpool/peerpool/internal/known/http2"
)

// NewClient returns an http.Client whose requests are t's, and cost less where it has a Timeout, which the caller may set:
//
//	client := peerpool.NewClient(t)
//	client.Timeout = 30 * time.Second
//
// A Client with a Timeout starts a goroutine and a timer for each request, unless it knows that its Transport heeds
// contexts. It knows net/http's own, and any whose type is named *http2.Transport, which golang.org/x/net/http2 relies on.
// That of this Client is an unexported type of that name, around t. So do not look into client.Transport: keep t. Time-outs
// and their errors are the same as those of &http.Client{Transport: t}, which is always correct, only slower. If a Go
// release has the Client go by something else, so will this one be.
func NewClient(t *Transport) *http.Client {
	return &http.Client{Transport: &known.Transport{Base: t}}
}
