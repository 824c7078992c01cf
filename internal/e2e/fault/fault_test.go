package fault_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// fault is a response that cannot be used, and the error that the caller gets.
type fault struct {
	name    string
	reply   string
	ending  func(*httptestutil.WireConn) // nil: the server closes the connection
	text    string                       // of the error; "": any
	cause   error                        // that errors.Is finds; nil: any
	started bool                         // a byte of the response arrived
}

func keepOpen(c *httptestutil.WireConn) { c.WaitClosed() }

// head is a good status line, and a length.
const head = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"

// headFaults fail RoundTrip.
var headFaults = []fault{
	{name: "nothing", text: "EOF", cause: io.EOF},
	{name: "a reset", ending: (*httptestutil.WireConn).Reset, cause: syscall.ECONNRESET},
	{name: "half a status line", reply: "HTTP/1.1 200 ", text: testkit.Broken + "unexpected EOF", cause: io.ErrUnexpectedEOF, started: true},
	{name: "half a head", reply: head + "X-A: b\r\n", text: testkit.Broken + "unexpected EOF", cause: io.ErrUnexpectedEOF, started: true},
	{name: "an interim response alone", reply: "HTTP/1.1 103 Early Hints\r\n\r\n", text: testkit.Broken + "unexpected EOF",
		cause: io.ErrUnexpectedEOF, started: true},
	{name: "garbage", reply: "garbage\r\n", ending: keepOpen, started: true, text: testkit.Broken + `malformed HTTP response "garbage"`},
	{name: "garbage without a line end", reply: "\x15\x03\x01\x00\x02", ending: keepOpen, started: true,
		text: testkit.Broken + `malformed HTTP response "\x15\x03\x01\x00\x02"`},
	{name: "a line end first", reply: "\r\n" + testkit.Ok, ending: keepOpen, started: true, text: testkit.Broken + `malformed HTTP response ""`},
	{name: "another protocol's version", reply: "HTTP/2.0 200 OK\r\n\r\n", ending: keepOpen, started: true,
		text: testkit.Broken + `malformed HTTP version "HTTP/2.0"`},
	{name: "a status of two digits", reply: "HTTP/1.1 20 OK\r\n\r\n", ending: keepOpen, started: true,
		text: testkit.Broken + `malformed HTTP status code "20"`},
	{name: "a status below 100", reply: "HTTP/1.1 099 OK\r\n\r\n", ending: keepOpen, started: true,
		text: testkit.Broken + `malformed HTTP status code "099"`},
	{name: "a field without a colon", reply: head + "X-A\r\n\r\nok", ending: keepOpen, started: true,
		text: testkit.Broken + `malformed MIME header: missing colon: "X-A"`},
	{name: "a space before the colon", reply: head + "X-A : 1\r\n\r\nok", ending: keepOpen, started: true,
		text: testkit.Broken + `malformed MIME header line: "X-A : 1"`},
	{name: "a folded line", reply: head + "X-A: 1\r\n 2\r\n\r\nok", ending: keepOpen, started: true,
		text: testkit.Broken + `malformed MIME header: missing colon: " 2"`},
	{name: "a NUL", reply: head + "X-A: \x00\r\n\r\nok", ending: keepOpen, started: true,
		text: testkit.Broken + `malformed MIME header line: "X-A: \x00"`},
	{name: "a carriage return alone", reply: head + "X-A: 1\rX-B: 2\r\n\r\nok", ending: keepOpen, started: true,
		text: testkit.Broken + `malformed MIME header line: "X-A: 1\rX-B: 2"`},
	{name: "two lengths", reply: head + "Content-Length: 3\r\n\r\nok", ending: keepOpen, started: true,
		text: testkit.Broken + `http: message cannot contain multiple Content-Length headers; got ["2" "3"]`},
	{name: "a negative length", reply: "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok", ending: keepOpen, started: true,
		text: testkit.Broken + `bad Content-Length "-2"`},
	{name: "a length beyond 63 bits", reply: "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\nok", ending: keepOpen,
		started: true, text: testkit.Broken + `bad Content-Length "9223372036854775808"`},
	{name: "an unknown coding", reply: "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", ending: keepOpen,
		started: true, text: testkit.Broken + `unsupported transfer encoding: "gzip, chunked"`},
	{name: "an endless head", reply: head + strings.Repeat("X-Long: "+strings.Repeat("x", 1000)+"\r\n", 100), ending: keepOpen,
		started: true, text: testkit.Broken + "net/http: server response headers exceeded 65536 bytes; aborted"},
	{name: "an endless line", reply: head + "X-Long: " + strings.Repeat("x", 70_000), ending: keepOpen,
		started: true, text: testkit.Broken + "net/http: server response headers exceeded 65536 bytes; aborted"},
	{name: "too many fields", reply: head + strings.Repeat("a:\r\n", 9000) + "\r\nok", ending: keepOpen,
		started: true, text: testkit.Broken + "net/http: server response headers have too many fields"},
	{name: "too many interim responses", reply: strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 40) + testkit.Ok, ending: keepOpen,
		started: true, text: testkit.Broken + "net/http: too many 1xx informational responses"},
	{name: "interim responses that are too long", ending: keepOpen, started: true,
		reply: strings.Repeat("HTTP/1.1 103 Early Hints\r\nX-Long: "+strings.Repeat("x", 5000)+"\r\n\r\n", 20) + testkit.Ok},
}

