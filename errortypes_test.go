package peerpool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
)

func TestTheErrorTypeOfALookUpSaysWhatTheResolverSaid(t *testing.T) {
	for _, c := range []struct {
		err  error
		want ErrorType
	}{
		{nil, ""},
		{context.Canceled, ""},
		{&net.OpError{Op: "dial", Err: &net.DNSError{IsNotFound: true}}, "host_not_found"},
		{&net.DNSError{IsTimeout: true, IsTemporary: true}, "timeout"},
		{&net.DNSError{IsTemporary: true}, "try_again"},
		{&net.DNSError{}, "no_recovery"},
		{fmt.Errorf("slow: %w", context.DeadlineExceeded), "timeout"},
		{io.EOF, "_OTHER"},
	} {
		got := lookupErrorType(c.err)
		if got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
		if got != "" && !slices.Contains(ResolveErrorTypes(), got) {
			t.Errorf("ResolveErrorTypes does not have %q", got)
		}
	}
}

func TestTheErrorTypeOfAConnectSaysWhatTheSystemSaid(t *testing.T) {
	failed := func(err error) error { return &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", err)} }
	for _, c := range []struct {
		err  error
		want ErrorType
	}{
		{nil, ""},
		{&net.OpError{Op: "dial", Err: context.Canceled}, ""},
		{failed(syscall.ECONNREFUSED), "connection_refused"},
		{failed(syscall.ECONNRESET), "connection_reset"},
		{failed(syscall.EHOSTUNREACH), "host_unreachable"},
		{failed(syscall.ENETUNREACH), "network_unreachable"},
		{failed(syscall.EADDRNOTAVAIL), "address_not_available"},
		{failed(syscall.ETIMEDOUT), "timeout"},
		{&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, "timeout"},
		{errors.New("something else"), "connection_error"},
	} {
		got := connectErrorType(c.err)
		if got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
		if got != "" && !slices.Contains(ConnectErrorTypes(), got) {
			t.Errorf("ConnectErrorTypes does not have %q", got)
		}
	}
}
