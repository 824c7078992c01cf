package http2

import (
	"errors"
	"fmt"
	"io"
	"strings"

	xhttp2 "golang.org/x/net/http2"
)

// Calls of HTTP2Config.CountError, with net/http's words. The reading goroutine makes them.

func (e *Engine) count(what string) {
	if e.countError != nil {
		e.countError(what)
	}
}

// codeName returns the name of an error code.
func codeName(code xhttp2.ErrCode) string {
	name := code.String()
	if strings.HasPrefix(name, "unknown") {
		return fmt.Sprintf("ERR_UNKNOWN_%d", uint32(code))
	}
	return name
}

// countReadError counts why reading has ended.
func (e *Engine) countReadError(err error) {
	if e.countError == nil {
		return
	}
	code, ok := err.(xhttp2.ConnectionError)
	switch {
	case ok:
		e.count("read_frame_conn_error_" + codeName(xhttp2.ErrCode(code)))
	case errors.Is(err, io.EOF):
		e.count("read_frame_eof")
	case errors.Is(err, io.ErrUnexpectedEOF):
		e.count("read_frame_unexpected_eof")
	case errors.Is(err, xhttp2.ErrFrameTooLarge):
		e.count("read_frame_too_large")
	default:
		e.count("read_frame_other")
	}
}
