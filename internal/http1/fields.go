package http1

import (
	"bytes"
	"net/http"
	"strings"
	"sync"

	"github.com/peerpool/peerpool/internal/ascii"
	"golang.org/x/net/http/httpguts"
)

const (
	// batch is how many fields are read before they are put into the header, with one string for the text of all.
	batch = 24

	maxRecent     = 96      // bytes of a line that is remembered
	maxRecentText = 2 << 10 // bytes of text that a remembered line may keep alive
)

// fieldParser reads header or trailer fields up to the empty line that ends them (RFC 9112 section 5). Obsolete line
// folding, spaces before the colon, and control characters are errors.
type fieldParser struct {
	b      []byte   // from the first field line on
	size   int      // of the fields with their empty line; 0 as long as they are malformed or not whole
	count  int      // of the fields, if there are more than a batch
	room   []string // for values, if it is large enough; the header then owns it
	header http.Header
	names  nameSet
}

// fieldLine is a field line: where its name and value are in fieldParser.b, and what they are.
//
// It remembers the name and the value, because most lines of a server's heads are equal to the lines in the same places of the
// head before. A line that is equal byte by byte, with its line end, has the same name and the same value. It need not be
// parsed, and the header gets the remembered strings. Nobody can change a string, so several headers may share it.
type fieldLine struct {
	name, value string
	recent      [maxRecent]byte // the line as it was received
	recentSize  int             // 0: there is none
	known       bool            // the line is equal to recent, and the indexes below are not set

	start       int // of the name
	colon       int
	from, until int // of the value, without the white space around it
	end         int // of the line, with its line end
}

// batches hold few: parsing does not wait for anything, so each is given back at once.
var batches = sync.Pool{New: func() any { return new([batch]fieldLine) }}

// parse looks at every line once, and then once more at its name and value, to copy them if they are not known. It returns
// errors only of lines that are whole.
func (f *fieldParser) parse() error {
	lines := batches.Get().(*[batch]fieldLine)
	err := f.parseWith(lines)
	batches.Put(lines)
	return err
}

func (f *fieldParser) parseWith(lines *[batch]fieldLine) error {
	for at := 0; ; {
		for i := range lines {
			next, more := lines[i].read(f.b, at)
			if next == 0 {
				return f.wrong(at)
			}
			at = next
			if !more {
				f.keep(lines[:i])
				f.size = at
				return nil
			}
		}
		if f.count == 0 {
			end := headEnd(f.b, at-1)
			if end == 0 {
				return nil
			}
			f.count = bytes.Count(f.b[:end], []byte{'\n'}) - 1
		}
		if f.count > maxFields {
			return errTooManyFields
		}
		f.keep(lines[:])
	}
}

// wrong returns the error of the line that begins at index at, if it is whole.
func (f *fieldParser) wrong(at int) error {
	line, _, whole := cutLine(f.b[at:])
	colon := bytes.IndexByte(line, ':')
	switch {
	case !whole:
		return nil
	case at == 0 && isBlank(f.b[0]):
		return malformed("malformed MIME header initial line:", line)
	case colon < 0:
		return malformed("malformed MIME header: missing colon:", line)
	}
	return malformed("malformed MIME header line:", line)
}

// keep puts fields into the header.
func (f *fieldParser) keep(fields []fieldLine) {
	if f.header == nil {
		n := max(len(fields), f.count)
		f.header = make(http.Header, n)
		if n > len(f.room) {
			f.room = make([]string, n) // one backing array for the usual single values
		}
	}
	f.copyText(fields)
	for i := range fields {
		f.add(fields[i].name, fields[i].value)
	}
}

// copyText copies the names and values that are not known, and remembers their lines.
func (f *fieldParser) copyText(fields []fieldLine) {
	size, all := 0, true
	for i := range fields {
		if l := &fields[i]; !l.known {
			if size, all = size+l.until-l.from, false; l.name == "" {
				size += l.colon - l.start
			}
		}
	}
	if all {
		return
	}
	var text strings.Builder
	text.Grow(size)
	for i := range fields {
		l := &fields[i]
		if l.known {
			continue
		}
		if l.name == "" {
			l.name = appendCanonical(&text, f.b[l.start:l.colon])
		}
		l.value = appendText(&text, f.b[l.from:l.until])
		if size <= maxRecentText && l.end-l.start <= maxRecent {
			l.recentSize = copy(l.recent[:], f.b[l.start:l.end])
		}
	}
}

