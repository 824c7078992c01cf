package tunnel

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/peerpool/peerpool/internal/ascii"
	"github.com/peerpool/peerpool/internal/refusal"
	"golang.org/x/net/http/httpguts"
)

const (
	// DefaultMaxHeadBytes limits the heads of a proxy's answer. It is many times what proxies send, and little enough
	// to hold in memory.
	DefaultMaxHeadBytes = 256 << 10

	// MaxRefusalBody is how much of the body of an answer other than 2xx can be read, in bytes.
	MaxRefusalBody = 256 << 10

	// maxInterim limits the 1xx answers before the final one.
	maxInterim = 16
)

var (
	errTooManyInterim = errors.New("proxy CONNECT: too many 1xx answers")
	errUnasked101     = errors.New("proxy CONNECT: 101 Switching Protocols, which the request did not ask for")
)

// readAnswer reads the final answer to req. If the request succeeded, the answer has no body, and conn continues where
// the answer ended.
func readAnswer(conn io.Reader, req *http.Request, maxHead int64) (*http.Response, error) {
	if maxHead <= 0 {
		maxHead = DefaultMaxHeadBytes
	}
	limited := &io.LimitedReader{R: conn, N: maxHead}
	kept := &keeper{r: limited}
	in := bufio.NewReader(kept)
	for range maxInterim + 1 {
		kept.forget(in.Buffered())
		head, err := readHead(in)
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF) && limited.N <= 0:
			return nil, fmt.Errorf("proxy CONNECT: head of the answer exceeds %d bytes", maxHead)
		case err != nil:
			return nil, refusal.Of(kept.bytes.Bytes(), kept.err, req, fmt.Errorf("proxy CONNECT: %w", err))
		case head.status == http.StatusSwitchingProtocols:
			return nil, errUnasked101
		case head.status/100 == 1:
			continue
		case success(head.status):
			return opened(head, in, req)
		}
		limited.N = max(0, int64(MaxRefusalBody-in.Buffered()))
		return http.ReadResponse(bufio.NewReader(io.MultiReader(&head.bytes, in)), req)
	}
	return nil, errTooManyInterim
}

// keeper is a reader that keeps the bytes that were read through it.
type keeper struct {
	r     io.Reader
	bytes bytes.Buffer
	err   error // the error that ended reading, or nil
}

func (k *keeper) Read(p []byte) (int, error) {
	n, err := k.r.Read(p)
	k.bytes.Write(p[:n])
	k.err = err
	return n, err
}

// forget forgets all but the last n bytes.
func (k *keeper) forget(n int) { k.bytes.Next(k.bytes.Len() - n) }

// opened makes the response of a 2xx answer, which has an empty body. It returns an error if in has bytes left, because
// they would belong to the tunnel.
func opened(head *answerHead, in *bufio.Reader, req *http.Request) (*http.Response, error) {
	if n := in.Buffered(); n > 0 {
		return nil, fmt.Errorf("proxy CONNECT: %d unexpected bytes after the head of the answer", n)
	}
	return http.ReadResponse(bufio.NewReader(&head.bytes), req)
}

// answerHead is the head of an answer, after it was checked. If the request succeeded, the head lacks the fields that
// would frame a body: RFC 9110 section 9.3.6 requires a client to ignore them.
type answerHead struct {
	status int
	bytes  bytes.Buffer
}

// readHead reads up to and including the empty line that ends a head. If an answer does not begin like HTTP, readHead
// fails without waiting for a line to end.
func readHead(in *bufio.Reader) (*answerHead, error) {
	const start = "HTTP/"
	if got, err := in.Peek(len(start)); err != nil {
		return nil, unexpectedEOF(err)
	} else if string(got) != start {
		return nil, malformed("answer", string(got))
	}
	line, err := readLine(in)
	if err != nil {
		return nil, err
	}
	head := &answerHead{}
	if head.status, err = parseStatusLine(line); err != nil {
		return nil, err
	}
	for {
		head.bytes.WriteString(line + "\r\n")
		if line, err = readField(in, success(head.status)); err != nil {
			return nil, err
		}
		if line == "" {
			head.bytes.WriteString("\r\n")
			return head, nil
		}
	}
}

// readLine returns a line without its end, which may lack the CR (RFC 9112 section 2.2).
func readLine(in *bufio.Reader) (string, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return "", unexpectedEOF(err)
	}
	return strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"), nil
}

// readField returns the next field line, or "" at the end of the head. If skipFraming is true, it skips the fields that
// frame a body. It does not accept a folded line.
func readField(in *bufio.Reader, skipFraming bool) (string, error) {
	for {
		line, err := readLine(in)
		if err != nil || line == "" {
			return "", err
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return "", malformed("header field", name)
		}
		if !skipFraming || !framesBody(name) {
			return line, nil
		}
	}
}

func framesBody(name string) bool {
	return ascii.EqualFold(name, "Content-Length") || ascii.EqualFold(name, "Transfer-Encoding")
}

// parseStatusLine returns the status of a status line of HTTP/1 (RFC 9112 section 4).
func parseStatusLine(line string) (int, error) {
	version, rest, _ := strings.Cut(line, " ")
	code, text, _ := strings.Cut(rest, " ")
	minor, ok := strings.CutPrefix(version, "HTTP/1.")
	if !ok || !digits(minor, 1) || !digits(code, 3) || code[0] == '0' || !httpguts.ValidHeaderFieldValue(text) {
		return 0, malformed("status line", line)
	}
	return strconv.Atoi(code)
}

func digits(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789") == ""
}

// refused returns the error of an answer other than 2xx. Like net/http, it uses the text of the status line without the
// code.
func refused(resp *http.Response) error {
	if _, text, ok := strings.Cut(resp.Status, " "); ok {
		return errors.New(text)
	}
	return errors.New("unknown status code")
}

// malformed returns an error that quotes the beginning of what the proxy sent.
func malformed(what, got string) error {
	const quoted = 64
	if len(got) > quoted {
		got = got[:quoted]
	}
	return fmt.Errorf("malformed %s %q", what, got)
}

func unexpectedEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
