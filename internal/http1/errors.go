package http1

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
)

// ProtocolError is a response that breaks RFC 9112. Its text quotes what the peer sent, shortened.
type ProtocolError struct {
	text string
}

func (e *ProtocolError) Error() string { return e.text }

// malformed and contradictory quote at most this many bytes of what the peer sent.
const quoted = 64

func malformed[T string | []byte](what string, got T) error {
	if len(got) > quoted {
		got = got[:quoted]
	}
	return &ProtocolError{fmt.Sprintf("%s %q", what, got)}
}

// contradictory quotes the values of a field that may have only one.
func contradictory(what string, values []string) error {
	text := fmt.Sprintf("%q", values)
	if len(text) > quoted {
		text = text[:quoted]
	}
	return &ProtocolError{what + " " + text}
}

var (
	// ErrHeaderTimeout says that no response head came within the time allowed for it.
	ErrHeaderTimeout error = &timeoutError{"net/http: timeout awaiting response headers"}

	// ErrBodyReadAfterClose is what reading a closed response body returns.
	ErrBodyReadAfterClose = errors.New("http: read on closed response body")

	errTooManyInterim  = &ProtocolError{"net/http: too many 1xx informational responses"}
	errTooManyFields   = &ProtocolError{"net/http: server response headers have too many fields"}
	errSlowUpload      = errors.New("peerpool: the response ended before the request was sent")
	errNotDrained      = errors.New("peerpool: more is left of a closed response body than is drained")
	errDrainTimeout    = errors.New("peerpool: the rest of a closed response body did not arrive in time")
	errConcurrentRead  = errors.New("http: concurrent reads of one response body")
	errChunkedEncoding = &ProtocolError{"malformed chunked encoding"}
	errLongChunkLine   = http.ErrLineTooLong
	errNoChunkSize     = &ProtocolError{"empty hex number for chunk length"}
	errChunkSizeByte   = &ProtocolError{"invalid byte in chunk length"}
	errChunkSize       = &ProtocolError{"http chunk length too large"}
	errBareLF          = &ProtocolError{"chunked line ends with bare LF"}
	errTrailerTooLong  = &ProtocolError{"http: suspiciously long trailer after chunked body"}
	errTrailerEOF      = &ProtocolError{"http: unexpected EOF reading trailer"}
	errExcessiveChunks = &ProtocolError{"chunked encoding contains too much non-data"}
)

// timeoutError is a net.Error whose Timeout is true.
type timeoutError struct{ text string }

func (e *timeoutError) Error() string   { return e.text }
func (e *timeoutError) Timeout() bool   { return true }
func (e *timeoutError) Temporary() bool { return true }

// Is makes it the error of a context out of time, too, as net/http's is.
func (e *timeoutError) Is(err error) bool { return err == context.DeadlineExceeded }

func errHeaderTooLong(limit int64) error {
	return &ProtocolError{fmt.Sprintf("net/http: server response headers exceeded %d bytes; aborted", limit)}
}

// opError is an error of a connection as the standard library words it.
func opError(op string, nc net.Conn, err error) error {
	local := nc.LocalAddr()
	return &net.OpError{Op: op, Net: local.Network(), Source: local, Addr: nc.RemoteAddr(), Err: err}
}