const chunkedHead = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

// bodyFaults fail the reading of the response's body, after "ok".
var bodyFaults = []fault{
	{name: "short of its length", reply: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", text: "unexpected EOF", cause: io.ErrUnexpectedEOF},
	{name: "short of its chunk", reply: chunkedHead + "9\r\nok", text: "unexpected EOF", cause: io.ErrUnexpectedEOF},
	{name: "between chunks", reply: chunkedHead + "2\r\nok\r\n", text: "unexpected EOF", cause: io.ErrUnexpectedEOF},
	{name: "within a size", reply: chunkedHead + "2\r\nok\r\n1", text: "unexpected EOF", cause: io.ErrUnexpectedEOF},
	{name: "before the trailer's end", reply: chunkedHead + "2\r\nok\r\n0\r\nX-A: 1\r\n", text: "http: suspiciously long trailer after chunked body"},
	{name: "no size", reply: chunkedHead + "2\r\nok\r\n\r\n", ending: keepOpen, text: "empty hex number for chunk length"},
	{name: "a size with a sign", reply: chunkedHead + "2\r\nok\r\n+2\r\nok\r\n", ending: keepOpen, text: "invalid byte in chunk length"},
	{name: "a size beyond all bounds", reply: chunkedHead + "2\r\nok\r\nfffffffffffffffff\r\n", ending: keepOpen,
		text: "http chunk length too large"},
	{name: "a chunk longer than its size", reply: chunkedHead + "2\r\nokx\r\n0\r\n\r\n", ending: keepOpen, text: "malformed chunked encoding"},
	{name: "a line feed alone", reply: chunkedHead + "2\r\nok\n0\n\n", ending: keepOpen, text: "malformed chunked encoding"},
	{name: "an endless extension", reply: chunkedHead + "2\r\nok\r\n2;" + strings.Repeat("x", 9000), ending: keepOpen,
		text: http.ErrLineTooLong.Error()},
	{name: "more extensions than data", reply: chunkedHead + "2\r\nok\r\n" + strings.Repeat("1;"+strings.Repeat("x", 200)+"\r\nx\r\n", 200),
		ending: keepOpen, text: "chunked encoding contains too much non-data"},
	{name: "a trailer beyond the limit", reply: chunkedHead + "2\r\nok\r\n0\r\n" + strings.Repeat("X-A: "+strings.Repeat("x", 1000)+"\r\n", 100),
		ending: keepOpen, text: "http: suspiciously long trailer after chunked body"},
	{name: "a malformed trailer", reply: chunkedHead + "2\r\nok\r\n0\r\nX A: 1\r\n\r\n", ending: keepOpen, text: `malformed MIME header line: "X A: 1"`},
}

// script serves its fault to the request after the first good ones, and is good on every later connection.
func (f fault) script(good int) httptestutil.Script {
	bad := func(c *httptestutil.WireConn) {
		for range good {
			if c.ReadRequest() == nil {
				return
			}
			c.Write(testkit.Ok)
		}
		if c.ReadRequest() == nil {
			return
		}
		c.Write(f.reply)
		if f.ending != nil {
			f.ending(c)
		}
	}
	return httptestutil.PerConn(bad, httptestutil.Replies(testkit.Ok))
}

// faulty starts a server that goes wrong on a new connection, or on a reused one.
func (f fault) faulty(t *testing.T, reused bool) (*httptestutil.Wire, *testkit.Subject) {
	t.Helper()
	httptestutil.CheckLeaks(t)
	good := 0
	if reused {
		good = 1
	}
	wire := httptestutil.NewWire(t, f.script(good))
	s := testkit.Observe(t, &peerpool.Transport{MaxResponseHeaderBytes: 64 << 10})
	if reused {
		s.Get(wire.URL())
	}
	return wire, s
}

// eachFault runs a test on a new connection and on a reused one.
func eachFault(t *testing.T, faults []fault, test func(t *testing.T, f fault, reused bool)) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) { test(t, f, false) })
		t.Run(f.name+", on a reused connection", func(t *testing.T) { test(t, f, true) })
	}
}

