package peerpool

import (
	"context"
	"errors"
	"net"
	"syscall"

	"github.com/peerpool/peerpool/internal/exchange"
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
