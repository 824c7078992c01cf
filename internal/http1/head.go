package http1

import (
	"bytes"
	"io"
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// maxFields bounds the number of header fields, which cost far more memory than their bytes.
const maxFields = 8192

// head is the parsed head of a response: status line and header fields (RFC 9112 sections 4 and 5).
type head struct {
	status     string // "200 OK"
	code       int
	proto      string
	minor      int // of HTTP/1.minor
	header     http.Header
	lengths    lengthSet // of the names in header
	contentLen []string  // values of Content-Length, as sent
	transfer   []string  // values of Transfer-Encoding, as sent
}

// fewFields is how many fields of a response find room for their values in the exchange itself.
const fewFields = 8

// lengthSet is a set of the lengths of field names, modulo 64. Of the fields that decide about a response few are
// ever there, and a look-up is dear beside asking whether there is any field whose name is that long.
type lengthSet uint64

func lengthOf(name string) lengthSet { return 1 << (len(name) & 63) }

// get returns the values of a field by its canonical name.
func (h *head) get(name string) []string {
	if h.lengths&lengthOf(name) == 0 {
		return nil
	}
	return h.header[name]
}

// readHead reads until a whole head is in the buffer and parses it. limit counts bytes. See parseFields for room.
func (c *Conn) readHead(limit int64, room []string) (h head, size int64, err error) {
	end := 0 // length of the head, with its empty line
	for scanned := 0; ; {
		b := c.in.buf[c.in.r:c.in.w]
		if end = headEnd(b, scanned); end > 0 {
			break
		}
		if bad := badStart(b); bad != nil {
			return head{}, 0, bad
		}
		scanned = max(0, len(b)-3)
		if int64(len(b)) > limit {
			return head{}, 0, errHeaderTooLong(limit)
		}
		if err := c.fill(); err != nil {
			return head{}, 0, endedWithin(b, err)
		}
	}
	if int64(end) > limit {
		return head{}, 0, errHeaderTooLong(limit)
	}
	h, err = parseHead(c.in.buf[c.in.r:c.in.r+end], room)
	c.in.r += end
	return h, int64(end), err
}

// headEnd returns the length of the head at the start of b, or 0 when its empty line is not there
// yet. A line may end in LF alone (RFC 9112 section 2.2). The first from bytes are known not to hold it.
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

// badStart fails as soon as the first bytes show that no HTTP/1 response is coming, so that a peer
// which speaks another protocol is not waited for until it has filled the limit.
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

// endedWithin returns what is wrong with a head that ends in its first line, if that is more than its end.
func endedWithin(b []byte, err error) error {
	if err != io.EOF || len(b) == 0 || bytes.IndexByte(b, '\n') >= 0 {
		return err
	}
	if bad := new(head).parseStatusLine(b); bad != nil {
		return bad
	}
	return err
}

// parseHead parses a head whose last line is empty. It writes into b: field names become canonical
// in place, so that the one string made of the head serves all names and values.
func parseHead(b []byte, room []string) (head, error) {
	var h head
	line, rest := cutLine(b)
	if err := h.parseStatusLine(line); err != nil {
		return head{}, err
	}
	n := bytes.Count(rest, []byte{'\n'}) - 1
	if n > maxFields {
		return head{}, errTooManyFields
	}
	var err error
	h.header, h.lengths, err = parseFields(rest, n, room)
	if err != nil {
		return head{}, err
	}
	h.contentLen = h.get("Content-Length")
	h.transfer = h.get("Transfer-Encoding")
	return h, nil
}

// cutLine cuts the first line off b, without its line end.
func cutLine(b []byte) (line, rest []byte) {
	i := bytes.IndexByte(b, '\n')
	line, rest = b[:i], b[i+1:]
	if i > 0 && line[i-1] == '\r' {
		line = line[:i-1]
	}
	return line, rest
}

// commonStatus saves the allocation of the usual status line.
const commonStatus = "HTTP/1.1 200 OK"

func (h *head) parseStatusLine(b []byte) error {
	if string(b) == commonStatus {
		h.status, h.code, h.proto, h.minor = commonStatus[9:], 200, commonStatus[:8], 1
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

// parseFields parses header or trailer fields up to the empty line that ends b. n is how many lines
// there are before it. The values take room, if that is enough, and then belong to whoever has the header.
func parseFields(b []byte, n int, room []string) (header http.Header, lengths lengthSet, err error) {
	header = make(http.Header, n)
	if n == 0 {
		return header, 0, nil
	}
	if b[0] == ' ' || b[0] == '\t' {
		line, _ := cutLine(b)
		return nil, 0, malformed("malformed MIME header initial line:", line)
	}
	if err := canonicalize(b); err != nil {
		return nil, 0, err
	}
	text := string(b)
	values := room // one backing array for the usual single values
	if n > len(values) {
		values = make([]string, n)
	}
	for {
		end := strings.IndexByte(text, '\n')
		line := strings.TrimSuffix(text[:end], "\r")
		text = text[end+1:]
		if line == "" {
			return header, lengths, nil
		}
		colon := strings.IndexByte(line, ':')
		name, value := line[:colon], trimSpace(line[colon+1:])
		length := lengthOf(name)
		if lengths&length != 0 && header[name] != nil {
			header[name] = append(header[name], value)
			continue
		}
		lengths |= length
		values[0] = value
		header[name], values = values[:1:1], values[1:]
	}
}

// canonicalize checks every field line of b and puts its name into canonical form in place
// (RFC 9110 section 5.1, RFC 9112 section 5). Obsolete line folding, spaces before the colon, and
// control characters are errors.
func canonicalize(b []byte) error {
	for {
		line, rest := cutLine(b)
		if len(line) == 0 {
			return nil
		}
		colon := bytes.IndexByte(line, ':')
		if colon < 0 {
			return malformed("malformed MIME header: missing colon:", line)
		}
		if colon == 0 || !canonicalName(line[:colon]) || !validValue(line[colon+1:]) {
			return malformed("malformed MIME header line:", line)
		}
		b = rest
	}
}

// canonicalName puts a field name into canonical form and says whether it is a token.
func canonicalName(name []byte) bool {
	upper := true
	for i, c := range name {
		if !httpguts.IsTokenRune(rune(c)) || c >= 0x80 {
			return false
		}
		switch {
		case upper && 'a' <= c && c <= 'z':
			name[i] = c - ('a' - 'A')
		case !upper && 'A' <= c && c <= 'Z':
			name[i] = c + ('a' - 'A')
		}
		upper = c == '-'
	}
	return true
}

// validValue refuses control characters other than HTAB: NUL and bare CR above all.
func validValue(v []byte) bool {
	for _, c := range v {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// trimSpace trims the optional white space of RFC 9110 section 5.6.3.
func trimSpace(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}
