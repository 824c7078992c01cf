package http2

//lint:file-ignore SA1019 see engine.go

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"

	"github.com/peerpool/peerpool/internal/http1"
	xhttp2 "golang.org/x/net/http2"
)

// Exchange is one request and its response, on a stream. Make it with [Conn.NewExchange] and call Run once.
type Exchange struct {
	c      *Conn
	req    *http.Request
	caller context.Context
	ctx    context.Context // ends with caller, with Cancel and with the exchange
	cancel context.CancelCauseFunc
	owner  http1.Owner

	Touched bool // the request's body was read from, or will have been closed; valid after Run

	// What became of it; valid after Run has failed.
	Wrote         bool // the request's head was written, or may have been
	Started       bool // a byte of the response arrived
	Unprocessed   bool // the server has said that it did not process the request
	Lost          bool // the server did not answer a ping
	Stuck         bool // the server has come to allow no streams
	HTTP1Required bool // the server wants the request over HTTP/1.1
	Reset         bool // the server has ended the stream, for whatever reason

	upload    *upload       // nil: no body
	begun     int64         // by the connection's clock
	stream    atomic.Uint32 // 0: its HEADERS have not been written
	headed    atomic.Bool   // a byte of the response has come
	uploaded  atomic.Bool   // the request has been written, or given up
	ended     atomic.Bool
	discarded atomic.Bool
}

// NewExchange returns the exchange of a request. Its owner is told when it has ended.
func (c *Conn) NewExchange(ctx context.Context, req *http.Request, owner http1.Owner) *Exchange {
	x := &Exchange{c: c, req: req, caller: ctx, owner: owner}
	x.ctx, x.cancel = context.WithCancelCause(ctx)
	return x
}

// Run sends the request and waits for the head of the response. On success the exchange ends with the body of the
// response; on failure it has ended already. Then the request's body is closed if it was touched, and left to the
// caller if it was not.
func (x *Exchange) Run() (*http.Response, error) {
	x.begun = x.c.now()
	if !x.c.began(x) {
		x.Unprocessed = true
		x.end(http1.EndError)
		return nil, errNoStreams
	}
	ctx := httptrace.WithClientTrace(x.ctx, &httptrace.ClientTrace{
		WroteHeaders:         x.wroteHeaders,
		GotFirstResponseByte: x.gotFirstByte,
		WroteRequest:         x.wroteRequest,
	})
	req := x.req.WithContext(ctx)
	req.Cancel = nil // the caller sees to that one
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
	x.respond(resp)
	return resp, nil
}

// Cancel ends the exchange. It may be called at any time, from any goroutine.
func (x *Exchange) Cancel(cause error) { x.cancel(cause) }

// wroteHeaders is called by x/net while it holds the right to write: the last stream is that of this request.
func (x *Exchange) wroteHeaders() {
	x.stream.Store(x.c.wire.lastStream.Load())
	x.c.mu.Lock()
	delete(x.c.unsent, x)
	x.c.mu.Unlock()
	if x.c.wire.lastStream.Load() > maxStreamID {
		x.c.over(ReasonStreamIDs)
	}
}

func (x *Exchange) gotFirstByte() { x.headed.Store(true) }

func (x *Exchange) wroteRequest(httptrace.WroteRequestInfo) {
	x.uploaded.Store(true)
	if x.ended.Load() {
		x.cancel(nil)
	}
}

// fail finds out what became of a request that has no response, and ends the exchange.
func (x *Exchange) fail(err error) error {
	id := x.stream.Load()
	x.Started = x.headed.Load()
	// x/net returns as soon as a request is canceled, and may write it nevertheless.
	x.Wrote = id != 0 || x.ctx.Err() != nil
	err = x.c.lossOf(err)
	x.Lost = err == ErrLost
	x.Stuck = context.Cause(x.ctx) == errNoStreams
	if reset, ok := errors.AsType[xhttp2.StreamError](err); ok {
		x.Reset = true
		x.Unprocessed = reset.Code == xhttp2.ErrCodeRefusedStream
		x.HTTP1Required = reset.Code == xhttp2.ErrCodeHTTP11Required
	}
	if away := x.c.goAway.Load(); away != nil && (id > away.last || id == 0) {
		x.HTTP1Required = away.code == codeHTTP11Required
		// A server that turns the first request away has a quarrel with us, not with the connection.
		x.Unprocessed = away.code == codeNo || id != 1
	}
	if x.upload != nil {
		x.Touched = x.upload.touched.Load()
		if cause := x.upload.failed(); cause != nil {
			err = &http1.BodyError{Err: cause}
		}
	}
	how := http1.EndError
	switch {
	case x.Stuck:
		err = errNoStreams
	case x.ctx.Err() != nil:
		how = http1.EndCanceled
	case isTimeout(err):
		how = http1.EndTimeout
	}
	x.end(how)
	return err
}

func isTimeout(err error) bool {
	t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return ok && t.Timeout()
}

// end ends the exchange, once.
func (x *Exchange) end(how http1.End) {
	if x.ended.Swap(true) {
		return
	}
	c := x.c
	if how != http1.Reusable && c.heard.Load() <= x.begun {
		c.suspect.Store(true) // nothing has come since the request began
	}
	c.finished(x)
	if how != http1.Reusable || x.uploaded.Load() {
		x.cancel(nil)
	}
	x.owner.ExchangeDone(how)
}
