package peerpool_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/peerpool/peerpool"
)

// transport is what both Transports are.
type transport interface {
	http.RoundTripper
	CancelRequest(*http.Request)
	CloseIdleConnections()
	RegisterProtocol(scheme string, rt http.RoundTripper)
	NewClientConn(ctx context.Context, scheme, address string) (*http.ClientConn, error)
}

var (
	_ transport = (*http.Transport)(nil)
	_ transport = (*peerpool.Transport)(nil)
)

// scene is one performance of a scenario, with either Transport, and the notes taken of it.
type scene struct {
	*testing.T
	ours  bool
	notes []string
}

// sideBySide performs a scenario with net/http's Transport and with ours, each with servers of its own, and fails
// the test unless the notes of both are the same.
func sideBySide(t *testing.T, scenario func(s *scene)) {
	t.Helper()
	compare(t, scenario, onTheWall, onTheWall)
}

// sideBySideInBubble is sideBySide with a clock of its own. Servers listen in memory.
func sideBySideInBubble(t *testing.T, scenario func(s *scene)) {
	t.Helper()
	compare(t, scenario, synctest.Test, synctest.Test)
}

// clock runs a performance by some clock.
type clock func(*testing.T, func(*testing.T))

func onTheWall(t *testing.T, perform func(*testing.T)) { perform(t) }

func compare(t *testing.T, scenario func(s *scene), theirClock, ourClock clock) {
	t.Helper()
	log.SetOutput(io.Discard) // net/http logs what servers do wrong
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	theirs, ours := &scene{}, &scene{ours: true}
	t.Run("net http", func(t *testing.T) { theirClock(t, func(t *testing.T) { theirs.T = t; scenario(theirs) }) })
	t.Run("peerpool", func(t *testing.T) { ourClock(t, func(t *testing.T) { ours.T = t; scenario(ours) }) })
	if len(theirs.notes) == 0 {
		t.Error("nothing was noted, which shows nothing")
	}
	if !slices.Equal(ours.notes, theirs.notes) {
		t.Errorf("peerpool:\n\t%s\nnet/http:\n\t%s", strings.Join(ours.notes, "\n\t"), strings.Join(theirs.notes, "\n\t"))
	}
}

// use returns the Transport of the scene with that configuration; nil: the zero one.
func (s *scene) use(config *http.Transport) transport {
	s.Helper()
	if config == nil {
		config = &http.Transport{}
	}
	tr := transport(config)
	if s.ours {
		tr = peerpool.FromHTTP(config)
	}
	s.Cleanup(tr.CloseIdleConnections)
	return tr
}

// note writes down what may differ from performance to performance only where it means something: addresses and
// ports that the system chose do not.
func (s *scene) note(format string, args ...any) {
	s.notes = append(s.notes, ephemeral.ReplaceAllString(fmt.Sprintf(format, args...), "${1}:x"))
}

var ephemeral = regexp.MustCompile(`(127\.0\.0\.1|\[::1\]):\d{4,5}`)

// response notes what came of a request: the response with its body, or the error.
func (s *scene) response(resp *http.Response, err error) {
	s.Helper()
	if err != nil {
		s.fault("no response", err)
		return
	}
	body, err := io.ReadAll(resp.Body)
	s.note("%s %s, length %d, body %.200q", resp.Proto, resp.Status, resp.ContentLength, body)
	if err != nil {
		s.fault("body", err)
	}
	if err := resp.Body.Close(); err != nil {
		s.fault("close", err)
	}
}

// get sends a GET by way of a Client and notes what comes of it.
func (s *scene) get(tr transport, target string) {
	s.Helper()
	s.do(tr, newRequest(s, http.MethodGet, target, nil))
}

// do sends a request by way of a Client and notes what comes of it.
func (s *scene) do(tr transport, req *http.Request) {
	s.Helper()
	s.response((&http.Client{Transport: tr}).Do(req))
}

// fault notes all of an error that programs ask: its text, the sentinels and types in it, whether time ran out.
func (s *scene) fault(where string, err error) {
	s.Helper()
	s.note("%s: %v", where, err)
	s.note("%s: is %v", where, sentinelsIn(err))
	s.note("%s: as %v", where, typesIn(err))
	s.note("%s: timeout %v, temporary %v, os.IsTimeout %v", where, saysTimeout(err), saysTemporary(err), os.IsTimeout(err))
}

func saysTimeout(err error) bool {
	e, ok := err.(interface{ Timeout() bool })
	return ok && e.Timeout()
}

func saysTemporary(err error) bool {
	e, ok := err.(interface{ Temporary() bool })
	return ok && e.Temporary()
}

// sentinels are the errors that programs compare with.
var sentinels = []error{
	io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, context.Canceled, context.DeadlineExceeded, os.ErrDeadlineExceeded,
	net.ErrClosed, http.ErrSchemeMismatch, http.ErrBodyReadAfterClose, http.ErrSkipAltProtocol, http.ErrLineTooLong,
	http.ErrUseLastResponse, http.ErrNotSupported, http.ErrMissingFile, http.ErrNoLocation,
	syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE, syscall.EADDRNOTAVAIL,
}

func sentinelsIn(err error) (found []string) {
	for _, sentinel := range sentinels {
		if errors.Is(err, sentinel) {
			found = append(found, sentinel.Error())
		}
	}
	return found
}

// typesIn lists the types of error that programs look for.
func typesIn(err error) (found []string) {
	note := func(name string, ok bool) {
		if ok {
			found = append(found, name)
		}
	}
	_, isURL := errors.AsType[*url.Error](err)
	note("*url.Error", isURL)
	op, isOp := errors.AsType[*net.OpError](err)
	if isOp {
		note(fmt.Sprintf("*net.OpError %s %s", op.Op, op.Net), true)
	}
	_, isDNS := errors.AsType[*net.DNSError](err)
	note("*net.DNSError", isDNS)
	_, isSyscall := errors.AsType[*os.SyscallError](err)
	note("*os.SyscallError", isSyscall)
	_, isVerify := errors.AsType[*tls.CertificateVerificationError](err)
	note("*tls.CertificateVerificationError", isVerify)
	_, isAuthority := errors.AsType[x509.UnknownAuthorityError](err)
	note("x509.UnknownAuthorityError", isAuthority)
	_, isHost := errors.AsType[x509.HostnameError](err)
	note("x509.HostnameError", isHost)
	_, isInvalid := errors.AsType[x509.CertificateInvalidError](err)
	note("x509.CertificateInvalidError", isInvalid)
	_, isRecord := errors.AsType[tls.RecordHeaderError](err)
	note("tls.RecordHeaderError", isRecord)
	_, isAlert := errors.AsType[tls.AlertError](err)
	note("tls.AlertError", isAlert)
	_, isTooLarge := errors.AsType[*http.MaxBytesError](err)
	note("*http.MaxBytesError", isTooLarge)
	return found
}
