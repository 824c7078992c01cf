package http1

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"

	"github.com/peerpool/peerpool/internal/exchange"
)

const (
	// earlyAnswerWait is how long an exchange waits for a response after writing the request has failed: a server that
	// refuses a body often answers and closes at once (RFC 9112 section 9.5).
	earlyAnswerWait = 50 * time.Millisecond

	// uploadWait is how long sending a request body may go on when the response has ended.
	uploadWait = 50 * time.Millisecond

	maxInterim = 32 // 1xx responses that nobody traces

	defaultMaxHeader = 10 << 20 // bytes
)

// Options are the settings of a Transport for the exchanges on a connection. Many exchanges may share them, so they must not
// be changed. A time or a size of zero means none, or the default.
type Options struct {
	exchange.Limits
	ProxyHeader    http.Header   // sent besides the request's own header
	Proxied        bool          // absolute-form target, for a proxy
	Gzip           bool          // ask for gzip if the request doesn't say otherwise, and decode it
	Close          bool          // ask the server to close, unless the request is for an upgrade
	Partitioned    bool          // only one credential uses the connection: NTLM and Negotiate may bind it
	ExpectTimeout  time.Duration // how long to wait for 100 Continue; 0: not at all
	MaxHeaderBytes int64         // of all heads of the exchange, and of its trailer; 0: 10 MiB
	ReadBuffer     int           // bytes; 0: DefaultBufferSize
	WriteBuffer    int
}

var noOptions Options

func (o *Options) writeBuffer() int {
	if o.WriteBuffer <= 0 {
		return DefaultBufferSize
	}
	return o.WriteBuffer
}

// Exchange is one request and its response. Fill the exported fields in the first group, then call Run once.
//
// Every request makes an Exchange, and the caller keeps it for as long as the response, so it is small: its size is one that
// the allocator has. What only few exchanges need is in body, and what belongs to the connection or to the Transport is in
// Conn and Opts.
type Exchange struct {
	Conn  *Conn
	Req   *http.Request // whose context ends the exchange
	Opts  *Options      // nil: none
	Owner exchange.Owner

	// What became of the exchange; valid after Run. See exchange.Outcome.
	KeepAlive                      exchange.KeepAlive
	Status                         int32
	Wrote, Touched, Started, Unfit bool
	BodyFailed, Malformed          bool

	// HeedLater says that the owner calls Heed if the exchange is not over in a moment. Until then, the exchange notices
	// the end of the context wherever it is not blocked.
	HeedLater bool

	intents  intents
	gzip     bool // asked for
	kind     kind
	after    uint8 // what the connection is good for after the last byte: an index of ends
	ended    bool  // guarded by mu: ExchangeDone has been or is being called, and the connection may be another's
	handed   bool  // guarded by mu: the caller has the response, and the exchange ends with its body or its context
	canceled bool  // guarded by mu: Cancel was called, or the end of the context was noticed

	state bodyState // of the response's body; see bodyState
	err   *error    // why that is over, io.EOF included; valid once it is
	left  int64     // byLength: bytes to come

	// mu guards ended, handed, canceled and stop, which the goroutine of an upload and others that cancel share, and what
	// sending says. Nothing that blocks and no hook may be called under it.
	mu   sync.Mutex
	stop func() bool // stops heeding the context; nil: it is not heeded

	sending *sending // nil: nothing of it is needed
	resp    http.Response
	// values are those of the response's header, if they are few. No other exchange uses them, since the caller may keep
	// the header for as long as it likes.
	values [fewFields]string
}

// sending holds what an exchange needs for its request if that has a body, cannot be written, is traced, or has a time limit.
type sending struct {
	exchange.Body
	up    *upload
	trace *httptrace.ClientTrace

	// Guarded by Exchange.mu.
	err    error       // why the request could not be written
	headed bool        // the final head has arrived
	timer  *time.Timer // for the head
}

