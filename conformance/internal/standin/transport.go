package standin

import (
	"context"
	"net/http"

	"github.com/peerpool/peerpool"
)

// Transport is peerpool.Transport under another name, to have methods of its own beside the forwarded ones.
// Literals and fields read as they do with http.Transport. It is as safe for concurrent use as the original.
type Transport peerpool.Transport

func init() { http.DefaultTransport = adopt(http.DefaultTransport.(*http.Transport)) }

func (t *Transport) peer() *peerpool.Transport { return (*peerpool.Transport)(t) }

// RoundTrip runs the hook of [SetEnterRoundTripHook] first.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if enter := hooks.enterRoundTrip.load(); enter != nil {
		enter()
	}
	return t.peer().RoundTrip(req)
}

// Clone forwards.
func (t *Transport) Clone() *Transport { return (*Transport)(t.peer().Clone()) }

// CloseIdleConnections forwards.
func (t *Transport) CloseIdleConnections() { t.peer().CloseIdleConnections() }

// CancelRequest forwards.
//
//lint:ignore SA1019 net/http's tests call it, deprecated or not
func (t *Transport) CancelRequest(req *http.Request) { t.peer().CancelRequest(req) }

// RegisterProtocol forwards.
func (t *Transport) RegisterProtocol(scheme string, rt http.RoundTripper) {
	t.peer().RegisterProtocol(scheme, rt)
}

// NewClientConn forwards.
func (t *Transport) NewClientConn(ctx context.Context, scheme, address string) (*http.ClientConn, error) {
	return t.peer().NewClientConn(ctx, scheme, address)
}