// check compares an error with what the fault says.
func (f fault) check(t *testing.T, err error) {
	t.Helper()
	if f.text != "" && err.Error() != f.text {
		t.Errorf("text  %v\nwant  %v", err, f.text)
	}
	if f.cause != nil && !errors.Is(err, f.cause) {
		t.Errorf("got %v, want a %v", err, f.cause)
	}
}

// aftermath checks that the connection is gone, and that the next request is served on another.
func (f fault) aftermath(t *testing.T, wire *httptestutil.Wire, s *testkit.Subject) {
	t.Helper()
	s.Closes("error", 1)
	if f.ending != nil && f.cause != syscall.ECONNRESET {
		wire.WaitClientClosed(1)
	}
	s.Get(wire.URL())
	if n := wire.Conns(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
	s.Events.WantRetries(t)
}

func TestAHeadThatCannotBeUsedFailsTheExchange(t *testing.T) {
	eachFault(t, headFaults, func(t *testing.T, f fault, reused bool) {
		wire, s := f.faulty(t, reused)
		body := testkit.TrackBody(strings.NewReader("body"))
		err := testkit.FailsToExchange(s, testkit.NewRequest(t, http.MethodPost, wire.URL(), body))
		f.check(t, err)
		if !err.Wrote || err.Reused != reused || err.Started != f.started || err.Timeout() || err.Identity.Address() != wire.Addr() {
			t.Errorf("%+v", err)
		}
		body.WantClosed(t)
		f.aftermath(t, wire, s)
	})
}

func TestABodyThatBreaksOffIsNeverCalledComplete(t *testing.T) {
	eachFault(t, bodyFaults, func(t *testing.T, f fault, reused bool) {
		wire, s := f.faulty(t, reused)
		f.breaksOff(t, s, wire.URL(), func() {})
		f.aftermath(t, wire, s)
	})
}

// breaksOff reads a body that starts with "ok", and then fails.
func (f fault) breaksOff(t *testing.T, s *testkit.Subject, url string, started func()) {
	t.Helper()
	resp := s.Open(url, 0)
	start := make([]byte, 2)
	if _, err := io.ReadFull(resp.Body, start); string(start) != "ok" {
		t.Errorf("the body starts with %q, %v", start, err)
	}
	started()
	_, err := io.ReadAll(resp.Body)
	if err == nil {
		t.Fatal("the body ended as if it were whole")
	}
	f.check(t, err)
	if _, again := resp.Body.Read(start); again != err {
		t.Errorf("then %v, after %v", again, err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestAResetWithinABodyIsNotItsEnd(t *testing.T) {
	started := make(chan struct{})
	reset := func(c *httptestutil.WireConn) {
		c.Await(started)
		c.Reset()
	}
	eachFault(t, []fault{
		{name: "of a length", reply: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", ending: reset, cause: syscall.ECONNRESET},
		{name: "in chunks", reply: chunkedHead + "2\r\nok\r\n", ending: reset, cause: syscall.ECONNRESET},
		{name: "to the close", reply: "HTTP/1.1 200 OK\r\n\r\nok", ending: reset, cause: syscall.ECONNRESET},
	}, func(t *testing.T, f fault, reused bool) {
		wire, s := f.faulty(t, reused)
		f.breaksOff(t, s, wire.URL(), func() { started <- struct{}{} })
		f.aftermath(t, wire, s)
	})
}
