package http2

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"sync"

	"github.com/peerpool/peerpool/internal/exchange"
	xhttp2 "golang.org/x/net/http2"
)

var (
	// errEnded is why nothing more happens on a stream whose exchange is over.
	errEnded = errors.New("peerpool: the exchange has ended")

	errHeaderTimeout error = timeoutError("http2: timeout awaiting response headers")
)

// timeoutError is a net.Error whose Timeout is true.
type timeoutError string

func (e timeoutError) Error() string { return string(e) }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

// ErrorType is what OpenTelemetry's instrumentations of net/http call it: the word that peerpool has for all time-outs.
func (timeoutError) ErrorType() string { return "timeout" }

// Exchange is one request and its response, on a stream. Make it with [Conn.NewExchange] and call Run once. The
// response, its body and the first values of its header are part of it, so that they are one allocation.
type Exchange struct {
	c     *Conn
	req   *http.Request
	ctx   context.Context
	trace *httptrace.ClientTrace
	owner exchange.Owner

	// HeedLater says that the owner calls Heed if the exchange is not over in a moment. Until then the end of the
	// context is noticed wherever the exchange is not blocked.
	HeedLater bool

	exchange.Outcome // valid after Run

	head    bool // the method is HEAD
	gzip    bool // asked for
	begun   int64
	resp    http.Response
	values  [4]string
	upload  *upload // of the request's body; nil: there is none, or it lies in memory and goes out with the head
	nothing bool    // the response has no body; set by Run

	// Conn.mu guards what follows.
	cond     sync.Cond
	id       uint32     // of the stream; 0: there is none
	window   sendWindow // of the stream
	unread   recvWindow
	growth   growth
	grown    int64 // by how many bytes unread has grown
	left     int64 // bytes of the response to come; -1: not known
	over     error // why the stream has ended before its time
	cause    error // what Cancel was called with
	chunks   []*chunk
	room     [2]*chunk // where chunks begins
	buffered int       // bytes in chunks
	trailer  http.Header
	interim  []interim // to be told
	interims int64     // bytes of all interim heads
	stop     func() bool
	timing   *timing // nil: there are no limits

	resetCode xhttp2.ErrCode // with which the server has reset the stream
	reset     bool           // it has
	granted   bool           // it may open its stream
	sent      bool           // the request, to its end
	headed    bool           // the final head has come
	received  bool           // the response, to its end
	bare      bool           // the final head has ended the stream
	started   bool           // a byte of the response has come
	protocol  bool           // the server has broken the protocol
	proceed   bool           // 100 Continue has come
	unwanted  bool           // the server does not want the rest of the request's body
	stirred   bool           // see input.stir
	reading   bool           // somebody copies out of the first chunk
	closed    bool           // the response's body
	short     bool           // the response has ended before its Content-Length
	discarded bool           // by exchange.Discard
	handed    bool           // the caller has the response, and the exchange ends with its body or its context
	ended     bool           // ExchangeDone has been or is being called
	final     error          // what reading the response's body has ended with
}

// NewExchange returns the exchange of a request, which ends with ctx at the latest. Its owner is told when it has
// ended. limits may be nil, and must not change.
func (c *Conn) NewExchange(ctx context.Context, req *http.Request, limits *exchange.Limits, owner exchange.Owner) *Exchange {
	x := &Exchange{c: c, req: req, ctx: ctx, owner: owner, left: -1}
	x.cond.L = &c.mu
	x.chunks = x.room[:0]
	if limits != nil && *limits != (exchange.Limits{}) {
		x.timing = &timing{limits: limits}
	}
	x.trace = httptrace.ContextClientTrace(ctx)
	return x
}

// Run sends the request and waits for the head of the response. On success HandOver must be called, and the exchange ends
// with the body of the response; on failure it has ended already. Then the request's body is closed if it was touched,
// and left to the caller if it was not.
func (x *Exchange) Run() (*http.Response, error) {
	x.begun = x.c.heard.Load()
	x.head = x.req.Method == http.MethodHead
	if !x.HeedLater {
		x.Heed()
	}
	x.notice()
	h, err := x.plan()
	if err != nil {
		x.Unfit = true
		return nil, x.fail(fmt.Errorf("http2: %w", err))
	}
	x.gzip = h.gzip
	if err := x.planBody(); err != nil {
		return nil, x.fail(err)
	}
	if err := x.open(&h); err != nil {
		return nil, x.fail(err)
	}
	x.traceHead(&h)
	switch u := x.upload; {
	case u == nil:
		x.requestSent(nil)
	case u.inline:
		u.Close()
		x.requestSent(nil)
	default:
		go u.run()
	}
	if err := x.await(); err != nil {
		return nil, x.fail(err)
	}
	return x.respond(), nil
}

// open opens the stream (RFC 9113 section 5.1): HEADERS are on their way then, and a small body.
func (x *Exchange) open(h *head) error {
	c := x.c
	c.mu.Lock()
	err := x.awaitConnectLocked(h)
	if err == nil {
		err = c.admitLocked(x)
	}
	if err == nil && !c.fitsLocked(h, x.req) {
		x.Unfit, err = true, errHeadTooLarge
		c.grantLocked()
	}
	if err != nil {
		c.mu.Unlock()
		return err
	}
	c.addLocked(x)
	c.sendHeadLocked(x, h)
	switch {
	case h.ends:
		x.sentLocked()
	case x.upload.small != nil:
		x.sendSmallLocked()
	}
	id := x.id
	c.unlockAndFlush()
	if id > maxStreamID {
		c.over(ReasonStreamIDs)
	}
	return nil
}

