package http1

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/peerpool/peerpool/internal/exchange"
)

var errRead = errors.New("the disk is on fire")

// uploadCase is a request with a body that may block, and what has to become of it. Whatever that is, the
// body is closed once, the trace is told once that the request is written, and no goroutine remains.
type uploadCase struct {
	name   string
	body   func() io.Reader
	length int64 // as the request declares it; 0: unknown
	buffer int   // bytes that the connection holds; 0: any number
	alter  func(*Exchange)
	want   string      // the body that a server which reads it gets, when serve is nil
	serve  func(*peer) // nil: reads the request and answers

	status int     // 0: there is no response
	is     []error // one of which Run returns
	says   string  // in that error
	end    exchange.End
}

const tooMuch = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno"

var big = strings.Repeat("x", 1<<20)

// broken reads s and fails.
func broken(s string) func() io.Reader {
	return func() io.Reader { return io.MultiReader(strings.NewReader(s), iotest.ErrReader(errRead)) }
}

type panics struct{}

func (panics) Read([]byte) (int, error) { panic("the body panics") }

func panicking(s string) func() io.Reader {
	return func() io.Reader { return io.MultiReader(strings.NewReader(s), panics{}) }
}

// slow is a body whose second half comes after a time.
func slow(first string, after time.Duration, then string) func() io.Reader {
	return func() io.Reader {
		r, w := io.Pipe()
		go func() {
			io.WriteString(w, first)
			time.Sleep(after)
			io.WriteString(w, then)
			w.Close()
		}()
		return r
	}
}

// answersEarly is a server that answers as soon as it has the head, and goes on as it likes.
func answersEarly(response string, then func(*peer)) func(*peer) {
	return func(p *peer) {
		p.head()
		p.say(response)
		then(p)
	}
}

func closesUnread(*peer) {}

func readsTheRest(p *peer) { p.untilClosed() }

func readsNothing(p *peer) {
	for { // a read would make room; a write of nothing only sees the client's end
		time.Sleep(time.Second)
		if _, err := p.Write(nil); err != nil {
			return
		}
	}
}

var uploadCases = []uploadCase{
	{name: "a body of known length is sent", body: unknown("hello"), length: 5, want: "hello", status: 200},
	{name: "a large body is sent", body: unknown(big), length: 1 << 20, buffer: 4096, want: big, status: 200},
	{name: "a large body in memory is sent", body: known(big), length: 1 << 20, buffer: 4096, want: big, status: 200},
	{name: "a body of unknown length is sent", body: unknown(big), buffer: 4096, want: big, status: 200},
	{name: "a body that comes byte by byte is sent", body: func() io.Reader { return iotest.OneByteReader(strings.NewReader("hello")) },
		want: "hello", status: 200},
	{name: "a body whose end comes with its last bytes is sent", body: func() io.Reader { return iotest.DataErrReader(strings.NewReader("hello")) },
		length: 5, want: "hello", status: 200},
	{name: "a chunked body whose end comes with its last bytes is sent",
		body: func() io.Reader { return iotest.DataErrReader(strings.NewReader("hello")) }, want: "hello", status: 200},
	{name: "an empty body of unknown length is sent", body: unknown(""), want: "", status: 200},
	{name: "a body shorter than declared fails", body: unknown("hello"), length: 6, serve: readsTheRest,
		says: "ContentLength=6 with Body length 5", end: exchange.EndError},
	{name: "a body longer than declared fails", body: unknown("hello!"), length: 5, serve: readsTheRest,
		says: "ContentLength=5 with Body length 6", end: exchange.EndError},
	{name: "a body that fails fails the request", body: broken("hel"), length: 5, serve: readsTheRest, is: []error{errRead}, end: exchange.EndError},
	{name: "a chunked body that fails is not ended as if it were whole", body: broken("hel"), is: []error{errRead}, end: exchange.EndError,
		serve: func(p *peer) {
			if all := p.untilClosed(); strings.HasSuffix(all, "0\r\n\r\n") {
				p.t.Errorf("the server got %q", all)
			}
		}},
	{name: "a body that fails at its end fails the request", body: broken("hello"), length: 5, serve: readsTheRest, is: []error{errRead}, end: exchange.EndError},
	{name: "a body that panics fails the request", body: panicking("hel"), length: 5, serve: readsTheRest, says: "panicked: the body panics", end: exchange.EndError},
	{name: "a chunked body that panics fails the request", body: panicking("hel"), serve: readsTheRest, says: "panicked: the body panics", end: exchange.EndError},
	{name: "an early answer is delivered, though the server reads no more", body: unknown(big), length: 1 << 20, buffer: 4096,
		serve: answersEarly(tooMuch, readsNothing), status: 413, end: exchange.EndUnsent},
	{name: "an early answer is delivered, though the server closes", body: unknown(big), length: 1 << 20, buffer: 4096,
		serve: answersEarly(tooMuch, closesUnread), status: 413, end: exchange.EndUnsent},
	{name: "an early answer is delivered, though the server resets", body: unknown(big), length: 1 << 20, buffer: 4096,
		serve: answersEarly(tooMuch, func(p *peer) { p.Reset() }), status: 413, end: exchange.EndUnsent},
	{name: "an early answer that closes ends the connection", body: unknown(big), length: 1 << 20, buffer: 4096,
		serve: answersEarly("HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", closesUnread), status: 413, end: exchange.EndClose},
	{name: "an upload that ends soon after the answer keeps the connection", body: slow("hel", uploadWait/2, "lo"), length: 5,
		serve: answersEarly(hello, readsTheRest), status: 200},
	{name: "an upload that ends long after the answer costs the connection", body: slow("hel", 2*uploadWait, "lo"), length: 5,
		serve: answersEarly(hello, readsTheRest), status: 200, end: exchange.EndUnsent},
	{name: "an upload that fails soon after the answer costs the connection", body: slow("hel", uploadWait/2, ""), length: 5,
		serve: answersEarly(hello, readsTheRest), status: 200, end: exchange.EndUnsent},
	{name: "a server that closes while it is sent a body leaves an error", body: unknown(big), length: 1 << 20, buffer: 4096,
		serve: func(p *peer) { p.head() }, is: []error{io.EOF, syscall.EPIPE}, end: exchange.EndError},
	{name: "a server that resets while it is sent a body leaves an error", body: unknown(big), length: 1 << 20, buffer: 4096,
		serve: func(p *peer) { p.head(); p.Reset() }, is: []error{syscall.ECONNRESET, syscall.EPIPE}, end: exchange.EndError},
	{name: "a server that breaks the protocol ends the upload", body: unknown(big), length: 1 << 20, buffer: 4096,
		serve: answersEarly("SSH-2.0\r\n", readsNothing), says: "malformed HTTP response", end: exchange.EndError},
	{name: "the clock for the answer starts when the body is sent", body: slow("hel", time.Minute, "lo"), length: 5,
		alter: func(e *Exchange) { e.Opts.HeaderTimeout = time.Second }, want: "hello", status: 200},
	{name: "an answer that does not come after the body is a timeout", body: unknown("hello"), length: 5,
		alter: func(e *Exchange) { e.Opts.HeaderTimeout = time.Second }, serve: readsTheRest, is: []error{ErrHeaderTimeout}, end: exchange.EndTimeout},
}

