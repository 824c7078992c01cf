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
	// errEnded ends the stream of an exchange that is over.
	errEnded = errors.New("peerpool: the exchange has ended")

	ErrHeaderTimeout error = timeoutError("http2: timeout awaiting response headers")
)

// timeoutError is a net.Error whose Timeout returns true.
type timeoutError string

func (e timeoutError) Error() string { return string(e) }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

// ErrorType returns the word that peerpool uses for all timeouts. OpenTelemetry's instrumentations of net/http call it.
func (timeoutError) ErrorType() string { return "timeout" }

// Exchange is one request and its response, on a stream. Make it with [Conn.NewExchange] and call Run once. The response, its
// body and the first values of its header are part of the Exchange, so that they need only one allocation.
type Exchange struct {
	c     *Conn
	req   *http.Request
	ctx   context.Context
	trace *httptrace.ClientTrace
	owner exchange.Owner

	// HeedLater says that the owner calls Heed if the exchange has not ended after a moment. Until then, the exchange notices
	// the end of the context only where it does not block.
	HeedLater bool

	exchange.Outcome      // valid after Run
	Binds            bool // the request may bind the connection; see exchange.BindsConnection; valid after Run

	head    bool // the method is HEAD
	gzip    bool // we ask for gzip, and decode it
	begun   int64
	resp    http.Response
	values  [4]string
	upload  *upload // sends the request's body; nil if the request has none
	nothing bool    // the response has no body; set by Run

	// Conn.mu guards the fields below.
	cond     sync.Cond
	id       uint32     // of the stream; 0 if there is none
	window   sendWindow // of the stream
	unread   recvWindow
	growth   growth
	grown    int64 // by how many bytes the window unread has grown
	left     int64 // bytes of the response's body that are still to come; -1 if not known
	over     error // why the stream ended before its proper end; nil if it did not
	cause    error // the cause that ended the exchange, if Cancel did
	chunks   []*chunk
	room     [2]*chunk // the array that chunks starts with
	buffered int       // bytes in chunks
	trailer  http.Header
	interim  []interim // interim responses that the trace has not seen yet
	interims int64     // bytes of the interim heads; see interimLocked
	stop     func() bool
	timing   *timing // nil if there are no limits

	resetCode xhttp2.ErrCode // the code with which the server reset the stream
	reset     bool           // the server reset the stream
	granted   bool           // the exchange may open its stream
	sent      bool           // the whole request has been sent
	headed    bool           // the final head has come
	received  bool           // the whole response has come
	bare      bool           // the final head ended the stream
	started   bool           // a byte of the response has come
	protocol  bool           // the server broke the protocol
	proceed   bool           // 100 Continue has come
	unwanted  bool           // the server does not want the rest of the request's body
	stirred   bool           // see input.stir
	reading   bool           // a Read is copying from the first chunk
	closed    bool           // the response's body is closed
	short     bool           // the response ended before its Content-Length
	discarded bool           // exchange.Discard was called
	handed    bool           // the caller has the response, and the exchange ends with its body or its context
	ended     bool           // ExchangeDone has been called or is being called
	final     error          // the error that ended the reading of the response's body, io.EOF included
}

// NewExchange returns the exchange of req, which ends when ctx ends at the latest. It calls ExchangeDone of owner when it has
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

// Run sends the request and waits for the head of the response. If Run succeeds, the caller must call HandOver, and the
// exchange ends with the body of the response. If Run fails, the exchange has already ended. Run has then closed the
// request's body if the body was touched, and leaves it to the caller if not.
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
	var room [usualFields]field
	fields := h.list(x.req, room[:0])
	x.Binds = h.binds
	if err := x.open(&h, fields); err != nil {
		return nil, x.fail(err)
	}
	x.traceHead(fields)
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

// open opens the stream (RFC 9113 section 5.1). It sends HEADERS, and a small body with them.
func (x *Exchange) open(h *head, fields fields) error {
	c := x.c
	size := fields.size()
	c.mu.Lock()
	err := x.awaitConnectLocked(h)
	if err == nil {
		err = c.admitLocked(x)
	}
	if err == nil && size > c.peer.headerList {
		x.Unfit, err = true, errHeadTooLarge
		c.grantLocked()
	}
	if err != nil {
		c.mu.Unlock()
		return err
	}
	c.addLocked(x)
	c.sendHeadLocked(x, fields, h.ends)
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

// awaitConnectLocked waits for the server's settings if the request is an extended CONNECT, which the server must allow first
// (RFC 8441 section 3).
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

// Heed makes the end of the context end the exchange, whatever the exchange is doing.
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

// notice ends the exchange if its context has ended. The exchange calls it where it does not block, because Heed may not have
// been called yet.
func (x *Exchange) notice() {
	if x.ctx.Err() != nil {
		x.contextEnded()
	}
}

func (x *Exchange) contextEnded() {
	cause := x.ctx.Err() // not its cause, as with net/http
	exchange.AwaitClient(x.req, cause)
	x.Cancel(cause)
}

// Cancel ends the exchange, even if the caller has the response and no longer reads or closes its body. It may be called at
// any time, from any goroutine. Only the first cause counts.
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
		go x.upload.Finish() // ends with the last Read of the body, or after twice exchange.ReadWait
	}
}

// HandOver says that the caller is about to get the response. The caller may then lose interest in it, so from now on the end
// of the context ends the exchange even if nobody reads or closes the body. If the response has no body, the exchange ends
// now.
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

// fail ends an exchange that has no response, and finds its Outcome.
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
	if x.Touched { // otherwise another attempt may send it
		u.Finish()
	}
	return asNetHTTP(err)
}

// end ends the exchange, if it has not ended yet. Like finishUpload, it waits for the last Read of the request's body.
func (x *Exchange) end(how exchange.End) {
	x.conclude(how)
	x.finishUpload()
}

// finishUpload waits for the last Read of the request's body and closes the body, as [exchange.Body.Finish] does.
func (x *Exchange) finishUpload() {
	if x.upload != nil {
		x.upload.Finish()
	}
}

// conclude tells the owner that the exchange has ended, and ends the stream if that is still open. It does so only once. It
// returns false if the exchange had already ended.
func (x *Exchange) conclude(how exchange.End) bool {
	x.c.mu.Lock()
	return x.concludeLocked(how)
}

// concludeLocked is conclude for a caller that holds the lock. It releases the lock.
func (x *Exchange) concludeLocked(how exchange.End) bool {
	c := x.c
	if x.ended {
		c.unlockAndFlush()
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
	if x.closed {
		x.dropLocked()
	}
	c.unlockAndFlush()
	if stop != nil {
		stop()
	}
	if heard := c.heard.Load(); how != exchange.Reusable && how != exchange.EndUnfit && heard == x.begun {
		c.suspect.Store(heard + 1) // nothing has come since the exchange began
	}
	if x.upload != nil {
		x.upload.Stop()
	}
	x.owner.ExchangeDone(how, x.Outcome)
	return true
}

// endStreamLocked resets a stream that is still open, except that it leaves a stream alone for a while if the server can send
// only the end on it.
func (x *Exchange) endStreamLocked() {
	switch {
	case x.received:
		x.abortLocked(errEnded, xhttp2.ErrCodeNo) // the response is complete, and the server does not need the rest of the request
	case x.over == nil && x.sent && x.headed && x.bodiless():
		x.c.lingerLocked(x)
	default:
		x.abortLocked(errEnded, xhttp2.ErrCodeCancel)
	}
}
