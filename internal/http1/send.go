package http1

import (
	"net"
	"net/http/httptrace"
	"slices"
	"sync"
	"time"

	"github.com/peerpool/peerpool/internal/exchange"
	"github.com/peerpool/peerpool/internal/socket"
)

// send writes the head, and the body too if it is small and in memory. It starts an upload for any other body. If writing the
// head could block although the server has answered, it starts an upload for the head too: only the socket of a kernel takes
// some bytes while nobody reads them. If writing fails, an answer may still come; see earlyAnswerWait.
func (e *Exchange) send() error {
	out, err := e.planBody()
	if err != nil {
		return err
	}
	if whole := out.body == nil || out.inline && out.length <= maxAsked; whole && e.trace() == nil && e.Conn.canAsk() {
		return e.ask(&out) // otherwise a part is sent later, or a trace wants to know when the request has been written
	}
	buf := getBuffer(e.Opts.WriteBuffer, out.inlineLength())
	b, err := e.appendRequest(buf[:0], &out)
	if err == nil {
		e.write(&out, b)
	}
	putBuffer(buf)
	return err
}

// appendRequest appends the head, and the body too if it is sent with the head.
func (e *Exchange) appendRequest(b []byte, out *outgoing) ([]byte, error) {
	b, err := e.appendHead(b, out)
	if err == nil && out.inline {
		b, err = e.appendInline(b, out, e.Opts.writeBuffer())
	}
	return b, err
}

// write writes what has been appended.
func (e *Exchange) write(out *outgoing, b []byte) {
	if len(b) > maxDirect || out.inline && e.Conn.traits&kernelSocket == 0 {
		e.startUpload(*out, slices.Clone(b))
		return
	}
	e.Conn.claim()
	n, err := e.Conn.Write(b)
	e.Wrote = n > 0
	e.wroteHead(out, err)
}

// ask writes the request and waits for its answer at the same time. The request is in the buffer into which the answer is read
// afterwards: an exchange may wait long for its answer, and should not hold two buffers.
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
		e.sending.Close()
	}
	if e.Opts.HeaderTimeout > 0 {
		e.awaitHead()
	}
	n, err := c.ask(b)
	e.Wrote = n > 0
	if err != nil {
		e.written(err)
	}
	return nil
}

// An ask writes a request and waits for the answer at the same time. A read that follows the write at once finds nothing, and
// costs a call of the system. An ask leaves it out. That is safe only if the wait begins before the write, so that the ask does
// not miss what the system reports in between, and if somebody calls [Conn.Rouse] for a close that the system has reported before.
// These are the states of a connection.
const (
	calm     = iota
	underWay // an ask waits, or is about to wait
	roused   // the peer has closed: there is no further ask
)

// untried is the number of bytes sent before an ask has tried to send any.
const untried = -2

// rousing is held while Rouse or calmDown sets a deadline, so that calmDown comes after the Rouse that it follows. Both are rare
// and brief, so there is one for all connections.
var rousing sync.Mutex

// canAsk reports whether an ask is possible: the connection is a socket, or our TLS over one, with no other layer that has to
// see what is written, and somebody watches it and calls Rouse.
func (c *Conn) canAsk() bool {
	if !askable || c.Watching != BeingWatched {
		return false
	}
	if c.under != nil {
		return c.under.exact && c.under.tcp != nil
	}
	_, ok := c.nc.(*net.TCPConn)
	return ok
}

// ask writes b, and waits for the first bytes of the answer, which the next fill finds. If writing or waiting fails, ask may
// return without an answer; the next write or read then returns the error. The caller has called takeInput.
func (c *Conn) ask(b []byte) (n int, err error) {
	if c.under == nil {
		n, err = c.askSocket(c.nc, c.in, b)
	} else {
		c.under.want = uint16(len(b)) // at most maxDirect
		n, err = c.nc.Write(b)
		c.under.want = 0
	}
	return n, c.explain(err)
}

// askSocket asks on the socket itself. What it receives is in in.
func (c *Conn) askSocket(socket net.Conn, in *input, b []byte) (int, error) {
	if !c.asking.CompareAndSwap(calm, underWay) {
		return socket.Write(b)
	}
	in.out, in.sent, in.failed = b, untried, nil
	_ = c.raw.Read(in.attend) // the next write or read returns the error of the wait, too
	if !c.asking.CompareAndSwap(underWay, calm) {
		c.calmDown()
	}
	in.out = nil
	switch n := max(in.sent, 0); {
	case in.sent == -1:
		return 0, opError("write", socket, in.failure())
	case n < len(b):
		rest, err := socket.Write(b[n:])
		return n + rest, err
	case in.failed != nil:
		in.failed = opError("read", socket, in.failed)
	}
	return len(b), nil
}

