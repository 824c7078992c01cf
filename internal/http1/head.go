package http1

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"

	"github.com/peerpool/peerpool/internal/ascii"
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

// kind is how the end of a body is known.
type kind uint8

const (
	noBody         kind = iota
	byLength            // Content-Length
	byChunks            // Transfer-Encoding: chunked
	untilClose          // the connection's end (RFC 9112 section 6.3, item 8)
	switchProtocol      // 101: the connection belongs to another protocol
)

// framing is what the head says of the body, and of the connection after it.
type framing struct {
	kind      kind
	length    int64 // as http.Response.ContentLength: -1 when unknown
	chunked   bool  // the fields say so, even if there is no body
	framed    bool  // a field says how long a body is
	persist   bool  // both sides may keep the connection
	ambiguous bool  // accepted, but other readers may read it differently: the connection is not reused
}

// fewFields is how many fields of a response have room for their values in the exchange itself. With room for more, most
// exchanges would take memory that they do not use.
const fewFields = 4

// nameSet is a set of field names, in which several names may count as one. Few of the fields that decide about a response are
// present, and a nameSet shows cheaply which of them may be.
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

// readHead reads a head of at most limit bytes into h. See fieldParser for room. If the head is malformed, what has
// arrived of it stays in the buffer. If the connection ends within the head, the error is a cutError.
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

// frame decides the length of the body (RFC 9112 section 6.3) and whether the connection persists (section 9.3). As net/http
// does, it removes Transfer-Encoding from the header, and Connection if it says close.
func (h *head) frame(method string) error {
	chunked, err := h.isChunked()
	if err != nil {
		return err
	}
	length, repeated, err := h.contentLength()
	if err != nil {
		return err
	}
	f := framing{length: -1, chunked: chunked, framed: chunked || length >= 0, persist: h.persists()}
	if chunked {
		delete(h.header, "Transfer-Encoding")
	}
	// A response with these statuses has no body, whatever its fields say (section 6.3, item 1). A server must not send
	// Transfer-Encoding with it (section 6.1), and Content-Length only with 304 (RFC 9110 section 8.6): a reader that relies on
	// the field and one that relies on the status would disagree.
	bodiless := h.code < 200 || h.code == http.StatusNoContent || h.code == http.StatusNotModified
	f.ambiguous = repeated || chunked && (length >= 0 || bodiless) || length > 0 && h.code == http.StatusNoContent
	switch {
	case h.code == http.StatusSwitchingProtocols:
		f.kind, f.length = switchProtocol, 0
		if method == http.MethodHead {
			f.length = length // as with any answer to HEAD
		}
	case method == http.MethodHead:
		f.length = length
	case bodiless:
		f.length = 0
	case chunked:
		f.kind = byChunks
		delete(h.header, "Content-Length") // Transfer-Encoding overrides it (section 6.3, item 3)
	case length > 0:
		f.kind, f.length = byLength, length
	case length == 0:
		f.length = 0
	default:
		f.kind = untilClose
		f.persist = false
	}
	h.framing = f
	return nil
}

// isChunked reports whether the body is chunked. Any other transfer coding is an error: our requests announce none with TE
// (RFC 9112 section 7.4). HTTP/1.0 has no transfer coding (section 6.1).
func (h *head) isChunked() (bool, error) {
	codings := h.get("Transfer-Encoding")
	if len(codings) == 0 {
		return false, nil
	}
	if len(codings) > 1 {
		return false, contradictory("too many transfer encodings:", codings)
	}
	if !ascii.EqualFold(codings[0], "chunked") {
		return false, malformed("unsupported transfer encoding:", codings[0])
	}
	if h.minor == 0 {
		return false, malformed("transfer encoding in an HTTP/1.0 response:", codings[0])
	}
	return true, nil
}

// contentLength returns the Content-Length, or -1 if there is none. Lengths that differ or are malformed are errors. A length
// that is repeated is not an error; see framing.ambiguous.
func (h *head) contentLength() (n int64, repeated bool, err error) {
	said := h.get("Content-Length")
	if len(said) == 0 {
		return -1, false, nil
	}
	first := said[0]
	for _, other := range said[1:] {
		if other != first {
			return 0, true, contradictory("http: message cannot contain multiple Content-Length headers; got", said)
		}
		repeated = true
	}
	if repeated {
		h.header["Content-Length"] = said[:1:1]
	}
	if first == "" {
		return 0, repeated, malformed("invalid empty Content-Length", first)
	}
	length, err := strconv.ParseUint(first, 10, 63)
	if err != nil || first[0] == '+' {
		return 0, repeated, malformed("bad Content-Length", first)
	}
	return int64(length), repeated, nil
}

// persists reads the Connection field of the response (RFC 9112 section 9.3). As net/http does, it removes a close from the
// header: Response.Close has it.
func (h *head) persists() bool {
	values := h.get("Connection")
	closes := httpguts.HeaderValuesContainsToken(values, "close")
	if h.minor == 0 {
		return !closes && httpguts.HeaderValuesContainsToken(values, "keep-alive")
	}
	if closes {
		delete(h.header, "Connection")
	}
	return !closes
}

// noCache adds the Cache-Control that "Pragma: no-cache" stands for (RFC 9111 section 5.4), as net/http does.
func (h *head) noCache() {
	if p := h.get("Pragma"); len(p) > 0 && p[0] == "no-cache" && h.header["Cache-Control"] == nil {
		h.header["Cache-Control"] = []string{"no-cache"}
	}
}
