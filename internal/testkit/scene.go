package testkit

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
	"net/http/httptrace"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	xhttp2 "golang.org/x/net/http2"
)

// Take returns the Transport of the scene with the very fields of config. Unlike [Scene.Use], it does not clone config,
// because net/http would then set up HTTP/2 in config for both Transports.
func (s *Scene) Take(config *http.Transport) Transport {
	s.Helper()
	tr := Transport(config)
	if s.Ours {
		ours := new(peerpool.Transport)
		from, to := reflect.ValueOf(config).Elem(), reflect.ValueOf(ours).Elem()
		for i := range from.NumField() {
			if field := from.Type().Field(i); field.IsExported() {
				to.FieldByName(field.Name).Set(from.Field(i))
			}
		}
		tr = ours
	}
	s.Cleanup(tr.CloseIdleConnections)
	return tr
}

// NoteFields notes, for each field that both Transports have, whether it is set, and whether a and b share its value.
func (s *Scene) NoteFields(a, b Transport) {
	va, vb := reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem()
	for _, field := range reflect.VisibleFields(reflect.TypeFor[http.Transport]()) {
		if !field.IsExported() {
			continue
		}
		fa, fb := va.FieldByName(field.Name), vb.FieldByName(field.Name)
		s.Note("%s: set %v, and then %v, shared %v", field.Name, !fa.IsZero(), !fb.IsZero(), shared(fa, fb))
	}
}

func shared(a, b reflect.Value) bool {
	switch a.Kind() {
	case reflect.Pointer, reflect.Map:
		return !a.IsNil() && a.UnsafePointer() == b.UnsafePointer()
	}
	return false
}

// Quietly sends a request and returns its body, or the text of its error. It makes no note, so it may be called on any
// goroutine.
func Quietly(tr http.RoundTripper, req *http.Request) string {
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return string(body)
}

// AtOnce sends n requests. None of them is answered before all have arrived.
func (s *Scene) AtOnce(tr http.RoundTripper, o *httptestutil.Origin, release chan struct{}, n int) {
	s.Helper()
	before := o.Requests()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() { Quietly(tr, NewRequest(s, http.MethodGet, o.URL()+"/hold", nil)) })
	}
	o.WaitRequests(before + n)
	for range n {
		release <- struct{}{}
	}
	wg.Wait()
}

// Transport is the interface that both Transports implement.
type Transport interface {
	http.RoundTripper
	CancelRequest(*http.Request)
	CloseIdleConnections()
	RegisterProtocol(scheme string, rt http.RoundTripper)
	NewClientConn(ctx context.Context, scheme, address string) (*http.ClientConn, error)
}

// Scene is one run of a scenario, with one of the two Transports, and the notes taken during it.
type Scene struct {
	*testing.T
	Ours  bool
	Notes []string
}

// SideBySide runs a scenario with net/http's Transport and with ours, each with its own servers. The test fails unless the
// notes of both are the same.
func SideBySide(t *testing.T, scenario func(s *Scene)) {
	t.Helper()
	Compare(t, scenario, OnTheWall, OnTheWall)
}

// clock runs a scenario by some clock.
type clock func(*testing.T, func(*testing.T))

func OnTheWall(t *testing.T, perform func(*testing.T)) { perform(t) }

// Moods is how often net/http may run a scenario before it counts as different from ours. If two of its goroutines, or two
// timers of http.Client, notice the same thing, the faster one decides. What ours does must be one of the things that
// net/http does.
const Moods = 20

// Compare does what SideBySide does, each by a clock of its own.
func Compare(t *testing.T, scenario func(s *Scene), theirClock, ourClock clock) {
	t.Helper()
	log.SetOutput(io.Discard) // net/http logs the mistakes of servers
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	theirs, ours := &Scene{}, &Scene{Ours: true}
	t.Run("peerpool", func(t *testing.T) { ourClock(t, func(t *testing.T) { ours.T = t; scenario(ours) }) })
	for n := 0; n == 0 || n < Moods && !slices.Equal(ours.Notes, theirs.Notes); n++ {
		theirs = &Scene{}
		t.Run("net http", func(t *testing.T) { theirClock(t, func(t *testing.T) { theirs.T = t; scenario(theirs) }) })
	}
	if len(theirs.Notes) == 0 {
		t.Error("nothing was noted, which shows nothing")
	}
	if !slices.Equal(ours.Notes, theirs.Notes) {
		t.Errorf("peerpool:\n\t%s\nnet/http:\n\t%s", strings.Join(ours.Notes, "\n\t"), strings.Join(theirs.Notes, "\n\t"))
	}
}

// Use returns the Transport of the scene with the given configuration. Nil means the zero configuration.
func (s *Scene) Use(config *http.Transport) Transport {
	s.Helper()
	if config == nil {
		config = &http.Transport{}
	}
	tr := Transport(config)
	if s.Ours {
		tr = peerpool.FromHTTP(config)
	}
	s.Cleanup(tr.CloseIdleConnections)
	return tr
}

// Note adds a line to the notes. It leaves out what differs from run to run without meaning anything, such as addresses and
// ports that the system chose.
func (s *Scene) Note(format string, args ...any) {
	s.Notes = append(s.Notes, ephemeral.ReplaceAllString(fmt.Sprintf(format, args...), "${1}:x"))
}

var ephemeral = regexp.MustCompile(`(127\.0\.0\.1|\[::1\]):\d{4,5}`)

// Response notes the result of a request: the response with its body, or the error.
func (s *Scene) Response(resp *http.Response, err error) {
	s.Helper()
	if err != nil {
		s.Fault("no response", err)
		return
	}
	body, err := io.ReadAll(resp.Body)
	s.Note("%s %s, length %d, body %.200q", resp.Proto, resp.Status, resp.ContentLength, body)
	if err != nil {
		s.Fault("body", err)
	}
	if err := resp.Body.Close(); err != nil {
		s.Fault("close", err)
	}
}

