package http1

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/peerpool/peerpool/internal/ascii"
	"github.com/peerpool/peerpool/internal/exchange"
)

const (
	// maxInline is the size in bytes up to which a body that lies in memory is written by the caller
	// itself, together with the head. It fits into any receive window, so that writing it cannot block
	// on a server that answers before it reads.
	maxInline = 16 << 10

	// maxDirect is the size in bytes up to which head and small body together are written by the caller.
	maxDirect = 2 * maxInline

	// maxAsked is how many bytes of body a request may have that is asked, see send.go.
	maxAsked = 2 << 10

	copyBuffer = 32 << 10 // bytes of body copied at a time
	maxSurplus = 64 << 10 // bytes counted beyond Content-Length before the error says so

	probeWait = 200 * time.Millisecond // see probeBody
)

// outgoing is how the body of a request is sent.
type outgoing struct {
	body    io.Reader // goes through the exchange.Body; nil: there is none, or what there was is known to be empty
	length  int64     // bytes; -1: unknown
	chunked bool
	inline  bool                   // lies in memory and is small
	memory  interface{ Len() int } // the reader that lies in memory; nil: it does not
	file    *os.File               // below body, if the kernel can copy it
	expect  bool                   // wait for 100 Continue first
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
	out := outgoing{body: &e.body.Body, length: req.ContentLength}
	if out.length == 0 {
		out.length = -1 // a body of a length that nobody said
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
	out.expect = expects100(req.Header)
	out.look(req.Body)
	return out, nil
}

// look finds out what kind of reader the request's body is.
func (out *outgoing) look(body io.Reader) {
	if out.length <= 0 {
		return
	}
	switch r := unwrap(body).(type) {
	case *bytes.Reader, *bytes.Buffer, *strings.Reader:
		out.memory = r.(interface{ Len() int })
		out.inline = out.length <= maxInline && !out.expect
	case *os.File:
		out.file = r
	}
}

// inlineLength is how many bytes are sent with the head.
func (out *outgoing) inlineLength() int64 {
	if !out.inline {
		return 0
	}
	return out.length
}

// wantsChunks says that the caller asks for the chunked coding. Other codings say nothing: nobody here encodes a body, and
// one of unknown length is chunked anyway.
func wantsChunks(req *http.Request) bool {
	return len(req.TransferEncoding) > 0 && req.TransferEncoding[0] == "chunked"
}

// sendsLength says whether Content-Length is written: always with a body of known length, and a zero
// for the methods that usually carry one (RFC 9110 section 8.6), or that asked for "identity" without a body.
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

func expects100(header http.Header) bool {
	values := header["Expect"]
	return len(values) > 0 && ascii.EqualFold(ascii.TrimSpace(values[0]), "100-continue")
}

// The types that io.NopCloser wraps readers in.
var (
	nopCloser         = reflect.TypeOf(io.NopCloser(nil))
	nopCloserWriterTo = reflect.TypeOf(io.NopCloser(&bytes.Buffer{}))
)

// unwrap looks through io.NopCloser, in which http.NewRequest hides the readers that it knows.
func unwrap(r io.Reader) io.Reader {
	if t := reflect.TypeOf(r); t == nopCloser || t == nopCloserWriterTo {
		if inner, ok := reflect.ValueOf(r).Field(0).Interface().(io.Reader); ok {
			return inner
		}
	}
	return r
}

// probeBody tells an empty body of unknown length from one with content, for methods that usually
// have none: a chunked body would surprise many a server there. It reads one byte and waits a little
// for it; nil: the body is empty.
func (e *Exchange) probeBody() io.Reader {
	p := &probedBody{body: &e.body.Body, got: make(chan struct{})}
	go func() { // belongs to the body's reader and ends with its first read
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
			e.body.Finish()
			return nil
		}
	case <-timer.C:
	case <-e.Ctx.Done():
	}
	return p
}

