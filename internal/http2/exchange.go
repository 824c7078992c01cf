package http2

//lint:file-ignore SA1019 see engine.go

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/peerpool/peerpool/internal/exchange"
	xhttp2 "golang.org/x/net/http2"
)

// Exchange is one request and its response, on a stream. Make it with [Conn.NewExchange] and call Run once.
type Exchange struct {
	c        *Conn
	req      *http.Request
	ctx      traced                // of the request, with hooks of ours
	canceled chan struct{}         // closed by Cancel
	cause    atomic.Pointer[error] // of that
	owner    exchange.Owner

	exchange.Outcome // valid after Run

	prev, next *Exchange     // among the open ones of the connection, guarded by Conn.mu
	upload     *upload       // nil: no body
	body       body          // of the response
	unheed     func() bool   // stops heeding the context once the response is the caller's; nil: it is not heeded
	heard      int64         // Conn.heard when it began
	stream     atomic.Uint32 // 0: its HEADERS have not been written
	headed     atomic.Bool   // a byte of the response has come
	ended      atomic.Bool
	discarded  atomic.Bool
}

// errCanceled is what x/net says of a request whose Cancel channel was closed.
const errCanceled = "net/http: request canceled"

// errEnded stops what still goes on of an exchange that has failed.
var errEnded = errors.New("peerpool: the exchange has ended")

// NewExchange returns the exchange of a request, which ends with ctx at the latest. Its owner is told when it has
// ended.
func (c *Conn) NewExchange(ctx context.Context, req *http.Request, owner exchange.Owner) *Exchange {
	x := &Exchange{c: c, req: req, owner: owner, canceled: make(chan struct{})}
	x.ctx.Context = ctx
	return x
}

// Run sends the request and waits for the head of the response. On success HandOver must be called, and the exchange ends
// with the body of the response; on failure it has ended already. Then the request's body is closed if it was touched, and left to the
// caller if it was not.
func (x *Exchange) Run() (*http.Response, error) {
	x.heard = x.c.heard.Load()
	if !x.c.began(x) {
		x.Refused = true
		x.end(exchange.EndError)
		return nil, errNoStreams
	}
	x.ctx.observe(x)
	req := x.req.WithContext(&x.ctx)
	req.Cancel = x.canceled // the caller sees to its own
	if req.Body != nil && req.Body != http.NoBody {
		x.upload = &upload{body: req.Body}
		req.Body = x.upload
	}
	resp, err := x.c.cc.RoundTrip(req)
	if err != nil {
		return nil, x.fail(err)
	}
	if x.upload != nil {
		x.upload.keep()
		x.Touched = true
	}
	x.Status = int32(resp.StatusCode)
	x.respond(resp)
	return resp, nil
}

// Cancel ends the exchange. It may be called at any time, from any goroutine. The first cause counts.
func (x *Exchange) Cancel(cause error) {
	if x.cause.CompareAndSwap(nil, &cause) {
		close(x.canceled)
	}
}

// canceledBy returns what Cancel was called with, or the cause of the context's end, or nil.
func (x *Exchange) canceledBy() error {
	if cause := x.cause.Load(); cause != nil && *cause != errEnded {
		return *cause
	}
	if x.ctx.Err() != nil {
		return context.Cause(x.ctx.Context)
	}
	return nil
}

// endedBy says that an error of x/net's is that of an exchange that was canceled like this.
func (x *Exchange) endedBy(cause, err error) bool {
	return cause != nil && (err == x.ctx.Err() || err.Error() == errCanceled)
}

// fail finds out what became of a request that has no response, and ends the exchange.
func (x *Exchange) fail(err error) error {
	id := x.stream.Load()
	x.Started = x.headed.Load()
	// x/net returns as soon as a request is canceled, and may write it nevertheless.
	cause := x.canceledBy()
	x.Wrote = id != 0 || cause != nil
	err = x.c.lossOf(err)
	stuck := cause == errNoStreams
	x.Lost = err == ErrLost || stuck
	x.Unfit = !x.Wrote && unfit(err)
	if reset, ok := errors.AsType[xhttp2.StreamError](err); ok {
		x.Reset = true
		x.Refused = reset.Code == xhttp2.ErrCodeRefusedStream
		x.WantsHTTP1 = reset.Code == xhttp2.ErrCodeHTTP11Required
	}
	if away := x.c.goAway.Load(); away != nil && (id > away.last || id == 0) {
		x.WantsHTTP1 = away.code == codeHTTP11Required
		// A server that turns the first request away has a quarrel with us, not with the connection.
		x.Refused = away.code == codeNo || id != 1
		x.TurnedOver = x.c.TurnedOver()
	}
	if x.upload != nil {
		var failed error
		if x.Touched, failed = x.upload.outcome(); failed != nil {
			err = &exchange.BodyError{Err: failed}
		}
	}
	how := exchange.EndError
	switch {
	case x.Unfit:
		how = exchange.EndUnfit
	case stuck:
		err = errNoStreams
	case cause != nil:
		how = exchange.GivenUp(x.ctx.Context)
	case exchange.IsTimeout(err):
		how = exchange.EndTimeout
	}
	x.end(how)
	return err
}

// unfit says that x/net could not make a header list of a request that was not written: the only errors of its own
// that it wraps.
func unfit(err error) bool {
	return errors.Unwrap(err) != nil && strings.HasPrefix(err.Error(), "http2: ")
}

// end ends the exchange, once.
func (x *Exchange) end(how exchange.End) {
	if x.unheed != nil {
		x.unheed()
	}
	x.finish(how)
}

// HandOver says that the response is about to be the caller's, who may lose interest in it: from now on the end of the
// context is that of the exchange, also if nobody reads or closes the body any more. Without a body it is over now.
func (x *Exchange) HandOver() {
	switch {
	case x.body.x == nil:
		x.end(exchange.Reusable)
	case x.ctx.Done() != nil:
		x.unheed = context.AfterFunc(x.ctx.Context, x.abandoned)
	}
}

func (x *Exchange) abandoned() { x.finish(exchange.GivenUp(x.ctx.Context)) }

func (x *Exchange) finish(how exchange.End) {
	if x.ended.Swap(true) {
		return
	}
	c := x.c
	c.finished(x)
	if how != exchange.Reusable && how != exchange.EndUnfit {
		if heard := c.heard.Load(); heard == x.heard {
			c.suspect.Store(heard + 1) // nothing has come since the request began
		}
		x.Cancel(errEnded)
	}
	x.owner.ExchangeDone(how, x.Outcome)
}