// Get sends a GET with a Client and notes the result.
func (s *Scene) Get(tr Transport, target string) {
	s.Helper()
	s.Do(tr, NewRequest(s, http.MethodGet, target, nil))
}

// Do sends a request with a Client and notes the result.
func (s *Scene) Do(tr Transport, req *http.Request) {
	s.Helper()
	s.Response((&http.Client{Transport: tr}).Do(req))
}

// Fault notes what programs ask about an error: its text, the sentinels and types in it, and whether it is a time-out.
func (s *Scene) Fault(where string, err error) {
	s.Helper()
	s.Note("%s: %v", where, err)
	s.Note("%s: is %v", where, sentinelsIn(err))
	s.Note("%s: as %v", where, typesIn(err))
	s.Note("%s: timeout %v, temporary %v, os.IsTimeout %v", where, SaysTimeout(err), saysTemporary(err), os.IsTimeout(err))
}

func SaysTimeout(err error) bool {
	e, ok := err.(interface{ Timeout() bool })
	return ok && e.Timeout()
}

func saysTemporary(err error) bool {
	e, ok := err.(interface{ Temporary() bool })
	return ok && e.Temporary()
}

// sentinels holds the errors with which programs compare.
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

// typesIn returns the types of error that programs look for and that err has.
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

// OverHTTP2 starts an origin that speaks only HTTP/2, and returns it with a Transport that speaks HTTP/2 too.
func (s *Scene) OverHTTP2(config *http.Transport, handler http.HandlerFunc) (Transport, *httptestutil.Origin) {
	s.Helper()
	o := httptestutil.NewOrigin(s, httptestutil.OriginOptions{Handler: handler, CA: httptestutil.NewCA(s), Protocols: Versions(OverHTTP2)})
	config.TLSClientConfig, config.ForceAttemptHTTP2 = o.ClientTLS(), true
	return s.Use(config), o
}

// StreamFault notes what Fault notes, and what programs ask about the error of a stream.
func (s *Scene) StreamFault(err error) {
	s.Helper()
	s.Fault("error", err)
	var stream xhttp2.StreamError
	if errors.As(err, &stream) {
		s.Note("stream error %v", stream.Code)
	}
}

func Flush(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }

// Versions returns a set of HTTP versions.
func Versions(set ...func(*http.Protocols, bool)) *http.Protocols {
	p := new(http.Protocols)
	for _, f := range set {
		f(p, true)
	}
	return p
}

var (
	OverHTTP1  = (*http.Protocols).SetHTTP1
	OverHTTP2  = (*http.Protocols).SetHTTP2
	WithoutTLS = (*http.Protocols).SetUnencryptedHTTP2
)

// Speak sends a GET and notes the protocol in which it arrives, and what was negotiated.
func (s *Scene) Speak(tr Transport, target string) {
	s.Helper()
	resp, err := tr.RoundTrip(NewRequest(s, http.MethodGet, target, nil))
	if err != nil {
		s.Fault("no response", err)
		return
	}
	seen := httptestutil.ReadSeen(s, resp)
	s.Note("%s, seen as %s by %s, connection %d", resp.Proto, seen.Proto, seen.ALPN, seen.Conn)
}

// Hooked sends a GET and notes which hooks about connections were called for it.
func (s *Scene) Hooked(tr Transport, target string) {
	s.Helper()
	var calls []string
	req := NewRequest(s, http.MethodGet, target, nil)
	resp, err := tr.RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GetConn: func(string) { calls = append(calls, "GetConn") },
		GotConn: func(info httptrace.GotConnInfo) {
			calls = append(calls, fmt.Sprintf("GotConn, reused %v", info.Reused))
		},
	})))
	if err != nil {
		s.Fault("no response", err)
		return
	}
	s.Note("%s, %q, of the caller's request %v", resp.Proto, calls, resp.Request.URL == req.URL)
	ReadBody(s, resp)
}

// Beside returns both Transports, to be compared. It discards what net/http logs about servers that misbehave.
func Beside(t *testing.T) (ours *peerpool.Transport, theirs *http.Transport) {
	t.Helper()
	log.SetOutput(io.Discard)
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	ours, theirs = &peerpool.Transport{}, &http.Transport{}
	t.Cleanup(ours.CloseIdleConnections)
	t.Cleanup(theirs.CloseIdleConnections)
	return ours, theirs
}

// Traced sends a GET that fails, and notes the hooks that were called and the error.
func (s *Scene) Traced(tr Transport, target string) {
	s.Helper()
	s.tracedWith(NewHooks(), tr, target)
}

// TracedUntil does what Traced does, with a server that sends only answer and closes the connection. It waits for the hook
// of the request's end, which could otherwise be called at any time.
func (s *Scene) TracedUntil(answer string) {
	s.Helper()
	h := NewHooks()
	w := httptestutil.NewWire(s, func(c *httptestutil.WireConn) {
		c.ReadRequest()
		c.Await(h.wrote)
		c.Write(answer)
		c.Close()
	})
	s.tracedWith(h, s.Use(nil), w.URL())
}

func (s *Scene) tracedWith(h *Hooks, tr Transport, target string) {
	s.Helper()
	req := NewRequest(s, http.MethodGet, target, nil)
	_, err := tr.RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), h.Trace())))
	if err == nil {
		s.Fatal("the request has not failed")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, call := range h.Calls {
		s.Note("%s", call)
	}
	s.Note("%v", err)
}
