package http1

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"net/http"
	"strings"

	"github.com/peerpool/peerpool/internal/ascii"
	"golang.org/x/net/http/httpguts"
)

// batch is how many fields are read before they are put into the header, with one string for the text of all.
const batch = 16

// fieldParser reads header or trailer fields up to the empty line that ends them (RFC 9112 section 5). Obsolete line
// folding, spaces before the colon, and control characters are errors.
type fieldParser struct {
	b       []byte   // from the first field line on; names become canonical in it
	size    int      // of the fields with their empty line; 0 as long as they are malformed or not whole
	count   int      // of the fields, once there are more than a batch
	room    []string // for values, if that is enough; they then belong to whoever has the header
	header  http.Header
	lengths lengthSet
}

// field is where a field line has its name and its value.
type field struct {
	name        string // one that is common; else it is b[start:colon]
	start       int
	colon       int
	from, until int // of the value, without the white space around it
}

// parse looks at every line once, and then once more at its name and value, to copy them. Errors are told only of
// lines that are whole.
func (f *fieldParser) parse() error {
	var fields [batch]field
	for at := 0; ; {
		for i := range fields {
			next, more := fields[i].scan(f.b, at)
			if next == 0 {
				return f.wrong(at)
			}
			at = next
			if !more {
				f.keep(fields[:i])
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
		f.keep(fields[:])
	}
}

// wrong returns what is wrong with the line that begins at index at, if that is whole.
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
func (f *fieldParser) keep(fields []field) {
	if f.header == nil {
		n := max(len(fields), f.count)
		f.header = make(http.Header, n)
		if n > len(f.room) {
			f.room = make([]string, n) // one backing array for the usual single values
		}
	}
	size := 0
	for i := range fields {
		l := &fields[i]
		if size += l.until - l.from; l.name == "" {
			size += l.colon - l.start
		}
	}
	var text strings.Builder
	text.Grow(size)
	for i := range fields {
		l := &fields[i]
		if l.name == "" {
			l.name = appendText(&text, canonicalize(f.b[l.start:l.colon]))
		}
		f.add(l.name, appendText(&text, f.b[l.from:l.until]))
	}
}

// appendText appends s to text, which has room for it, and returns it as a part of that.
func appendText(text *strings.Builder, s []byte) string {
	at := text.Len()
	text.Write(s)
	return text.String()[at:]
}

func (f *fieldParser) add(name, value string) {
	length := lengthOf(name)
	if f.lengths&length != 0 && f.header[name] != nil {
		f.header[name] = append(f.header[name], value)
		return
	}
	f.lengths |= length
	f.room[0] = value
	f.header[name], f.room = f.room[:1:1], f.room[1:]
}

// scan reads the line that begins at index at, and returns where the next one does: 0 if it is malformed or not
// whole. more is false if it is empty, which ends the fields.
func (l *field) scan(b []byte, at int) (next int, more bool) {
	if next = lineEnd(b, at); next > 0 {
		return next, false
	}
	if at == len(b) {
		return 0, true
	}
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
	end := textEnd(b, l.from)
	for l.until = end; l.until > l.from && isBlank(b[l.until-1]); {
		l.until--
	}
	return lineEnd(b, end), true
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

// canonicalize puts a token into canonical form (RFC 9110 section 5.1), in place.
func canonicalize(token []byte) []byte {
	forms := &canonical[0]
	for i, c := range token {
		token[i] = forms[c]
		forms = &canonical[1]
		if c == '-' {
			forms = &canonical[0]
		}
	}
	return token
}

// textEnd returns the index of the first control character from index at on, or the length of b. HTAB is none
// (RFC 9110 section 5.5).
func textEnd(b []byte, at int) int {
	for {
		if at = firstBelow(b, at, ' '); at == len(b) || b[at] != '\t' {
			return at
		}
		at++
	}
}

// firstBelow returns the index of the first byte that is less than limit, or DEL, from index at on; or the length of
// b. limit is at most 0x80. It looks at eight bytes at a time.
func firstBelow(b []byte, at int, limit byte) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for ; at+8 <= len(b); at += 8 {
		x := binary.LittleEndian.Uint64(b[at:])
		less := (x - ones*uint64(limit)) &^ x
		del := x ^ ones*0x7f
		del = (del - ones) &^ del
		if found := (less | del) & tops; found != 0 { // of which the lowest bit is always right
			return at + bits.TrailingZeros64(found)/8
		}
	}
	for ; at < len(b); at++ {
		if b[at] < limit || b[at] == 0x7f {
			return at
		}
	}
	return at
}

// validText says that there is no control character other than HTAB: no NUL and no bare CR above all.
func validText(b []byte) bool { return textEnd(b, 0) == len(b) }

func isBlank(c byte) bool { return c == ' ' || c == '\t' }