// SetTrace sets the hooks to call. Call it before Run.
func (e *Exchange) SetTrace(t *httptrace.ClientTrace) {
	if t != nil {
		e.more().trace = t
	}
}

// trace returns the hooks to call, or nil.
func (e *Exchange) trace() *httptrace.ClientTrace {
	if e.sending == nil {
		return nil
	}
	return e.sending.trace
}

// more returns what sending holds, and makes it if there is none.
func (e *Exchange) more() *sending {
	if e.sending == nil {
		e.sending = new(sending)
	}
	return e.sending
}

// up returns the upload of the request's body, if there is one.
func (e *Exchange) up() *upload {
	if e.sending == nil {
		return nil
	}
	return e.sending.up
}

// Outcome returns what became of the exchange; valid after Run.
func (e *Exchange) Outcome() exchange.Outcome {
	o := exchange.Outcome{
		Status: e.Status, KeepAlive: e.KeepAlive,
		Wrote: e.Wrote, Touched: e.Touched, Started: e.Started, Unfit: e.Unfit,
		BodyFailed: e.BodyFailed, Malformed: e.Malformed,
	}
	if e.sending != nil {
		o.Body = &e.sending.Body
	}
	return o
}

// closing reports whether the exchange asks the server to close the connection. It is valid once the head is written.
func (e *Exchange) closing() bool {
	return e.Req.Close || e.Opts.Close && e.intents&intendsUpgrade == 0
}

// Run writes the request and reads the head of the response. If Run succeeds, the exchange ends with the body of the response.
// If Run fails, the exchange has ended. Then the request's body has been closed if it was touched. If it was not touched, the
// caller still owns it, and may send it again. The exchange reads from it no more, except for a Read that blocks for longer
// than exchange.ReadWait.
func (e *Exchange) Run() (*http.Response, error) {
	if e.Opts == nil {
		e.Opts = &noOptions
	}
	if !e.HeedLater {
		e.Heed()
	} else if e.Req.Context().Err() != nil {
		return nil, e.fail(context.Cause(e.Req.Context()))
	}
	if err := e.send(); err != nil {
		return nil, e.fail(e.sendFailed(err))
	}
	var h head
	if err := e.receive(&h); err != nil {
		return nil, e.fail(err)
	}
	return e.respond(&h)
}

// Heed makes the exchange end with its context, whatever it is doing.
func (e *Exchange) Heed() {
	if e.Req.Context().Done() == nil {
		return
	}
	stop := context.AfterFunc(e.Req.Context(), e.contextEnded)
	e.mu.Lock()
	ended := e.ended
	if !ended {
		e.stop = stop
	}
	e.mu.Unlock()
	if ended {
		stop()
	}
}

// notice cancels the exchange if its context has ended. It is called where an exchange that does not listen to its context yet
// would go on.
func (e *Exchange) notice() {
	if e.HeedLater && e.Req.Context().Err() != nil {
		e.contextEnded()
	}
}

// contextEnded cancels the exchange, after its http.Client has had time to notice a timeout.
func (e *Exchange) contextEnded() {
	err := context.Cause(e.Req.Context())
	exchange.AwaitClient(e.Req, err)
	e.Cancel(err)
}

// Cancel ends the exchange, if it has not ended: calls that wait on its connection return cause. If the caller has the response,
// the exchange ends even if nobody reads or closes the response's body. Cancel may be called at any time, from any goroutine. It blocks for as
// long as the Close of a custom connection does.
func (e *Exchange) Cancel(cause error) {
	e.mu.Lock()
	if e.ended {
		e.mu.Unlock()
		return
	}
	e.canceled = true
	first, handed := e.Conn.condemn(cause), e.handed // no other exchange gets a condemned connection
	e.mu.Unlock()
	if first {
		e.Conn.cut()
	}
	if handed && e.conclude() {
		e.done(exchange.GivenUp(e.Req.Context()))
		if e.up() != nil {
			go e.sending.Finish() // ends with the last Read of the body, or soon
		}
	}
}

