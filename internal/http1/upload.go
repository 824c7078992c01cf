package http1

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/peerpool/peerpool/internal/exchange"
)

const copyBuffer = 32 << 10 // bytes of body copied at a time

// upload sends a body that may block. Its goroutine belongs to the exchange. It ends with the body, or when the
// connection is closed and the body's Read returns.
type upload struct {
	e      *Exchange
	head   []byte // sent first; nil: the caller has sent it
	out    outgoing
	answer chan bool     // buffered: whether the server wants the body, when the request expects 100 Continue
	wrote  bool          // a byte of head has been written; valid when done is closed
	done   chan struct{} // closed at the end
}

// answered passes the server's answer to an upload that waits for it. Only the first answer counts. If it is a final
// response that keeps the connection, the body is still sent: otherwise the server would take the next request for the body.
// If it is a final response that ends the connection, the body is not sent.
func (u *upload) answered(wanted bool) {
	select {
	case u.answer <- wanted:
	default:
	}
}

var (
	errUnwanted = errors.New("peerpool: the server answered before the request's body was sent, and does not want it")
	errGoexit   = errors.New("peerpool: the request's body has ended the goroutine that read from it")
)

// run sends the body and closes it. If it fails before anything has been read, it leaves the body to the exchange, so
// that another attempt can send it.
func (u *upload) run() {
	defer close(u.done)
	err := error(&exchange.BodyError{Err: errGoexit})
	defer func() {
		if err == nil || u.e.sending.Touched() {
			if closeErr := u.e.sending.Close(); err == nil {
				err = closeErr
			}
		}
		u.e.Conn.endWriteLimit(u.e.Opts.BodyWriteTimeout)
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
		n, err := u.write(u.head)
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

// wait waits for 100 Continue, for a final response, or for the time allowed (RFC 9110 section 10.1.1). It returns
// whether to send the body.
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

// copy copies want bytes, or all if want is negative.
func (u *upload) copy(src io.Reader, want int64) error {
	if u.out.file != nil && u.e.Conn.kernelCopies() && u.e.Opts.BodyWriteTimeout <= 0 {
		return u.copyFile(want)
	}
	buf := make([]byte, copyBuffer)
	var sent int64
	for {
		n, rerr := src.Read(buf)
		if n > 0 {
			sent += int64(n)
			if _, err := u.write(buf[:n]); err != nil {
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

// copyError is an error of writing within a body. net/http does not distinguish it from an error of the body.
type copyError struct{ err error }

func (e copyError) Error() string { return e.err.Error() }

// copyFailed returns the error of writing the body after sent bytes of it have been read. net/http has read a whole body
// before it writes what fits into its buffer.
func (u *upload) copyFailed(sent int64, err error) error {
	if err == io.EOF || err == exchange.ErrBodyWrite || sent <= int64(u.e.Opts.writeBuffer()) {
		return err
	}
	return copyError{err}
}

// readFromError returns the error of copying want bytes as net/http returns it. There, a plain TCP connection reads from a
// body of known length by its ReadFrom.
func (u *upload) readFromError(want int64, err error) error {
	if _, plain := u.e.Conn.nc.(*net.TCPConn); !plain || want < 0 || u.out.memory != nil || err == exchange.ErrBodyWrite {
		return err
	}
	return opError("readfrom", u.e.Conn.nc, err)
}

// copyFile has the kernel copy want bytes of a file. The file's offset moves by what has been copied, as does a part of it.
func (u *upload) copyFile(want int64) error {
	var n int64
	err := u.e.sending.Use(func(io.Reader) (err error) {
		n, err = u.e.Conn.ReadFrom(io.LimitReader(u.out.file, want))
		if u.out.part != nil {
			u.out.part.N -= n
		}
		return err
	})
	switch {
	case err == nil && n < want:
		err = &exchange.BodyError{Err: connectionBroken(u.out.lengthError(n))}
	case err == nil:
		u.e.sending.End()
	}
	return err
}

// checkEnd fails if the body goes on after its declared length.
func (u *upload) checkEnd() error {
	var one [1]byte
	for {
		n, err := u.out.body.Read(one[:])
		if n > 0 {
			return &exchange.BodyError{Err: connectionBroken(u.out.lengthError(u.out.length + 1 + u.surplus()))}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return &exchange.BodyError{Err: err}
		}
	}
}

// surplus counts what is left of a body that is too long.
func (u *upload) surplus() int64 {
	if u.out.memory != nil {
		return int64(u.out.memory.Len())
	}
	n, _ := io.CopyN(io.Discard, u.out.body, maxSurplus)
	return n
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
			if _, err := u.write(chunk); err != nil {
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
	if err := u.e.sending.Use(func(io.Reader) error { return last.trailer(u.e.Req.Trailer) }); err != nil {
		return &exchange.BodyError{Err: err}
	}
	_, err := u.write(append(last.b, "\r\n"...))
	return err
}

// trailer appends the request's trailer, into which the body may have put values until now. The caller may change it when
// nobody reads the body any more.
func (w *headWriter) trailer(trailer http.Header) error {
	for name := range trailer {
		if err := checkTrailer(name); err != nil {
			return err
		}
	}
	w.header(trailer)
	return nil
}

// kernelCopies reports whether the kernel can copy a file into the connection.
func (c *Conn) kernelCopies() bool {
	_, ok := c.nc.(io.ReaderFrom)
	return ok && c.tls() == nil
}