// appendText appends s to text, which has room for it, and returns it as a part of that.
func appendText(text *strings.Builder, s []byte) string {
	at := text.Len()
	text.Write(s)
	return text.String()[at:]
}

func (f *fieldParser) add(name, value string) {
	set := setOf(name)
	if f.names&set != 0 && f.header[name] != nil {
		f.header[name] = append(f.header[name], value)
		return
	}
	f.names |= set
	f.room[0] = value
	f.header[name], f.room = f.room[:1:1], f.room[1:]
}

// read reads the line that begins at index at, and returns where the next line begins, or 0 if the line is malformed or not
// whole. more is false if the line is empty, which ends the fields.
func (l *fieldLine) read(b []byte, at int) (next int, more bool) {
	n := l.recentSize
	if l.known = n > 0 && len(b)-at >= n && string(b[at:at+n]) == string(l.recent[:n]); l.known {
		return at + n, true
	}
	if next = lineEnd(b, at); next > 0 {
		return next, false
	}
	if at == len(b) {
		return 0, true
	}
	l.recentSize = 0
	l.start = at
	l.name, l.colon = commonName(b[at:])
	if l.colon += at; l.name == "" {
		l.colon = tokenEnd(b, at)
	}
	if l.colon == at || l.colon == len(b) || b[l.colon] != ':' {
		return 0, true
	}
	l.from = l.colon + 1
	for l.from < len(b) && isBlank(b[l.from]) {
		l.from++
	}
	end := ascii.TextEnd(b, l.from)
	for l.until = end; l.until > l.from && isBlank(b[l.until-1]); {
		l.until--
	}
	l.end = lineEnd(b, end)
	return l.end, true
}

// lineEnd returns where the line begins that follows the line end at index at; 0: there is none. A line may end in
// LF alone (RFC 9112 section 2.2).
func lineEnd(b []byte, at int) int {
	switch b = b[at:]; {
	case len(b) > 0 && b[0] == '\n':
		return at + 1
	case len(b) > 1 && b[0] == '\r' && b[1] == '\n':
		return at + 2
	}
	return 0
}

// canonical has the canonical form of the bytes of a token, and zero for all others: canonical[0] at its start and
// behind a hyphen, canonical[1] elsewhere.
var canonical = func() (forms [2][256]byte) {
	for c := range byte(0x80) {
		if httpguts.IsTokenRune(rune(c)) {
			forms[0][c] = ascii.Upper(c)
			forms[1][c] = ascii.Lower(c)
		}
	}
	return forms
}()

// tokenEnd returns the end of the token that begins at index at.
func tokenEnd(b []byte, at int) int {
	for at < len(b) && canonical[0][b[at]] != 0 {
		at++
	}
	return at
}

// appendCanonical is appendText for a token, in canonical form (RFC 9110 section 5.1).
func appendCanonical(text *strings.Builder, token []byte) string {
	at := text.Len()
	forms := &canonical[0]
	for _, c := range token {
		text.WriteByte(forms[c])
		forms = &canonical[1]
		if c == '-' {
			forms = &canonical[0]
		}
	}
	return text.String()[at:]
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// commonName returns the name that the line b begins with, in canonical form, and its length as sent. It returns "" and 0
// if the name is not a common one, or not spelled as usual. A common name need not be looked at byte by byte, and a header
// need not hold a copy of it.
func commonName(b []byte) (name string, length int) {
	for i := range common[b[0]%initials] {
		c := &common[b[0]%initials][i]
		if n := len(c.sent); len(b) > n && b[n] == ':' && string(b[:n]) == c.sent {
			return c.name, n
		}
	}
	return "", 0
}

// initials is the number of lists of common names: by the lower five bits of their first letters.
const initials = 32

type commonField struct{ sent, name string }

// common are the names of most fields of responses, by their first letter.
var common = func() (common [initials][]commonField) {
	for _, sent := range []string{
		"Accept-Ranges", "Access-Control-Allow-Origin", "Age", "Alt-Svc",
		"Content-Type", "Content-Length", "Connection", "Cache-Control", "Content-Encoding",
		"Date", "ETag", "Etag", "Expires", "Keep-Alive", "Last-Modified", "Location", "Pragma",
		"Server", "Set-Cookie", "Strict-Transport-Security", "Transfer-Encoding", "Vary", "Via",
		"X-Request-Id", "X-Request-ID", "X-Content-Type-Options", "X-Frame-Options", "X-Powered-By", "X-Cache",
	} {
		list := &common[sent[0]%initials]
		*list = append(*list, commonField{sent, http.CanonicalHeaderKey(sent)})
	}
	return common
}()
