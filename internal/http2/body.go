package http2

import (
	"io"
	"net/http"
	"reflect"
	"sync"

	"github.com/peerpool/peerpool/internal/http1"
)

// respond gives the response a body that ends the exchange.
func (x *Exchange) respond(resp *http.Response) {
	if bodiless(resp.Body) {
		x.end(http1.Reusable)
		return
	}
	x.body = body{ReadCloser: resp.Body, x: x}
	resp.Body = &x.body
}

// bodiless says that nothing more will come on the stream: x/net's bodies of such responses are empty structs.
func bodiless(body io.ReadCloser) bool { return body == nil || reflect.TypeOf(body).Size() == 0 }

// body is the body of a response.
type body struct {
	io.ReadCloser
	x *Exchange
}

// Read reads the next bytes of the body. Its end, proper or not, is the end of the exchange.
func (b *body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		if http1.IsDiscard(p) {
			b.x.discarded.Store(true)
		}
		return 0, nil
	}
	n, err := b.ReadCloser.Read(p)
	switch err {
	case nil:
	case io.EOF:
		b.end(http1.Reusable)
	default:
		err = b.failed(err)
	}
	return n, err
}

// failed ends the exchange, and returns what to tell the reader.
func (b *body) failed(err error) error {
	if cause := b.x.canceledBy(); b.x.endedBy(cause, err) {
		b.end(http1.EndCanceled)
		http1.AwaitClient(b.x.req, cause)
		return cause
	}
	b.end(http1.EndError)
	return b.x.c.lossOf(err)
}

// Close ends the exchange. The server is told to send no more; the connection goes on.
func (b *body) Close() error {
	over := b.x.ended.Load()
	err := b.ReadCloser.Close()
	b.end(http1.Reusable)
	if over {
		return nil // what ended the exchange has been told
	}
	return err
}

func (b *body) end(how http1.End) {
	if b.x.discarded.Load() {
		how = http1.EndDiscarded
	}
	b.x.end(how)
}

// upload is the body of a request, which x/net closes in any case, and we only if it can no longer be sent again.
type upload struct {
	body io.ReadCloser

	mu      sync.Mutex // guards what follows; the body is not called under it
	touched bool       // reading has begun
	closed  bool       // by x/net
	kept    bool       // there is a response: the body will not be sent again
	done    bool       // body has been closed
	err     error      // that reading it ended with
}

// Read reads from the body. Once it is closed it is left alone: x/net may still be about to read on behalf of an
// exchange that has ended, when the body is already the caller's again or the next exchange's.
func (u *upload) Read(p []byte) (int, error) {
	if !u.touch() {
		return 0, errEnded
	}
	n, err := u.body.Read(p)
	if err != nil && err != io.EOF {
		u.mu.Lock()
		if !u.closed { // otherwise it may be the closing that it complains about
			u.err = err
		}
		u.mu.Unlock()
	}
	return n, err
}

func (u *upload) touch() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.touched = u.touched || !u.closed
	return !u.closed
}

func (u *upload) Close() error {
	u.mu.Lock()
	u.closed = true
	u.mu.Unlock()
	return u.tryClose()
}

// keep says that there is a response.
func (u *upload) keep() {
	u.mu.Lock()
	u.kept = true
	u.mu.Unlock()
	u.tryClose()
}

// tryClose closes the body if that has been asked for and nobody will want to send it again.
func (u *upload) tryClose() error {
	u.mu.Lock()
	now := u.closed && !u.done && (u.kept || u.touched)
	u.done = u.done || now
	u.mu.Unlock()
	if !now {
		return nil
	}
	return u.body.Close()
}

// outcome says whether the body was read from, and what that has failed with.
func (u *upload) outcome() (touched bool, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.touched, u.err
}
