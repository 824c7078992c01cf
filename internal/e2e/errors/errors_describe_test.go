package errors_test

//lint:file-ignore SA1019 programs still use what is deprecated, so it is tested

import (
	"compress/flate"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"go/token"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/net/http2"
)

// describe tells everything that a program can ask of an error: at every level of its chain the type, the text, the
// exported fields, the answers of Timeout, Temporary and os.IsTimeout and the values that it equals; and of the whole,
// what errors.Is and errors.As say. Two errors with one description cannot be told apart, but for the ports in them.
func describe(err error) []string {
	if err == nil {
		return []string{"nil"}
	}
	lines := describeLevel(err, "")
	lines = append(lines, "errors.Is: "+strings.Join(isOf(err), ", "), "errors.As: "+strings.Join(asOf(err), ", "))
	for i := range lines {
		lines[i] = now.ReplaceAllString(ephemeral.ReplaceAllString(lines[i], "${1}:x"), "current time x")
	}
	return lines
}

// These differ from one performance to the next.
var (
	now       = regexp.MustCompile(`current time \S+`)
	ephemeral = regexp.MustCompile(`(127\.0\.0\.[12]|\[::1\]|two\.test\.):\d{4,5}`)
)

func describeLevel(err error, indent string) []string {
	lines := []string{fmt.Sprintf("%s%s %q timeout=%v temporary=%v os.IsTimeout=%v%s", indent, typeOf(err), err.Error(),
		says(err, "Timeout"), says(err, "Temporary"), os.IsTimeout(err), valueOf(err))}
	indent += "  "
	below := []error{errors.Unwrap(err)}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		below = many.Unwrap()
	}
	if field := errField(err); field != nil && !slices.ContainsFunc(below, func(e error) bool { return same(e, field) }) {
		lines = append(lines, indent+"in the field Err:")
		lines = append(lines, describeLevel(field, indent)...)
	}
	for _, e := range below {
		if e != nil {
			lines = append(lines, describeLevel(e, indent)...)
		}
	}
	return lines
}

// typeOf names the type of an error, and its exported fields. A type that no program can name, since it belongs to
// net/http, or to this module, is told by its methods.
func typeOf(err error) string {
	t := reflect.TypeOf(err)
	if name := nameOf(t); name != unexported {
		return name + fieldsOf(err)
	}
	return unexported + " with " + strings.Join(methodsOf(t), " ")
}

const unexported = "an unexported type"

func nameOf(t reflect.Type) string {
	named, pointer := t, ""
	if t.Kind() == reflect.Pointer {
		named, pointer = t.Elem(), "*"
	}
	pkg := named.PkgPath()
	insides := strings.HasPrefix(pkg, "net/http") || strings.Contains(pkg, "peerpool") || strings.HasPrefix(pkg, "golang.org/x/net")
	if insides && (!token.IsExported(named.Name()) || strings.Contains(pkg, "internal")) {
		return unexported
	}
	return pointer + pkg + "." + named.Name()
}

// methodsOf leaves ErrorType out. Only OpenTelemetry's instrumentations look for it, and here a time-out has it:
// docs/differences.md.
func methodsOf(t reflect.Type) (names []string) {
	for m := range t.Methods() {
		if m.Name != "ErrorType" {
			names = append(names, m.Name)
		}
	}
	return names
}

// fieldsOf shows the exported fields that are plain values or addresses, and which others are set.
func fieldsOf(err error) string {
	v := reflect.Indirect(reflect.ValueOf(err))
	if v.Kind() != reflect.Struct {
		return ""
	}
	var shown []string
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() || f.Name == "Err" || f.Type == reflect.TypeFor[error]() {
			continue
		}
		shown = append(shown, f.Name+":"+fieldText(v.Field(i)))
	}
	if len(shown) == 0 {
		return ""
	}
	return "{" + strings.Join(shown, " ") + "}"
}

func fieldText(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case nil:
		return "nil"
	case net.Addr:
		return fmt.Sprintf("%s(%v)", nameOf(reflect.TypeOf(x)), x)
	case *x509.Certificate:
		return fmt.Sprintf("certificate(%v)", x != nil)
	case net.Conn:
		return "conn"
	}
	switch v.Kind() {
	case reflect.Slice:
		return fmt.Sprintf("%d of %v", v.Len(), v.Type().Elem())
	case reflect.Pointer, reflect.Interface, reflect.Func, reflect.Map, reflect.Struct:
		return v.Type().String()
	}
	return fmt.Sprintf("%#v", v.Interface())
}

func errField(err error) error {
	v := reflect.Indirect(reflect.ValueOf(err))
	if v.Kind() != reflect.Struct {
		return nil
	}
	f := v.FieldByName("Err")
	if !f.IsValid() || !f.CanInterface() {
		return nil
	}
	e, _ := f.Interface().(error)
	return e
}

// same compares as programs do with ==, but does not panic where they would.
func same(a, b error) bool {
	if a == nil || b == nil {
		return a == b
	}
	return reflect.TypeOf(a) == reflect.TypeOf(b) && reflect.TypeOf(a).Comparable() && a == b
}

// says calls the method with that name, which has no arguments, and returns the result, or "-" if there is no such method.
func says(err error, method string) string {
	m := reflect.ValueOf(err).MethodByName(method)
	if !m.IsValid() {
		return "-"
	}
	return fmt.Sprint(m.Call(nil)[0].Bool())
}