func TestUploads(t *testing.T) {
	for i := range uploadCases {
		t.Run(uploadCases[i].name, uploadCases[i].play)
	}
}

func (c *uploadCase) play(t *testing.T) {
	serve := c.serve
	if serve == nil {
		serve = func(p *peer) {
			if _, got := p.request(); got != c.want {
				p.t.Errorf("the server got %q", shorten(got))
			}
			p.say(hello)
			p.untilClosed()
		}
	}
	with(t, c.buffer, serve, c.exchange)
}

func (c *uploadCase) exchange(t *testing.T, conn *Conn) {
	body := &tracked{Reader: c.body()}
	if closer, ok := body.Reader.(io.Closer); ok {
		body.closer = closer
	}
	req := request(t, http.MethodPost, "http://example.test/", body)
	req.ContentLength = c.length
	e := exchangeOn(conn, req)
	told := make(chan error, 2)
	e.SetTrace(&httptrace.ClientTrace{WroteRequest: func(info httptrace.WroteRequestInfo) { told <- info.Err }})
	if c.alter != nil {
		c.alter(e)
	}
	begun := time.Now()
	resp, err := e.Run()
	c.check(t, resp, err)
	if took := time.Since(begun); e.BodyFailed && took > 0 {
		t.Errorf("the request failed by itself, and an answer was waited for, for %v", took)
	}
	wantEnd(t, e, c.end)
	if c.end != exchange.Reusable {
		conn.Close()
	}
	time.Sleep(time.Hour) // whatever still waits, waits no longer
	if err == nil || e.Touched {
		body.wantClosedOnce(t)
	} else if n := body.closes.Load(); n > 0 {
		t.Errorf("a body that has not been read from is closed %d times", n)
	}
	if len(told) != 1 {
		t.Errorf("the trace is told %d times that the request is written", len(told))
	}
}

func (c *uploadCase) check(t *testing.T, resp *http.Response, err error) {
	t.Helper()
	switch {
	case c.status != 0:
		if err != nil || resp.StatusCode != c.status {
			t.Fatalf("the response is %v, %v, want %d", resp, err, c.status)
		}
		readAll(t, resp.Body)
		resp.Body.Close()
	case err == nil:
		t.Fatalf("the response is %s", resp.Status)
	case c.says != "":
		if !strings.Contains(err.Error(), c.says) {
			t.Errorf("the error is %v, want one that says %q", err, c.says)
		}
	default:
		for _, is := range c.is {
			if errors.Is(err, is) {
				return
			}
		}
		t.Errorf("the error is %v, want one of %v", err, c.is)
	}
}

// The head cannot be written, so not a byte is read from the body.
func TestABodyThatIsClosedCountsAsTouched(t *testing.T) {
	with(t, 0, func(p *peer) { p.say(tooMuch); p.untilClosed() }, func(t *testing.T, c *Conn) {
		body := &tracked{Reader: strings.NewReader("hello")}
		e := exchangeOn(NewConn(&mute{c.NetConn(), 0}), request(t, http.MethodPost, "http://example.test/", body))
		wantBody(t, run(t, e), "no")
		wantEnd(t, e, exchange.EndUnsent)
		body.wantClosedOnce(t)
		if !e.Touched {
			t.Error("the exchange says that the body can be sent again")
		}
	})
}
