package peerpool

import (
	"errors"
	"maps"
	"net/http"

	"github.com/peerpool/peerpool/internal/exchange"
)

// errCannotRewind is what net/http says.
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

// alternates returns the RoundTrippers registered, by scheme.
func (c *core) alternates() map[string]http.RoundTripper {
	if alt := c.alt.Load(); alt != nil {
		return *alt
	}
	return nil
}

// roundTripRegistered serves a request whose scheme has a RoundTripper of its own, or finds that it is malformed. If the
// Transport is to serve the request, it returns rest: the request to go on with, its body as it was.
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
