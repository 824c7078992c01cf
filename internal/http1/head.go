package http1

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// maxFields bounds the number of header fields, which cost far more memory than their bytes.
const maxFields = 8192

// head is the parsed head of a response: status line and header fields (RFC 9112 sections 4 and 5).
type head struct {
	status string // "200 OK"
	code   int
	proto  string
	minor  int // of HTTP/1.minor
	header http.Header
	names  nameSet // in header
	size   int     // bytes

	framing
}

// fewFields is how many fields of a response have room for their values in the exchange itself. With room for more, most
// exchanges would take memory that they do not use.
const fewFields = 4

// nameSet is a set of field names of which some count as one. Few of the fields that decide about a response are present,
// and it is cheap to find out which of them may be.
type nameSet uint64

func setOf(name string) nameSet {
	if name == "" {
		return 0
	}
	return 1 << ((7*uint(len(name)) + uint(name[0])) & 63)
}

// get returns the values of a field by its canonical name.
func (h *head) get(name string) []string {
	if h.names&setOf(name) == 0 {
		return nil
	}
	return h.header[name]
}

// readHead reads a head of at most limit bytes into h. See fieldParser for room. If the head is malformed, what has arrived of it stays
// in the buffer. If the connection ends within the head, the error is a cutError.
func (c *Conn) readHead(h *head, limit int64, room []string) error {
	end, err := h.parse(c.in.buf[c.in.r:c.in.w], room) // most of them arrive in one piece
	if end == 0 {
		if end, err = c.awaitHead(limit); err != nil {
			return err
		}
		_, err = h.parse(c.in.buf[c.in.r:c.in.r+end], room)
	}
	if int64(end) > limit {
		return errHeaderTooLong(limit)
	}
	if err != nil {
		return err
	}
	c.in.r += end
	h.size = end
	return nil
}

// awaitHead reads until a whole head is in the buffer, and returns its length.
func (c *Conn) awaitHead(limit int64) (int, error) {
	for scanned := 0; ; {
		b := c.in.buf[c.in.r:c.in.w]
		if end := headEnd(b, scanned); end > 0 {
			if int64(end) > limit {
				return 0, errHeaderTooLong(limit)
			}
			return end, nil
		}
		if bad := badStart(b); bad != nil {
			return 0, bad
		}
		scanned = max(0, len(b)-3)
		if int64(len(b)) > limit {
			return 0, errHeaderTooLong(limit)
		}
		if err := c.fill(); err != nil {
			return 0, cutError{err}
		}
	}
}

// cutError is the error of a connection that has ended within a head.
type cutError struct{ error }

// headEnd returns the length of the head at the start of b, or 0 if its empty line has not arrived. A line may end in LF alone
// (RFC 9112 section 2.2). The empty line is known not to begin within the first from bytes.
func headEnd(b []byte, from int) int {
	for i := from; i < len(b); {
		n := bytes.IndexByte(b[i:], '\n')
		if n < 0 {
			return 0
		}
		i += n + 1
		rest := b[i:]
		if len(rest) > 0 && rest[0] == '\n' {
			return i + 1
		}
		if len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n' {
			return i + 2
		}
	}
	return 0
}

// badStart returns an error if the first bytes cannot begin an HTTP/1 response. Without it, an exchange with a peer that speaks
// another protocol would wait until the limit is full.
func badStart(b []byte) error {
	const start = "HTTP/"
	n := min(len(b), len(start))
	if string(b[:n]) == start[:n] {
		return nil
	}
	line, _, whole := bytes.Cut(b, []byte("\n"))
	if whole || len(line) > quoted || !httpguts.ValidHeaderFieldValue(string(line)) {
		return malformed("malformed HTTP response", bytes.TrimRight(line, "\r"))
	}
	return nil
}

// parse parses the head at the start of b, and returns its length, or 0 if the head is malformed or not whole. It returns
// no error for a head that is not whole yet: the rest of it may make it a good one.
func (h *head) parse(b []byte, room []string) (size int, err error) {
	line, rest, whole := cutLine(b)
	if !whole {
		return 0, nil
	}
	if err := h.parseStatusLine(line); err != nil {
		return 0, err
	}
	f := fieldParser{b: rest, room: room}
	if err := f.parse(); err != nil || f.size == 0 {
		return 0, err
	}
	h.header, h.names = f.header, f.names
	return len(b) - len(rest) + f.size, nil
}

// cutLine cuts the first line off b, without its line end.
func cutLine(b []byte) (line, rest []byte, whole bool) {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		return nil, b, false
	}
	line, rest = b[:i], b[i+1:]
	if i > 0 && line[i-1] == '\r' {
		line = line[:i-1]
	}
	return line, rest, true
}

// statusLines are the usual status lines of HTTP/1.1, by their codes less 100.
var statusLines = func() (lines [500]string) {
	for i := range lines {
		if text := http.StatusText(100 + i); text != "" {
			lines[i] = "HTTP/1.1 " + strconv.Itoa(100+i) + " " + text
		}
	}
	return lines
}()

// usualStatusLine returns a line that is equal to b if it is one of statusLines.
func usualStatusLine(b []byte) (line string, code int, ok bool) {
	if len(b) < len("HTTP/1.1 200") {
		return "", 0, false
	}
	code = 100*int(b[9]-'0') + 10*int(b[10]-'0') + int(b[11]-'0')
	if code < 100 || code-100 >= len(statusLines) || string(b) != statusLines[code-100] {
		return "", 0, false
	}
	return statusLines[code-100], code, true
}

func (h *head) parseStatusLine(b []byte) error {
	if line, code, ok := usualStatusLine(b); ok {
		h.status, h.code, h.proto, h.minor = line[len("HTTP/1.1 "):], code, line[:len("HTTP/1.1")], 1
		return nil
	}
	line := string(b)
	proto, status, ok := strings.Cut(line, " ")
	if !ok {
		return malformed("malformed HTTP response", line)
	}
	if len(proto) != len("HTTP/1.1") || proto[:7] != "HTTP/1." || proto[7] < '0' || proto[7] > '9' {
		return malformed("malformed HTTP version", proto)
	}
	status = strings.TrimLeft(status, " ")
	digits, _, _ := strings.Cut(status, " ")
	code, ok := parseStatusCode(digits)
	if !ok {
		return malformed("malformed HTTP status code", digits)
	}
	if !httpguts.ValidHeaderFieldValue(status) {
		return malformed("malformed HTTP response", line)
	}
	h.status, h.code, h.proto, h.minor = status, code, proto, int(proto[7]-'0')
	return nil
}

// parseStatusCode accepts three digits from 100 to 999 (RFC 9110 section 15).
func parseStatusCode(s string) (int, bool) {
	if len(s) != 3 {
		return 0, false
	}
	code := 0
	for i := range 3 {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		code = code*10 + int(s[i]-'0')
	}
	return code, code >= 100
}
