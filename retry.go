package peerpool

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/peerpool/peerpool/internal/exchange"
)

// This file alone decides what follows a try at a request: decide says whether there is another try, fresh and alone say
// which connection it may have, and pause says when it begins. A dial that goes on to the next address of a host is not
// another try, because nothing could have been sent. docs/retries.md says the same in words.

// maxAttempts is the largest number of tries at one request. Tries are exchanges, and connections that retired before an
// exchange could begin. A stale connection costs one try, because the next attempt dials.
const maxAttempts = 3

// maxTurns is the largest number of tries if the server has turned the request away each time, with a graceful GOAWAY or
// with REFUSED_STREAM. A server that closes its connections after a few requests, or that lowers the number of streams that
// it allows, turns away all requests that are under way, although nothing is wrong.
const maxTurns = 8

// firstPause is how long a request that was refused twice with REFUSED_STREAM waits before the third try. Each further pause
// is twice as long. Pauses vary by up to a half in either direction, so that requests that were refused together do not come
// back together.
const firstPause = 50 * time.Millisecond

// lastTry reports whether a try is the last one. The last try takes no risk: it uses a new connection.
func lastTry(try int) bool { return try >= maxAttempts }

// outcome holds what came of an attempt, as far as the verdict needs it.
type outcome struct {
	exchange.Outcome
	err       error
	canceled  bool // the request's context or its caller ended the attempt
	reused    bool // the connection had served a request before, or was idle in the pool
	elsewhere bool // the host has other addresses
	unleased  bool // there was no connection
	retired   bool // the dialed connection retired before any request could use it, for example because the HTTP/2 server goes away
}

// turnedAway reports whether the server did not process the request for a reason that passes.
func (o *outcome) turnedAway() bool { return o.TurnedOver || o.noRoom() }

// noRoom reports whether the server has refused the stream but serves others on the connection.
func (o *outcome) noRoom() bool { return o.Refused && o.Reset && !o.Lost }

// replay says how a request can be sent again.
type replay struct {
	idempotent bool // by its method, or by an idempotency key (RFC 9110 section 9.2.2)
	body       bool // it has no body, an untouched one, or a GetBody
}

// verdict says what to do after an attempt. The empty verdict means that its outcome is returned to the caller.
type verdict string

const (
	giveUp           verdict = ""
	retryUnsent      verdict = "unsent"          // nothing was written
	retryStale       verdict = "stale"           // a reused connection was gone, and the request is idempotent
	retryMisdirected verdict = "misdirected"     // the server answered 421 Misdirected Request
	retryRefused     verdict = "refused"         // GOAWAY or REFUSED_STREAM: the server did not process the request
	retryLost        verdict = "lost"            // the connection did not answer a ping, and the request is idempotent
	retryHTTP1       verdict = "http1"           // the server asked for HTTP/1.1, with HTTP_1_1_REQUIRED
	retryAddress     verdict = "another_address" // one of the host's addresses has failed, and the request is idempotent

	// leaseAgain means to look for another connection within the same attempt. It is not reported, because there was no
	// exchange.
	leaseAgain verdict = "lease"
)

// fresh reports whether the try with the given number must use a new connection, so that a request does not try one dead
// connection after another. A server that has refused a stream is alive, and has said how much room it has. Connections that
// are always read from, as those of HTTP/2 are, report by themselves that they are gone. The ones that are left are then as
// good as new, and other requests that were sent again have opened some of them.
func (v verdict) fresh(o *outcome, number int, noticed bool) bool {
	switch {
	case o.noRoom():
		return v.alone(number)
	case lastTry(number):
		return true
	case v == retryStale || v == retryUnsent || v == leaseAgain:
		return !noticed
	}
	return v != retryRefused
}

// pause returns how long the try with the given number waits before it begins. Only a server that has no room for the
// request now is given time.
func (v verdict) pause(o *outcome, number int) time.Duration {
	if v != retryRefused || !o.noRoom() || number < 3 {
		return 0
	}
	d := firstPause << (number - 3)
	return d/2 + rand.N(d)
}

// alone reports whether the attempt with the given number uses a connection that no other request shares. That is the last
// attempt that a server could turn away because of other requests.
func (v verdict) alone(number int) bool { return v == retryRefused && number == maxTurns }

