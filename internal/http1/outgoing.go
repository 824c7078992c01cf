package http1

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/peerpool/peerpool/internal/exchange"
)

const (
	// maxInline is the size in bytes up to which a body in memory is written by the caller itself, together with the
	// head. So many bytes fit into any receive window: writing them does not block, also if the server answers before
	// it reads.
	maxInline = 16 << 10

	// maxDirect is the size in bytes up to which a head and a small body are written by the caller.
	maxDirect = 2 * maxInline

	// maxAsked is how many bytes of body a request may have that is written by Exchange.ask.
	maxAsked = 2 << 10

	maxSurplus = 64 << 10 // bytes counted beyond Content-Length before the error gives the number

	probeWait = 200 * time.Millisecond // see probeBody
)

// outgoing says how the body of a request is sent.
type outgoing struct {
	body    io.Reader // reads through the exchange.Body; nil: there is no body, or it is known to be empty
	length  int64     // bytes; -1: unknown
	chunked bool
	inline  bool              // in memory and small: sent together with the head
	memory  exchange.Memory   // what body reads from if that is in memory; nil: it is not
	file    *os.File          // what body reads from if that is a file, or a part of one; nil: it is not
	part    *io.LimitedReader // what body reads from if that is a part of file; nil: it is not
	expect  bool              // wait for 100 Continue first
}

// planBody decides how to send the request's body (RFC 9112 section 6).
func (e *Exchange) planBody() (outgoing, error) {
	req := e.Req
	switch {
	case req.Body == nil && req.ContentLength != 0:
		return outgoing{}, fmt.Errorf("http: Request.ContentLength=%d with nil Body", req.ContentLength)
	case req.Body == nil || req.Body == http.NoBody && !wantsChunks(req):
		return outgoing{}, nil
	}
	e.more().Init(req.Body)
	out := outgoing{body: &e.sending.Body, length: req.ContentLength}
	if out.length == 0 {
		out.length = -1 // the caller has not said how long it is
	}
	switch {
	case wantsChunks(req):
		out.chunked, out.length = true, -1
	case out.length < 0:
		if usuallyBodiless(req.Method) {
			out.body = e.probeBody()
		}
		out.chunked = out.body != nil && req.Method != http.MethodConnect
	}
	if out.body == nil {
		return outgoing{}, nil
	}
	out.expect = exchange.ExpectsContinue(req.Header)
	if out.length > 0 {
		out.readsFrom(exchange.Source(req.Body))
	}
	return out, nil
}

// readsFrom notes what kind of reader a body of known length reads from.
func (out *outgoing) readsFrom(source io.Reader) {
	if out.memory = exchange.InMemory(source); out.memory != nil {
		out.inline = out.length <= maxInline && !out.expect
		return
	}
	if part, ok := source.(*io.LimitedReader); ok && part.N >= out.length {
		out.part, source = part, part.R
	}
	out.file, _ = source.(*os.File)
}

// inlineLength returns how many bytes of the body are sent with the head.
func (out *outgoing) inlineLength() int64 {
	if !out.inline {
		return 0
	}
	return out.length
}

// wantsChunks reports whether the caller asks for the chunked coding. Other codings have no effect: this package encodes
// no body, and chunks a body of unknown length anyway.
func wantsChunks(req *http.Request) bool {
	return len(req.TransferEncoding) > 0 && req.TransferEncoding[0] == "chunked"
}

// sendsLength reports whether Content-Length is sent: always with a body of known length. Without a body, a zero is sent
// for methods that usually have one (RFC 9110 section 8.6), and if the caller asks for "identity".
func (out *outgoing) sendsLength(req *http.Request) bool {
	if out.body != nil {
		return out.length >= 0
	}
	switch req.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		return true
	case "", http.MethodGet, http.MethodHead:
		return false
	}
	return req.Body == http.NoBody && len(req.TransferEncoding) == 1 && req.TransferEncoding[0] == "identity"
}

func usuallyBodiless(method string) bool {
	switch method {
	case "", http.MethodGet, http.MethodHead, http.MethodDelete, http.MethodOptions, "PROPFIND", "SEARCH":
		return true
	}
	return false
}

// appendInline appends a small body in memory to b, which holds the head. If the body is not as long as declared, the
// error depends on whether net/http would have sent anything: it sends when size bytes are there.
func (e *Exchange) appendInline(b []byte, out *outgoing, size int) (_ []byte, err error) {
	head := len(b)
	b = slices.Grow(b, int(out.length)+1)
	err = e.sending.Use(func(body io.Reader) error {
		for {
			n, err := body.Read(b[len(b):cap(b)])
			if n < 0 || n > cap(b)-len(b) {
				return exchange.ErrInvalidRead
			}
			b = b[:len(b)+n]
			switch got := int64(len(b) - head); {
			case err == io.EOF && got == out.length:
				return nil
			case err == io.EOF || err == nil && got > out.length:
				if got > out.length {
					got += int64(out.memory.Len())
				}
				if head+int(min(got, out.length)) > size {
					return connectionBroken(out.lengthError(got))
				}
				return unsentError{out.lengthError(got)}
			case err != nil:
				return err
			}
		}
	})
	if err != nil {
		return nil, &exchange.BodyError{Err: err}
	}
	return b, nil
}

// lengthError returns the error for a body of got bytes that is not as long as declared.
func (out *outgoing) lengthError(got int64) error {
	return fmt.Errorf("http: ContentLength=%d with Body length %d", out.length, got)
}

// probeBody returns the body of a request whose method usually has none, or nil if the body is empty. Many servers do
// not expect a chunked body there, so one of unknown length is worth a look: probeBody reads one byte, and waits for it
// for probeWait at most.
func (e *Exchange) probeBody() io.Reader {
	p := &probedBody{body: &e.sending.Body, got: make(chan struct{})}
	go func() { // owned by the reader of p; ends with the first byte or error of the body
		defer close(p.got)
		for p.n == 0 && p.err == nil {
			p.n, p.err = p.body.Read(p.b[:])
		}
	}()
	timer := time.NewTimer(probeWait)
	defer timer.Stop()
	select {
	case <-p.got:
		if p.n == 0 && p.err == io.EOF {
			e.sending.Finish()
			return nil
		}
	case <-timer.C:
	case <-e.Req.Context().Done():
	}
	return p
}

// probedBody is a body whose first byte has been read, or is being read.
type probedBody struct {
	body  io.Reader
	got   chan struct{} // closed when b, n and err are valid
	b     [1]byte
	n     int
	err   error
	given bool
}

func (p *probedBody) Read(b []byte) (int, error) {
	if p.given || len(b) == 0 {
		return p.body.Read(b)
	}
	<-p.got
	p.given = true
	return copy(b, p.b[:p.n]), p.err
}
