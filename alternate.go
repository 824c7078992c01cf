package peerpool

import (
	"errors"
	"net/http"

	"github.com/peerpool/peerpool/internal/exchange"
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
	given, body := req, (*exchange.Body)(nil)
	if req.Body != nil && req.Body != http.NoBody {
		again := *req
		body = new(exchange.Body)
		body.Init(req.Body)
		given, again.Body = &again, body
	}
	resp, err = alt.RoundTrip(given)
	if err != nil && body != nil {
		body.Stop()
	}
	if !errors.Is(err, http.ErrSkipAltProtocol) {
		if err != nil && body != nil {
			body.Finish()
		}
		return resp, nil, err
	}
	if body == nil || !body.Touched() {
		return nil, req, nil
	}
	body.Finish()
	if req.GetBody == nil {
		return nil, nil, errCannotRewind
	}
	if err := body.Await(req.Context()); err != nil {
		return nil, nil, &bodyInUseError{err}
	}
	next, err = rewind(req, true)
	return nil, next, err
}