// decide decides whether a request is sent again after the try with the given number. It is the whole of the retry policy:
//
//	outcome of the attempt                                method          body         verdict
//	the connection retired before its first lease         any             any          look for another one
//	no connection otherwise                               any             any          give up
//	response, other than 421                              any             any          return it
//	421, the first time, on a reused connection           any             replayable   once more, on a connection of its own
//	canceled, or out of time                              any             any          give up
//	a byte of the response arrived                        any             any          give up
//	the request cannot be written, or its body failed     any             any          give up
//	the server has broken the protocol                    any             any          give up
//	refused: GOAWAY beyond it, or REFUSED_STREAM          any             replayable   once more
//	HTTP_1_1_REQUIRED                                     any             replayable   once more, over HTTP/1.1
//	nothing was written                                   any             replayable   once more
//	something was written, connection lost                idempotent      replayable   once more
//	the server has reset the stream                       any             any          give up
//	something was written, connection reused              idempotent      replayable   once more
//	something was written, connection reused              any other       any          give up
//	the same on a new one, the host has other addresses   idempotent      replayable   once more, at another one
//	something was written, new connection                 any             any          give up
//
// There are at most maxAttempts tries, or maxTurns. fresh and alone say which connection a try uses, and pause says
// when it begins. RFC 9110 section 9.2.2, RFC 9112 section 9.3.1 and RFC 9113 section 8.7 say when a client may send a
// request again.
func decide(o outcome, r replay, number int) verdict {
	switch {
	case !r.body, lastTry(number) && !o.turnedAway(), number >= maxTurns:
		return giveUp
	case o.Status == http.StatusMisdirectedRequest && o.reused && number == 1:
		return retryMisdirected
	case o.retired:
		return leaseAgain
	case o.err == nil, o.unleased, o.canceled, o.Unfit, o.Started, o.BodyFailed, o.Malformed, exchange.IsTimeout(o.err):
		return giveUp
	case o.WantsHTTP1:
		return retryHTTP1
	case o.Refused:
		return retryRefused
	case !o.Wrote:
		return retryUnsent
	case o.Lost && r.idempotent:
		return retryLost
	case o.Reset:
		return giveUp
	case o.reused && r.idempotent:
		return retryStale
	case o.elsewhere && r.idempotent:
		return retryAddress
	}
	return giveUp
}

// replayOf returns how a request can be sent again. touched says whether its body has been read from.
func replayOf(req *http.Request, touched bool) replay {
	return replay{
		idempotent: idempotent(req),
		body:       req.Body == nil || req.Body == http.NoBody || req.GetBody != nil || !touched,
	}
}

// idempotent reports whether sending the request twice has the same effect as sending it once. With the header
// Idempotency-Key, the caller says that it has. That holds even for an empty header, which is not sent.
func idempotent(req *http.Request) bool {
	switch req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return req.Header["Idempotency-Key"] != nil || req.Header["X-Idempotency-Key"] != nil
}

// errNilBody is the error of a request whose GetBody has returned neither a body nor an error.
var errNilBody = errors.New("peerpool: Request.GetBody has returned a nil body")

// rewind returns the request with its body as it was before the request was sent.
func rewind(req *http.Request, touched bool) (*http.Request, error) {
	if req.Body == nil || req.Body == http.NoBody || !touched {
		return req, nil
	}
	body, err := req.GetBody()
	if err == nil && body == nil {
		err = errNilBody
	}
	if err != nil {
		return nil, err
	}
	if body == http.NoBody {
		// NoBody means a request without a body, whatever its ContentLength says. The request has one, and so an empty body
		// is too short, as it would be from any other reader.
		body = io.NopCloser(body)
	}
	again := *req
	again.Body = body
	return &again, nil
}

// bodyInUseError is the error of a request that has ended, for the given cause, while it waited to be sent again.
type bodyInUseError struct{ cause error }

func (e *bodyInUseError) Error() string {
	return "peerpool: request not sent again, as a Read or Close of its body has not returned: " + e.cause.Error()
}

func (e *bodyInUseError) Unwrap() error { return e.cause }

// Timeout and Temporary make it a net.Error, as the cause may be.
func (e *bodyInUseError) Timeout() bool   { return exchange.IsTimeout(e.cause) }
func (e *bodyInUseError) Temporary() bool { return e.Timeout() }

// canceledCause returns what ended ctx, if anything has.
func canceledCause(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return context.Cause(ctx)
}