// handOver notes that the caller has the response. From now on the exchange ends with its context even if nobody reads or
// closes the body. What has arrived of the body can still be read.
func (e *Exchange) handOver() {
	e.mu.Lock()
	e.handed = true
	canceled := e.canceled
	e.mu.Unlock()
	if canceled {
		e.end(exchange.GivenUp(e.Req.Context()))
	} else if e.Req.Context().Err() != nil {
		e.Cancel(context.Cause(e.Req.Context()))
	}
}

// received is called when the response has been read to its end, or will not be read on. after says which. It gives the read
// buffer back, and returns how the exchange has ended. The caller then calls end.
func (e *Exchange) received(after exchange.End) exchange.End {
	if after == exchange.Reusable && e.Conn.in.buffered() > 0 {
		after = exchange.EndUnexpected
	}
	e.Conn.giveInput()
	if after == exchange.Reusable && e.sending != nil && !e.sent() {
		after = exchange.EndUnsent
	}
	return after
}

// end ends the exchange, once. It returns when nobody reads the request's body any more.
func (e *Exchange) end(how exchange.End) {
	if e.conclude() {
		e.done(how)
	}
	if e.sending != nil {
		e.finishUpload()
	}
}

// finishUpload waits until nobody reads the request's body any more, and closes it.
func (e *Exchange) finishUpload() {
	if e.up() != nil {
		e.sending.Finish()
	}
}

// conclude returns true the first time. After it, nothing cancels the exchange, so another exchange may get its connection. If
// the exchange was canceled before, that is known now.
func (e *Exchange) conclude() bool {
	e.mu.Lock()
	over, stop := e.ended, e.stop
	e.ended, e.stop = true, nil
	e.mu.Unlock()
	if stop != nil {
		stop()
	}
	return !over
}

// done tells the owner that the exchange has been concluded.
func (e *Exchange) done(how exchange.End) {
	if how == exchange.Reusable && e.canceled {
		how = exchange.GivenUp(e.Req.Context())
	} else if how == exchange.Reusable && e.Conn.aborted() != nil {
		how = exchange.EndTimeout
	}
	switch {
	case how == exchange.Reusable:
	case how != exchange.EndHijacked && e.up() != nil:
		e.sending.Stop()
		e.Conn.Abort(errSlowUpload) // ends an upload that is under way
	}
	e.Owner.ExchangeDone(how, e.Outcome())
}

// wrote reports whether a byte of the request was written, or may have been: while an upload writes the head, that is not known.
func (e *Exchange) wrote() bool {
	up := e.up()
	if up == nil || up.head == nil {
		return e.Wrote
	}
	select {
	case <-up.done:
		return up.wrote
	default:
		return true
	}
}

// fail ends the exchange before there is a response, and returns err.
func (e *Exchange) fail(err error) error {
	if e.sending != nil {
		e.sending.Stop()
		e.Touched = e.sending.Touched()
	}
	e.mu.Lock()
	e.stopTimer()
	e.mu.Unlock()
	e.conclude()
	how := endOf(err)
	e.Wrote = e.wrote()
	givenUp := e.canceled || e.Req.Context().Err() != nil
	if givenUp {
		how = exchange.GivenUp(e.Req.Context())
	}
	untouched := !e.Wrote && e.Conn.in == nil && e.Conn.aborted() == nil
	if untouched && !givenUp {
		how, e.Unfit = exchange.EndUnfit, true // nothing of the request was written
	} else {
		e.Conn.Abort(err)
	}
	e.Conn.giveInput()
	if up := e.up(); up != nil {
		up.answered(false)
	}
	e.Owner.ExchangeDone(how, e.Outcome())
	if e.Touched {
		e.sending.Finish()
	}
	return err
}

func endOf(err error) exchange.End {
	if t, ok := err.(interface{ Timeout() bool }); ok && t.Timeout() {
		return exchange.EndTimeout
	}
	return exchange.EndError
}

func unexpectedEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