// probedBody is a body whose first byte may have been read already.
type probedBody struct {
	body  io.Reader
	got   chan struct{}
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

// appendInline reads a small body that lies in memory into the buffer that holds the head. A body that is not as long as
// declared is an error that says whether net/http would have sent anything by then, for which it waits until size bytes are there.
func (out *outgoing) appendInline(b []byte, size int) ([]byte, error) {
	head := len(b)
	b = slices.Grow(b, int(out.length)+1)
	for {
		n, err := out.body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if got := int64(len(b) - head); err == io.EOF && got == out.length {
			return b, nil
		} else if err == io.EOF || err == nil && got > out.length {
			if sent := head + int(min(got, out.length)); sent > size {
				return nil, &exchange.BodyError{Err: connectionBroken(out.lengthError(got))}
			}
			return nil, &exchange.BodyError{Err: unsentError{out.lengthError(got)}}
		} else if err != nil {
			return nil, &exchange.BodyError{Err: err}
		}
	}
}

// lengthError counts what is left of a body that is not as long as declared.
func (out *outgoing) lengthError(got int64) error {
	if got > out.length && out.memory != nil {
		got += int64(out.memory.Len())
	} else if got > out.length {
		more, _ := io.CopyN(io.Discard, out.body, maxSurplus)
		got += more
	}
	return fmt.Errorf("http: ContentLength=%d with Body length %d", out.length, got)
}

// upload sends a body that may block. Its goroutine belongs to the exchange; it ends when the body
// does, or when the connection is closed and the body's Read returns.
type upload struct {
	e      *Exchange
	head   []byte // to send first; nil: it has been sent
	out    outgoing
	answer chan bool     // buffered; the server's answer to Expect: does it want the body?
	wrote  bool          // a byte of head; valid when done is closed
	done   chan struct{} // closed at the end
}

// answered tells an upload that waits what the server has said. A final response that keeps the connection
// still wants the body, or it could not be told from the next request; one that ends it does not. Only the
// first answer counts.
func (u *upload) answered(wanted bool) {
	select {
	case u.answer <- wanted:
	default:
	}
}

var (
	errUnwanted = errors.New("peerpool: the server answered without wanting the body")
	errGoexit   = errors.New("peerpool: the request's body has ended the goroutine that read from it")
)

// run sends the body and closes it. If there is an error before anything has been read, it leaves the body to the
// exchange, which may leave it to another.
func (u *upload) run() {
	defer close(u.done)
	err := error(&exchange.BodyError{Err: errGoexit})
	defer func() {
		if err == nil || u.e.body.Touched() {
			if closeErr := u.e.body.Close(); err == nil {
				err = closeErr
			}
		}
		u.e.uploaded(err)
	}()
	err = u.send()
}

func (u *upload) send() (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &exchange.BodyError{Err: exchange.Panicked(v)}
		}
	}()
	if u.head != nil {
		n, err := u.e.Conn.Write(u.head)
		u.wrote = n > 0
		if err != nil {
			return err
		}
		u.e.traceHead()
	}
	if u.out.expect && !u.wait() {
		return errUnwanted
	}
	if u.out.body == nil {
		return nil
	}
	if u.out.chunked {
		return u.chunks()
	}
	if u.out.length < 0 {
		return u.copy(u.out.body, -1)
	}
	if err := u.copy(io.LimitReader(u.out.body, u.out.length), u.out.length); err != nil {
		return err
	}
	return u.checkEnd()
}

// wait waits for 100 Continue, for a final response, or for the time allowed (RFC 9110 section 10.1.1). It
// says whether to send the body.
func (u *upload) wait() bool {
	if u.e.Opts.ExpectTimeout <= 0 {
		return true
	}
	timer := time.NewTimer(u.e.Opts.ExpectTimeout)
	defer timer.Stop()
	select {
	case wanted := <-u.answer:
		return wanted
	case <-timer.C:
		return true
	}
}

