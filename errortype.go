package peerpool

import (
	"errors"
	"io"
	"syscall"

	"github.com/peerpool/peerpool/internal/http1"
)

// ErrorType returns the hop that failed in the words of OpenTelemetry's error.type: "name_resolution_error",
// "connection_error", "proxy_tunnel_error", "secure_connection_error", or "timeout" whichever the hop was.
func (e *DialError) ErrorType() string {
	if e.Timeout() {
		return "timeout"
	}
	switch e.Op {
	case opResolve:
		return "name_resolution_error"
	case opProxy:
		return "proxy_tunnel_error"
	case opTLS:
		return "secure_connection_error"
	}
	return "connection_error"
}

// ErrorType returns what went wrong in the words of OpenTelemetry's error.type: "timeout", "invalid_response",
// "response_ended" where the server ended the connection, or "connection_error".
func (e *ExchangeError) ErrorType() string {
	var protocol *http1.ProtocolError
	switch {
	case e.Timeout():
		return "timeout"
	case errors.As(e.Err, &protocol):
		return "invalid_response"
	case errors.Is(e.Err, io.EOF), errors.Is(e.Err, io.ErrUnexpectedEOF), errors.Is(e.Err, syscall.ECONNRESET):
		return "response_ended"
	}
	return "connection_error"
}
