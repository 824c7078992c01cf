package peerpool

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
)

// errCannotRewind is what net/http says.
var errCannotRewind = errors.New("net/http: cannot rewind body after connection loss")

// alternate returns the RoundTripper that has been registered for a request's scheme, or nil. One for https does not
// get WebSocket handshakes, since it may speak a version of HTTP that has none.
func (t *Transport) alternate(req *http.Request) http.RoundTripper {
	alt := t.runtime().alternates()[req.URL.Scheme]
	if alt != nil && req.URL.Scheme == "https" && requiresHTTP1(req) {
		return nil
	}
	return alt
}

// roundTripAlternate has a registered RoundTripper serve a request. If it leaves that to the Transport, next is the
// request to go on with, its body as it was.
func roundTripAlternate(alt http.RoundTripper, req *http.Request) (resp *http.Response, next *http.Request, err error) {
	given, body := req, &usedBody{}
	if req.Body != nil && req.Body != http.NoBody {
		again := *req
		body.ReadCloser, again.Body = req.Body, body
		given = &again
	}
	resp, err = alt.RoundTrip(given)
	if !errors.Is(err, http.ErrSkipAltProtocol) {
		return resp, nil, err
	}
	if !body.used.Load() {
		return nil, req, nil
	}
	if !body.closed.Load() {
		closeBody(req)
	}
	if req.GetBody == nil {
		return nil, nil, errCannotRewind
	}
	next, err = rewind(req, true)
	return nil, next, err
}

// usedBody is a request body that knows whether it has been read from or closed, on whatever goroutine.
type usedBody struct {
	io.ReadCloser
	used, closed atomic.Bool
}

func (b *usedBody) Read(p []byte) (int, error) {
	b.used.Store(true)
	return b.ReadCloser.Read(p)
}

func (b *usedBody) Close() error {
	b.used.Store(true)
	b.closed.Store(true)
	return b.ReadCloser.Close()
}
