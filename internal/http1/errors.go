package http1

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
)

// The errors of malformed and contradictory quote at most quoted bytes of what the peer has sent. A caller gets these errors
// only if net/http would accept the response; see Exchange.refuse.
const quoted = 64

func malformed[T string | []byte](what string, got T) error {
	if len(got) > quoted {
		got = got[:quoted]
	}
	return fmt.Errorf("%s %q", what, got)
}

// contradictory quotes the values of a field that may have only one.
func contradictory(what string, values []string) error {
	text := fmt.Sprintf("%q", values)
	if len(text) > quoted {
		text = text[:quoted]
	}
	return errors.New(what + " " + text)
}

var (
	// ErrHeaderTimeout says that no response head came within the time allowed for it.
	ErrHeaderTimeout error = &timeoutError{"net/http: timeout awaiting response headers"}

	// ErrBodyReadAfterClose is what reading a closed response body returns.
	ErrBodyReadAfterClose = errors.New("http: read on closed response body")

	errTooManyInterim  = errors.New("net/http: too many 1xx informational responses")
	errTooManyFields   = errors.New("net/http: server response headers have too many fields")
	errSlowUpload      = errors.New("peerpool: the response ended before the request was sent")
	errNotDrained      = errors.New("peerpool: the rest of a closed response body is longer than the Transport reads")
	errDrainTimeout    = errors.New("peerpool: the rest of a closed response body did not arrive in time")
	errConcurrentRead  = errors.New("http: concurrent reads of one response body")
	errChunkedEncoding = errors.New("malformed chunked encoding")
	errLongChunkLine   = http.ErrLineTooLong
	errNoChunkSize     = errors.New("empty hex number for chunk length")
	errChunkSizeByte   = errors.New("invalid byte in chunk length")
	errChunkSize       = errors.New("http chunk length too large")
	errBareLF          = errors.New("chunked line ends with bare LF")
	errTrailerTooLong  = errors.New("http: suspiciously long trailer after chunked body")
	errTrailerEOF      = errors.New("http: unexpected EOF reading trailer")
	errExcessiveChunks = errors.New("chunked encoding contains too much non-data")
)

// timeoutError is a net.Error whose Timeout is true.
type timeoutError struct{ text string }

func (e *timeoutError) Error() string   { return e.text }
func (e *timeoutError) Timeout() bool   { return true }
func (e *timeoutError) Temporary() bool { return true }

// ErrorType returns the word that peerpool uses for all time-outs. OpenTelemetry's instrumentations of net/http call it.
func (e *timeoutError) ErrorType() string { return "timeout" }

// Is makes errors.Is(err, context.DeadlineExceeded) true, as it is for net/http's error.
func (e *timeoutError) Is(err error) bool { return err == context.DeadlineExceeded }

func errHeaderTooLong(limit int64) error {
	return fmt.Errorf("net/http: server response headers exceeded %d bytes; aborted", limit)
}

// connectionBroken wraps an error as net/http does if a part of the request was written, or a part of the response's head was
// read.
func connectionBroken(err error) error {
	return fmt.Errorf("net/http: HTTP/1.x transport connection broken: %w", err)
}

// unsentError wraps an error of writing as net/http does if nothing was written. It hides the methods of the error.
type unsentError struct{ err error }

func (e unsentError) Error() string { return e.err.Error() }
func (e unsentError) Unwrap() error { return e.err }

// opError returns an error of a connection as package net makes it.
func opError(op string, nc net.Conn, err error) error {
	local := nc.LocalAddr()
	return &net.OpError{Op: op, Net: local.Network(), Source: local, Addr: nc.RemoteAddr(), Err: err}
}
