package peerpool

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"

	"github.com/peerpool/peerpool/internal/exchange"
)

// ErrorType classifies an error with the values of OpenTelemetry's attribute error.type. There are few values, so a metric
// can use them as labels. [ErrorTypes], [ResolveErrorTypes] and [ConnectErrorTypes] list them. The value "" means that there
// was no error, or that the caller canceled the request.
type ErrorType string

// These are values of OpenTelemetry's error.type. OpenTelemetry has a constant only for errorOther.
const (
	errorTimeout    ErrorType = "timeout"
	errorResolve    ErrorType = "name_resolution_error"
	errorConnection ErrorType = "connection_error"
	errorProxy      ErrorType = "proxy_tunnel_error"
	errorTLS        ErrorType = "secure_connection_error"
	errorResponse   ErrorType = "invalid_response"
	errorEnded      ErrorType = "response_ended"
	errorOther      ErrorType = "_OTHER"
)

// Look-ups have these error types besides those of dials and requests.
const (
	errorNotFound  ErrorType = "host_not_found"
	errorTryAgain  ErrorType = "try_again"
	errorNoRecover ErrorType = "no_recovery"
)

// lookupErrorType classifies the error of a look-up, as OpenTelemetry's conventions for DNS do. It returns "" if there is no
// error, or if the look-up was canceled.
func lookupErrorType(err error) ErrorType {
	dns, ok := errors.AsType[*net.DNSError](err)
	switch {
	case err == nil:
		return ""
	case ok && dns.IsNotFound:
		return errorNotFound
	case exchange.IsTimeout(err):
		return errorTimeout
	case ok && dns.IsTemporary:
		return errorTryAgain
	case ok:
		return errorNoRecover
	case errors.Is(err, context.Canceled):
		return ""
	}
	return errorOther
}

// connectErrors are the errors of connect(2) that have names of their own. The names are those of .NET.
var connectErrors = []struct {
	is   error
	name ErrorType
}{
	{syscall.ECONNREFUSED, "connection_refused"},
	{syscall.ECONNRESET, "connection_reset"},
	{syscall.EHOSTUNREACH, "host_unreachable"},
	{syscall.ENETUNREACH, "network_unreachable"},
	{syscall.EADDRNOTAVAIL, "address_not_available"},
}

// connectErrorType classifies the error of a connect. It returns "" if there is no error, or if the connect was canceled.
func connectErrorType(err error) ErrorType {
	if err == nil || errors.Is(err, context.Canceled) {
		return ""
	}
	for _, known := range connectErrors {
		if errors.Is(err, known.is) {
			return known.name
		}
	}
	if exchange.IsTimeout(err) {
		return errorTimeout
	}
	return errorConnection
}

// dialErrorType classifies an error that a request met before its exchange, with a value of OpenTelemetry's error.type. It
// returns "" if there is no error, and if the caller canceled the request, which does not count as an error.
func dialErrorType(err error) ErrorType {
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return ""
	case exchange.IsTimeout(err):
		return errorTimeout
	}
	switch hopOf(err) {
	case opResolve:
		return errorResolve
	case opConnect, opHTTP2:
		return errorConnection
	case opProxy:
		return errorProxy
	case opTLS:
		return errorTLS
	}
	return errorOther
}

// errorType classifies the error of an attempt, as dialErrorType does for a dial.
func (o *outcome) errorType() ErrorType {
	switch {
	case o.unleased:
		return dialErrorType(o.err)
	case o.err == nil, errors.Is(o.err, context.Canceled):
		return ""
	case exchange.IsTimeout(o.err):
		return errorTimeout
	case o.canceled, o.Unfit, o.BodyFailed:
		return errorOther
	case o.Malformed:
		return errorResponse
	case errors.Is(o.err, io.EOF), errors.Is(o.err, io.ErrUnexpectedEOF), errors.Is(o.err, syscall.ECONNRESET):
		return errorEnded
	}
	return errorConnection
}

// hopErrorType classifies err as dialErrorType does, and more precisely if a look-up or a connect has failed.
func hopErrorType(err error) ErrorType {
	general := dialErrorType(err)
	if general == "" {
		return ""
	}
	switch hopOf(err) {
	case opResolve:
		return lookupErrorType(err)
	case opConnect:
		return connectErrorType(err)
	}
	return general
}
