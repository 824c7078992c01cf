package peerpool

import (
	"errors"
	"maps"
	"net/http"

	"github.com/peerpool/peerpool/internal/exchange"
)

// errCannotRewind has the text of net/http's error.
var errCannotRewind = errors.New("net/http: cannot rewind body after connection loss")

// RegisterProtocol makes rt serve the requests whose URLs have the given scheme. It panics if a RoundTripper is
// already registered for the scheme. If rt returns [http.ErrSkipAltProtocol], the Transport serves that request
// itself.
func (t *Transport) RegisterProtocol(scheme string, rt http.RoundTripper) {
	c := t.use()
	c.altMu.Lock()
	defer c.altMu.Unlock()
	alt := maps.Clone(c.alternates())
	if _, taken := alt[scheme]; taken {
		panic("protocol " + scheme + " already registered")
	}
	if alt == nil {
		alt = make(map[string]http.RoundTripper)
	}
	alt[scheme] = rt
	c.alt.Store(&alt)
}

// alternates returns the registered RoundTrippers, by scheme.
func (c *core) alternates() map[string]http.RoundTripper {
	if alt := c.alt.Load(); alt != nil {
		return *alt
	}
	return nil
}

// roundTripRegistered has the RoundTripper that is registered for the request's scheme serve the request. It returns an
// error if the request is malformed. If the Transport is to serve the request itself, roundTripRegistered returns rest,
// which is the request to send, with its body unchanged.
func (t *Transport) roundTripRegistered(req *http.Request) (_ *http.Response, rest *http.Request, _ error) {
	if err := checkForm(req); err != nil {
		closeBody(req)
		return nil, nil, err
	}
	alt := t.core.alternates()[req.URL.Scheme]
	if alt == nil || req.URL.Scheme == "https" && requiresHTTP1(req) { // it may speak a version of HTTP without WebSockets
		return nil, req, nil
	}
	return roundTripAlternate(alt, req)
}

// roundTripAlternate has a registered RoundTripper serve a request. If the RoundTripper leaves the request to the Transport,
// roundTripAlternate returns next, which is the request to send, with its body unchanged.
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