// awaitConnectLocked waits for the server's settings where the request needs to know of one (RFC 8441 section 3).
func (x *Exchange) awaitConnectLocked(h *head) error {
	c := x.c
	if h.protocol == "" {
		return nil
	}
	for !c.peer.seen && x.over == nil && c.failed == nil {
		c.peer.waiting = append(c.peer.waiting, x)
		x.cond.Wait()
	}
	switch {
	case x.over != nil:
		return x.over
	case c.failed != nil:
		return c.failed
	case !c.peer.connect:
		x.Unfit = true
		return errNotExtended
	}
	return nil
}

// Heed has the end of the context end the exchange, whatever it is doing.
func (x *Exchange) Heed() {
	if x.ctx.Done() == nil {
		return
	}
	stop := context.AfterFunc(x.ctx, x.contextEnded)
	x.c.mu.Lock()
	ended := x.ended
	if !ended {
		x.stop = stop
	}
	x.c.mu.Unlock()
	if ended {
		stop()
	}
}

// notice is called wherever the exchange could go on although its context has ended, while nobody may listen yet.
func (x *Exchange) notice() {
	if x.ctx.Err() != nil {
		x.contextEnded()
	}
}

func (x *Exchange) contextEnded() {
	cause := x.ctx.Err() // rather than its cause, as with net/http
	exchange.AwaitClient(x.req, cause)
	x.Cancel(cause)
}

// Cancel ends the exchange, also if the caller has the response already and neither reads nor closes that any more. It
// may be called at any time, from any goroutine. The first cause counts.
func (x *Exchange) Cancel(cause error) {
	c := x.c
	c.mu.Lock()
	if x.ended {
		c.mu.Unlock()
		return
	}
	if x.cause == nil && x.over == nil {
		x.cause = cause
	}
	x.abortLocked(cause, xhttp2.ErrCodeCancel)
	handed := x.handed
	c.unlockAndFlush()
	if handed && x.conclude(exchange.GivenUp(x.ctx)) && x.upload != nil {
		go x.upload.Finish() // ends with the last Read of the body, or soon
	}
}

// HandOver says that the response is about to be the caller's, who may lose interest in it: from now on the end of the
// context is that of the exchange, also if nobody reads or closes the body any more. Without a body it is over now.
func (x *Exchange) HandOver() {
	if x.nothing {
		x.end(exchange.Reusable)
		return
	}
	c := x.c
	c.mu.Lock()
	x.handed = true
	canceled := x.cause != nil
	c.mu.Unlock()
	if canceled {
		x.end(exchange.GivenUp(x.ctx))
	} else {
		x.notice()
	}
}

// fail finds out what became of a request that has no response, and ends the exchange.
func (x *Exchange) fail(err error) error {
	c := x.c
	c.mu.Lock()
	x.abortLocked(err, xhttp2.ErrCodeCancel)
	x.stopTimerLocked()
	canceled := x.cause != nil
	x.Wrote, x.Started = x.id != 0, x.started
	x.Malformed = x.protocol
	x.Lost = err == ErrLost || c.noneLocked()
	x.Reset = x.reset
	x.Refused = !canceled && x.unprocessedLocked()
	x.TurnedOver = x.Refused && !x.reset && c.TurnedOver()
	x.WantsHTTP1 = x.reset && x.resetCode == xhttp2.ErrCodeHTTP11Required || !x.reset && x.deniedLocked()
	c.unlockAndFlush()
	u := x.upload
	if u != nil {
		u.Stop()
		x.Touched = u.Touched()
	}
	how := exchange.EndError
	switch {
	case x.Unfit:
		how = exchange.EndUnfit
	case canceled:
		how = exchange.GivenUp(x.ctx)
	case exchange.IsTimeout(err):
		how = exchange.EndTimeout
	}
	x.conclude(how)
	if x.Touched { // else it may be sent with another attempt
		u.Finish()
	}
	return asNetHTTP(err)
}

// end ends the exchange, once, and does not return before the reading of the request's body is over.
func (x *Exchange) end(how exchange.End) {
	x.conclude(how)
	x.finishUpload()
}

// finishUpload waits until the body of the request is not read from any more, and has it closed.
func (x *Exchange) finishUpload() {
	if x.upload != nil {
		x.upload.Finish()
	}
}

// conclude tells the owner that the exchange has ended, the first time, and returns whether it is that. What there still
// is of the stream is ended, too.
func (x *Exchange) conclude(how exchange.End) bool {
	c := x.c
	c.mu.Lock()
	if x.ended {
		c.mu.Unlock()
		return false
	}
	x.ended = true
	if x.discarded {
		how = exchange.EndDiscarded
	}
	stop := x.stop
	x.stop = nil
	x.endStreamLocked()
	c.discardedLocked(int64(x.buffered))
	c.unlockAndFlush()
	if stop != nil {
		stop()
	}
	if heard := c.heard.Load(); how != exchange.Reusable && how != exchange.EndUnfit && heard == x.begun {
		c.suspect.Store(heard + 1) // nothing has come since the request began
	}
	if x.upload != nil {
		x.upload.Stop()
	}
	x.owner.ExchangeDone(how, x.Outcome)
	return true
}

// endStreamLocked resets a stream that is still open. One is left alone for a while on which nothing but its end can come.
func (x *Exchange) endStreamLocked() {
	switch {
	case x.received:
		x.abortLocked(errEnded, xhttp2.ErrCodeNo) // the rest of the request is not wanted
	case x.over == nil && x.sent && x.headed && x.bodiless():
		x.c.lingerLocked(x)
	default:
		x.abortLocked(errEnded, xhttp2.ErrCodeCancel)
	}
}
