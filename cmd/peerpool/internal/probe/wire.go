package probe

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/peerpool/peerpool/internal/ascii"
)

// wire is an HTTP/1.1 connection that sees every byte and every close.
type wire struct {
	net.Conn
	r *bufio.Reader
}

func newWire(nc net.Conn) *wire { return &wire{Conn: nc, r: bufio.NewReader(nc)} }

// request is a GET, or a HEAD, or a GET with a body.
type request struct {
	head      bool
	body      int // bytes
	halfClose bool
}

// answer is an answer of the server.
type answer struct {
	status    int
	closes    bool // the server says that it closes the connection
	keepAlive string
	server    string
	long      bool // its body is so long that further requests should be HEAD
}

// longBody is the size in bytes of a body from which on further requests are HEAD. Otherwise they stay GET, because some
// servers answer HEAD with a body. No more than maxBody is read of a body, which may have no end.
const (
	longBody = 64 << 10
	maxBody  = 1 << 20
)

// errEndless is the error of an answer whose body is longer than maxBody, or is not complete after answerTime.
var errEndless = errors.New("the body of the answer does not end")

// ended reports whether err means that the connection has ended, and not that the answer is malformed.
func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// ask sends a request and reads its answer to the end. If the error is errEndless, there is an answer all the same.
func (p *prober) ask(w *wire, r request) (*answer, error) {
	method := http.MethodGet
	if r.head {
		method = http.MethodHead
	}
	target := p.URL.RequestURI()
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\nAccept: */*\r\n", method, target, p.URL.Host, userAgent)
	if r.body > 0 {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", r.body)
	}
	b.WriteString("\r\n")
	b.WriteString(strings.Repeat(" ", r.body))
	if err := w.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return nil, err
	}
	p.report.Requests++
	if _, err := io.WriteString(w, b.String()); err != nil {
		return nil, err
	}
	if half, ok := w.Conn.(interface{ CloseWrite() error }); ok && r.halfClose {
		if err := half.CloseWrite(); err != nil {
			return nil, err
		}
	}
	resp, err := w.final(method)
	if err != nil {
		return nil, err
	}
	a := &answer{status: resp.StatusCode, closes: resp.Close, keepAlive: resp.Header.Get("Keep-Alive"), server: resp.Header.Get("Server")}
	if err := p.heed(a.status); err != nil {
		return nil, err
	}
	n, err := io.Copy(io.Discard, io.LimitReader(resp.Body, maxBody)) // Body.Close would read all of it
	if n == maxBody || errors.Is(err, os.ErrDeadlineExceeded) {
		a.long = true
		return a, errEndless
	}
	if err != nil {
		return nil, err
	}
	a.long = n >= longBody
	return a, nil
}

// maxInterim is the number of interim responses that may come before an answer.
const maxInterim = 16

// final reads responses until one is not interim (RFC 9110 section 15.2).
func (w *wire) final(method string) (*http.Response, error) {
	for range maxInterim {
		resp, err := http.ReadResponse(w.r, &http.Request{Method: method})
		if err != nil || resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, err
		}
	}
	return nil, errors.New("more interim responses than any client takes")
}

// awaitClose waits until the server closes the connection. It returns how the server did that: FIN, RST, or an answer that
// belongs to no request. It returns "" if the server has not closed the connection by then.
func (w *wire) awaitClose(wait time.Duration) (how string, err error) {
	if err := w.SetDeadline(time.Now().Add(wait)); err != nil {
		return "", err
	}
	first, err := w.r.Peek(1)
	switch {
	case len(first) > 0:
		status := ""
		if resp, err := http.ReadResponse(w.r, nil); err == nil {
			status = " " + strconv.Itoa(resp.StatusCode)
			resp.Body.Close()
		}
		return "unasked answer" + status, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "", nil
	case errors.Is(err, syscall.ECONNRESET):
		return "RST", nil
	}
	return "FIN", nil
}

// hints reads a Keep-Alive field: timeout in seconds and max in requests. A value that is not given is -1.
func hints(field string) (timeout, limit int) {
	timeout, limit = -1, -1
	for part := range strings.SplitSeq(field, ",") {
		name, value, _ := strings.Cut(ascii.TrimSpace(part), "=")
		n, err := strconv.Atoi(ascii.TrimSpace(value))
		if err != nil || n < 0 {
			continue
		}
		switch name {
		case "timeout":
			timeout = n
		case "max":
			limit = n
		}
	}
	return timeout, limit
}