// ask is called by the poller: once at the start of the wait, and then whenever something has happened to the socket.
func (in *input) ask(fd uintptr) (done bool) {
	if in.sent == untried {
		in.sent, in.failed = socket.Send(fd, in.out)
		return in.sent < len(in.out)
	}
	n, err := socket.Receive(fd, in.buf[in.w:])
	if n < 0 {
		return false
	}
	in.w += n
	in.failed = err
	return true
}

// failure returns the error of an ask, once.
func (in *input) failure() error {
	err := in.failed
	in.failed = nil
	return err
}

// Rouse is to be called when the peer has closed the connection, or its sending half. The system does not report the close
// again to an ask that has just begun, so Rouse makes the ask look. Later exchanges on the connection do not ask.
func (c *Conn) Rouse() {
	rousing.Lock()
	defer rousing.Unlock()
	if c.asking.Swap(roused) == underWay {
		_ = c.Socket().SetReadDeadline(longAgo)
	}
}

// calmDown takes back the deadline that Rouse has set: what the peer sent before it closed can still be read.
func (c *Conn) calmDown() {
	rousing.Lock()
	defer rousing.Unlock()
	_ = c.Socket().SetReadDeadline(time.Time{})
}

func (e *Exchange) traceHead() {
	if t := e.trace(); t != nil && t.WroteHeaders != nil {
		t.WroteHeaders()
	}
}

// wroteHead goes on after the head has been written, or after writing it has failed with werr.
func (e *Exchange) wroteHead(out *outgoing, werr error) {
	if werr == nil {
		e.traceHead()
	}
	if werr == nil && out.body != nil && !out.inline {
		e.startUpload(*out, nil)
		return
	}
	if out.inline {
		e.sending.Close()
	}
	e.wroteRequest(werr)
	e.written(werr)
}

// written notes that the request has been written, or why not. If not, an answer may still come.
func (e *Exchange) written(err error) {
	if err == nil {
		if e.Opts.HeaderTimeout > 0 {
			e.awaitHead()
		}
		return
	}
	body := e.more()
	e.mu.Lock()
	body.err = err
	e.mu.Unlock()
	e.abortAfter(earlyAnswerWait, err)
}

// startUpload starts a goroutine that sends the body, and the head before it if head is not nil. The server may answer before it
// has read them.
func (e *Exchange) startUpload(out outgoing, head []byte) {
	if head != nil {
		e.Conn.claim()
		if out.inline {
			out.body = nil // head contains it
		}
	}
	if t := e.trace(); t != nil && t.Wait100Continue != nil && out.expect {
		t.Wait100Continue()
	}
	up := &upload{e: e, head: head, out: out, answer: make(chan bool, 1), done: make(chan struct{})}
	e.more().up = up
	go up.run()
}

// wroteRequest calls the trace. If the server does not want the body, the trace gets no error, as with net/http: all
// that the server wanted has been written.
func (e *Exchange) wroteRequest(err error) {
	if err == errUnwanted {
		err = nil
	}
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

// sendFailed returns the error that the caller gets when writing the request has failed with err.
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

// sent reports whether the whole request has been written. It waits a little for that: the answer may be here before the upload
// has returned from writing the last byte. If Exchange.sending is nil, the request has been written.
func (e *Exchange) sent() bool {
	if e.sending.up != nil {
		timer := time.NewTimer(uploadWait)
		defer timer.Stop()
		select {
		case <-e.sending.up.done:
		case <-timer.C:
			return false
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.sending.err == nil
}

// awaitHead starts the time limit for the head of the response, which is not zero.
func (e *Exchange) awaitHead() { e.abortAfter(e.Opts.HeaderTimeout, ErrHeaderTimeout) }

// abortAfter aborts the exchange unless the head of the response arrives in time.
func (e *Exchange) abortAfter(d time.Duration, cause error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if b := e.more(); !b.headed && !e.ended && e.stopTimer() {
		b.timer = time.AfterFunc(d, func() { e.Conn.Abort(cause) })
	}
}

// headArrived ends the time limit for the head. It returns false if the limit has passed: the connection is being closed. If
// Exchange.sending is nil, there is no limit.
func (e *Exchange) headArrived() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sending.headed = true
	return e.stopTimer()
}

// stopTimer stops the timer. It returns false if the timer has fired: the connection is being closed. Call it with mu held.
func (e *Exchange) stopTimer() bool {
	if e.sending == nil {
		return true
	}
	t := e.sending.timer
	e.sending.timer = nil
	return t == nil || t.Stop()
}