// sentinels are the values that programs compare errors with.
var sentinels = map[string]error{
	"io.EOF": io.EOF, "io.ErrUnexpectedEOF": io.ErrUnexpectedEOF, "io.ErrClosedPipe": io.ErrClosedPipe,
	"io.ErrShortWrite": io.ErrShortWrite, "io.ErrNoProgress": io.ErrNoProgress,
	"context.Canceled": context.Canceled, "context.DeadlineExceeded": context.DeadlineExceeded,
	"os.ErrDeadlineExceeded": os.ErrDeadlineExceeded, "os.ErrInvalid": os.ErrInvalid,
	"net.ErrClosed": net.ErrClosed, "net.ErrWriteToConnected": net.ErrWriteToConnected, "fs.ErrClosed": fs.ErrClosed,
	"http.ErrSchemeMismatch": http.ErrSchemeMismatch, "http.ErrBodyReadAfterClose": http.ErrBodyReadAfterClose,
	"http.ErrSkipAltProtocol": http.ErrSkipAltProtocol, "http.ErrLineTooLong": http.ErrLineTooLong,
	"http.ErrUseLastResponse": http.ErrUseLastResponse, "http.ErrNotSupported": http.ErrNotSupported,
	"http.ErrServerClosed": http.ErrServerClosed, "http.ErrAbortHandler": http.ErrAbortHandler,
	"http.ErrContentLength": http.ErrContentLength, "http.ErrBodyNotAllowed": http.ErrBodyNotAllowed,
	"http.ErrHandlerTimeout": http.ErrHandlerTimeout, "errors.ErrUnsupported": errors.ErrUnsupported,
	"gzip.ErrHeader": gzip.ErrHeader, "gzip.ErrChecksum": gzip.ErrChecksum,
	"http2.ErrNoCachedConn": http2.ErrNoCachedConn, "http2.ErrFrameTooLarge": http2.ErrFrameTooLarge,
	"syscall.ECONNREFUSED": syscall.ECONNREFUSED, "syscall.ECONNRESET": syscall.ECONNRESET, "syscall.EPIPE": syscall.EPIPE,
	"syscall.ETIMEDOUT": syscall.ETIMEDOUT, "syscall.ECONNABORTED": syscall.ECONNABORTED, "syscall.EINVAL": syscall.EINVAL,
	"syscall.EADDRNOTAVAIL": syscall.EADDRNOTAVAIL, "syscall.ENOENT": syscall.ENOENT,
	"the caller's cause": errOfTheCaller, "the body's error": errOfTheBody, "the connection's error": errOfTheConn,
	"the dialer's error": errOfTheDialer,
}

// These are the errors that the caller's own code returns in the rows of the table.
var (
	errOfTheCaller = errors.New("the caller has had enough")
	errOfTheBody   = errors.New("the body cannot be read")
	errOfTheConn   = errors.New("the connection is out of order")
	errOfTheDialer = errors.New("the dialer has no way")
)

func names() []string {
	all := make([]string, 0, len(sentinels))
	for name := range sentinels {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// valueOf names the sentinel that the error is itself.
func valueOf(err error) string {
	for _, name := range names() {
		if same(err, sentinels[name]) {
			return " == " + name
		}
	}
	return ""
}

func isOf(err error) (found []string) {
	for _, name := range names() {
		if errors.Is(err, sentinels[name]) {
			found = append(found, name)
		}
	}
	return found
}

func asOf(err error) (found []string) {
	for _, find := range []func(error) (string, bool){
		as[*url.Error], as[*url.EscapeError], as[url.InvalidHostError],
		as[net.Error], as[*net.OpError], as[*net.DNSError], as[*net.AddrError], as[net.UnknownNetworkError],
		as[net.InvalidAddrError], as[*net.ParseError], as[*net.DNSConfigError],
		as[*os.SyscallError], as[syscall.Errno], as[*fs.PathError],
		as[*tls.CertificateVerificationError], as[tls.RecordHeaderError], as[tls.AlertError], as[*tls.ECHRejectionError],
		as[x509.UnknownAuthorityError], as[x509.HostnameError], as[x509.CertificateInvalidError], as[x509.SystemRootsError],
		as[x509.UnhandledCriticalExtension], as[x509.ConstraintViolationError],
		as[*http.ProtocolError], as[*http.MaxBytesError], as[textproto.ProtocolError], as[*textproto.Error],
		as[flate.CorruptInputError], as[flate.InternalError],
		as[http2.StreamError], as[http2.GoAwayError], as[http2.ConnectionError],
		as[interface{ Timeout() bool }], as[interface{ Temporary() bool }], as[interface{ Is(error) bool }],
	} {
		if name, ok := find(err); ok {
			found = append(found, name)
		}
	}
	return found
}

func as[T any](err error) (string, bool) {
	var target T
	ok := errors.As(err, &target)
	name := reflect.TypeFor[T]().String()
	if ok {
		if v := reflect.ValueOf(target); v.Kind() == reflect.Struct || v.Kind() == reflect.Uint32 {
			name += fmt.Sprintf("(%v)", target)
		}
	}
	return name, ok
}
