package peerpool

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/peerpool/peerpool/internal/ascii"
	"github.com/peerpool/peerpool/internal/exchange"
	"golang.org/x/net/http/httpguts"
)

// RoundTrip sends a request and returns its response. The caller must read the response's body to its end or close
// it. RoundTrip does not follow redirects.
//
// RoundTrip returns the errors that net/http's Transport returns, with the same types and the same texts, down to the
// cause. docs/errors.md lists them. A [Report] in the request's context, and the [Observer], show further details.
// RoundTrip sends a request again, without the caller noticing, when that is safe: the package documentation says
// when.
//
// The Transport closes the request's body in every case. It may still send the body, and close it, after RoundTrip
// has returned a response. It does not read from the body any more after RoundTrip has returned an error, or after
// the response's body has been read to its end or closed. The caller may then reuse what the body reads from. The
// only exception is a Read of the body that blocks for longer than 100 milliseconds, which may still be under way.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	t.begun.Do(nothing)
	orig := req
	if t.use().alt.Load() != nil {
		resp, rest, err := t.roundTripRegistered(req)
		if rest == nil {
			return resp, err
		}
		req = rest
	}
	if err := checkRequest(req); err != nil {
		closeBody(req)
		exchange.AwaitClient(orig, err)
		return nil, err
	}
	given, err := t.given(req)
	if err != nil {
		closeBody(req)
		return nil, err
	}
	a := newAttempt(t, orig, req, given.peer, given.report, nil)
	for {
		resp, o := a.try()
		if o.err == nil && o.Status != http.StatusMisdirectedRequest { // see the row "response, other than 421" in the table of decide
			return a.answer(resp, o.Status), nil
		}
		v := a.afford(decide(o, replayOf(a.req, o.Touched), a.tries()), &o)
		if v == giveUp {
			return a.result(resp, o)
		}
		if a, err = a.again(v, resp, o); err != nil {
			return nil, err
		}
	}
}

// given returns what the context of a request holds for this package. If the context names no peer, the peer is the one that
// PeerFor returns. It is nil if the Transport's own settings apply.
func (t *Transport) given(req *http.Request) (v contextValues, err error) {
	v, _ = req.Context().Value(contextKey{}).(contextValues)
	if v.peer == nil && t.PeerFor != nil {
		v.peer, err = t.PeerFor(req)
	}
	return v, err
}

func nothing() {}

// checkForm returns an error if no RoundTripper can serve the request, not even a registered one. The error has the text of
// net/http's.
func checkForm(req *http.Request) error {
	switch {
	case req.URL == nil:
		return errors.New("http: nil Request.URL")
	case req.Header == nil:
		return errors.New("http: nil Request.Header")
	case req.URL.Scheme != "http" && req.URL.Scheme != "https":
		return nil
	}
	if err := checkFields(req.Header, "header"); err != nil || len(req.Trailer) == 0 {
		return err
	}
	return checkFields(req.Trailer, "trailer")
}

// checkRequest returns an error if the request must never reach a connection.
func checkRequest(req *http.Request) error {
	if err := checkForm(req); err != nil {
		return err
	}
	scheme, method, ctx := req.URL.Scheme, req.Method, req.Context()
	switch {
	case scheme != "http" && scheme != "https":
		return fmt.Errorf("unsupported protocol scheme %q", scheme)
	case method != "" && method != http.MethodGet && method != http.MethodPost && strings.IndexFunc(method, notToken) >= 0:
		return fmt.Errorf("net/http: invalid method %q", method)
	case req.URL.Host == "":
		return errors.New("http: no Host in request URL")
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return nil
}

func notToken(r rune) bool { return !httpguts.IsTokenRune(r) }

// checkFields checks the names and values of header fields. A value may be a secret, so the error does not show it.
func checkFields(header http.Header, what string) error {
	for name, values := range header {
		if !httpguts.ValidHeaderFieldName(name) {
			return fmt.Errorf("net/http: invalid %s field name %q", what, name)
		}
		for _, v := range values {
			if !ascii.IsText(v) {
				return fmt.Errorf("net/http: invalid %s field value for %q", what, name)
			}
		}
	}
	return nil
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}

// CancelRequest cancels a request that is under way.
//
// Deprecated: use a request with a context that can be canceled instead, as with net/http's Transport.
func (t *Transport) CancelRequest(req *http.Request) {
	t.use().inflight.Cancel(req)
}