// copy copies want bytes, or all when want is negative.
func (u *upload) copy(src io.Reader, want int64) error {
	if u.out.file != nil && u.e.Conn.kernelCopies() {
		return u.copyFile(want)
	}
	buf := make([]byte, copyBuffer)
	var sent int64
	for {
		n, rerr := src.Read(buf)
		if n > 0 {
			sent += int64(n)
			if _, err := u.e.Conn.Write(buf[:n]); err != nil {
				return u.copyFailed(sent, u.readFromError(want, err))
			}
		}
		if rerr == io.EOF && (want < 0 || sent == want) {
			return nil
		}
		if rerr == io.EOF {
			return &exchange.BodyError{Err: connectionBroken(u.out.lengthError(sent))}
		}
		if rerr != nil {
			return &exchange.BodyError{Err: u.readFromError(want, rerr)}
		}
	}
}

// copyError is an error of writing in the midst of a body, which net/http does not tell from one of the body's.
type copyError struct{ err error }

func (e copyError) Error() string { return e.err.Error() }

// copyFailed returns an error of writing the body, when sent bytes of it have been read. What fits into its buffer net/http
// writes when it has read it all.
func (u *upload) copyFailed(sent int64, err error) error {
	if err == io.EOF || sent <= int64(u.e.Opts.writeBuffer()) {
		return err
	}
	return copyError{err}
}

// readFromError returns an error of copying want bytes as net/http has it, which has a plain TCP connection read from a body
// of known length.
func (u *upload) readFromError(want int64, err error) error {
	if _, plain := u.e.Conn.nc.(*net.TCPConn); !plain || want < 0 || u.out.memory != nil {
		return err
	}
	return opError("readfrom", u.e.Conn.nc, err)
}

// copyFile has the kernel copy want bytes of a file, whose offset moves as it does.
func (u *upload) copyFile(want int64) error {
	var n int64
	err := u.e.body.Use(func(io.Reader) (err error) {
		n, err = u.e.Conn.ReadFrom(io.LimitReader(u.out.file, want))
		return err
	})
	if err == nil && n < want {
		err = &exchange.BodyError{Err: connectionBroken(u.out.lengthError(n))}
	}
	return err
}

// checkEnd fails when the body goes on after its declared length.
func (u *upload) checkEnd() error {
	var one [1]byte
	for {
		n, err := u.out.body.Read(one[:])
		if n > 0 {
			return &exchange.BodyError{Err: connectionBroken(u.out.lengthError(u.out.length + 1))}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return &exchange.BodyError{Err: err}
		}
	}
}

// chunks sends the body in the chunked coding (RFC 9112 section 7.1), each read as one chunk.
func (u *upload) chunks() error {
	const room = len("7fffffff\r\n")
	buf := make([]byte, room+copyBuffer+len("\r\n"))
	var sent int64
	for {
		n, rerr := u.out.body.Read(buf[room : room+copyBuffer])
		if n > 0 {
			size := fmt.Appendf(nil, "%x\r\n", n)
			start := room - len(size)
			copy(buf[start:], size)
			chunk := append(buf[start:room+n], "\r\n"...)
			sent += int64(len(chunk))
			if _, err := u.e.Conn.Write(chunk); err != nil {
				return u.copyFailed(sent, err)
			}
		}
		if rerr == io.EOF {
			break
		}
		if rerr != nil {
			return &exchange.BodyError{Err: rerr}
		}
	}
	last := headWriter{b: append(buf[:0], "0\r\n"...)}
	if err := u.e.body.Use(func(io.Reader) error { return last.trailer(u.e.Req.Trailer) }); err != nil {
		return &exchange.BodyError{Err: err}
	}
	_, err := u.e.Conn.Write(append(last.b, "\r\n"...))
	return err
}

// trailer appends the request's trailer, which the body may have filled in. It is the caller's as the body is.
func (w *headWriter) trailer(trailer http.Header) error {
	for name := range trailer {
		if err := checkTrailer(name); err != nil {
			return err
		}
	}
	w.fields(trailer)
	return nil
}

// kernelCopies says whether the kernel can copy a file into the connection.
func (c *Conn) kernelCopies() bool {
	_, ok := c.nc.(io.ReaderFrom)
	return ok && c.tls() == nil
}
