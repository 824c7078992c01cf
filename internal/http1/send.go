package http1

import (
	"net/http/httptrace"
	"slices"
	"time"

	"github.com/peerpool/peerpool/internal/exchange"
)

// send writes the head, and the body too if it is small and in memory; else it starts an upload. So it does for
// all of it where writing could block on a server that answers before it reads: only a kernel's socket takes some
// bytes while nobody reads them.
// A failure to write is not the end yet: an answer may be on its way (see earlyAnswerWait).
func (e *Exchange) send() error {
	out, err := e.planBody()
	if err != nil {
		return err
	}
	if e.asks(&out) {
		return e.ask(&out)
	}
	buf := getBuffer(e.Opts.WriteBuffer, out.inlineLength())
	b, err := e.appendRequest(buf[:0], &out)
	if err == nil {
		e.write(&out, b)
	}
	putBuffer(buf)
	return err
}

// appendRequest appends the head, and the body too if that is sent with it.
func (e *Exchange) appendRequest(b []byte, out *outgoing) ([]byte, error) {
	b, err := e.appendHead(b, out)
	if err == nil && out.inline {
		b, err = e.appendInline(b, out, e.Opts.writeBuffer())
	}
	return b, err
}

// write writes what has been appended.
func (e *Exchange) write(out *outgoing, b []byte) {
	if len(b) > maxDirect || out.inline && !e.Conn.kernel {
		e.startUpload(*out, slices.Clone(b))
		return
	}
	e.Conn.claim()
	n, err := e.Conn.Write(b)
	e.Wrote = n > 0
	e.wroteHead(out, err)
}

// asks says whether the request is written and its answer waited for in one go: not if a part of it is still to come,
// nor if somebody wants to hear of the moment between the two, nor if it is long.
func (e *Exchange) asks(out *outgoing) bool {
	return e.Conn.canAsk() && e.trace() == nil && (out.body == nil || out.inline && out.length <= maxAsked)
}

// ask does so. The request is in the buffer that the answer is read into until all of it has been sent, as others may
// wait long for theirs and should not hold two buffers.
func (e *Exchange) ask(out *outgoing) error {
	c := e.Conn
	c.takeInput(e.Opts.ReadBuffer)
	b, err := e.appendRequest(c.in.buf[:0], out)
	if err != nil {
		c.giveInput()
		return err
	}
	if len(b) > len(c.in.buf) {
		e.write(out, b)
		return nil
	}
	if out.inline {
		e.body.Close()
	}
	e.awaitHead()
	n, err := c.ask(b)
	e.Wrote = n > 0
	if err != nil {
		e.written(err)
	}
	return nil
}

func (e *Exchange) traceHead() {
	if t := e.trace(); t != nil && t.WroteHeaders != nil {
		t.WroteHeaders()
	}
}

// wroteHead goes on after the head has been written, or has not.
func (e *Exchange) wroteHead(out *outgoing, werr error) {
	if werr == nil {
		e.traceHead()
	}
	if werr == nil && out.body != nil && !out.inline {
		e.startUpload(*out, nil)
		return
	}
	if out.inline {
		e.body.Close()
	}
	e.wroteRequest(werr)
	e.written(werr)
}

// written says that the request has been written, or why not. Then an answer may come all the same.
func (e *Exchange) written(err error) {
	if err == nil {
		e.awaitHead()
		return
	}
	body := e.more()
	e.mu.Lock()
	body.err = err
	e.mu.Unlock()
	e.abortAfter(earlyAnswerWait, err)
}

// startUpload leaves the body to a goroutine, and the head too if that is given: a server may answer before it
// has read all of either.
func (e *Exchange) startUpload(out outgoing, head []byte) {
	if head != nil {
		e.Conn.claim()
		if out.inline {
			out.body = nil // it stands behind the head
		}
	}
	if t := e.trace(); t != nil && t.Wait100Continue != nil && out.expect {
		t.Wait100Continue()
	}
	up := &upload{e: e, head: head, out: out, answer: make(chan bool, 1), done: make(chan struct{})}
	e.more().up = up
	go up.run()
}

func (e *Exchange) wroteRequest(err error) {
	switch failed := err.(type) {
	case *exchange.BodyError:
		err = failed.Err
	case copyError:
		err = failed.err
	}
	if t := e.trace(); t != nil && t.WroteRequest != nil {
		t.WroteRequest(httptrace.WroteRequestInfo{Err: err})
	}
}

// sendFailed returns what the caller sees of an error of writing the request. The body's own is as the upload has it.
func (e *Exchange) sendFailed(err error) error {
	switch err := err.(type) {
	case *exchange.BodyError:
		e.BodyFailed = true
		return err.Err
	case copyError:
		return err.err
	}
	switch {
	case err == exchange.ErrBodyWrite: // net/http has no such limit, and no words for it
		return err
	case !e.wrote():
		return unsentError{err}
	}
	return connectionBroken(err)
}

// uploaded is called by the upload when it has ended, in order or not.
func (e *Exchange) uploaded(err error) {
	e.wroteRequest(err)
	e.written(err)
	if body, ok := err.(*exchange.BodyError); ok {
		e.Conn.Abort(body.Err) // the request can't be completed, so no answer to it is wanted
	}
}

// sent says whether the whole request has been written, for which it waits a little: a server may answer
// as soon as it has the last byte, while the upload still returns from writing it.
func (e *Exchange) sent() bool {
	if e.body == nil {
		return true
	}
	if e.body.up != nil {
		timer := time.NewTimer(uploadWait)
		defer timer.Stop()
		select {
		case <-e.body.up.done:
		case <-timer.C:
			return false
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.body.err == nil
}

// awaitHead starts the clock for the response's head.
func (e *Exchange) awaitHead() {
	if e.Opts.HeaderTimeout > 0 {
		e.abortAfter(e.Opts.HeaderTimeout, ErrHeaderTimeout)
	}
}

// abortAfter aborts the exchange unless the head of the response arrives in time.
func (e *Exchange) abortAfter(d time.Duration, cause error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if b := e.more(); !b.headed && !e.ended && e.stopTimer() {
		b.timer = time.AfterFunc(d, func() { e.Conn.Abort(cause) })
	}
}

// headArrived ends the waiting for the head; false: too late, the connection is being closed.
func (e *Exchange) headArrived() bool {
	if e.body == nil {
		return true
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.body.headed = true
	return e.stopTimer()
}

// stopTimer stops the timer; false: too late, the connection is being closed. Call with mu held.
func (e *Exchange) stopTimer() bool {
	if e.body == nil {
		return true
	}
	t := e.body.timer
	e.body.timer = nil
	return t == nil || t.Stop()
}
