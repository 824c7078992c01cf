package http1

import (
	"bytes"
	"io"
	"math"
	"net/http"
	"strings"

	"github.com/peerpool/peerpool/internal/ascii"
	"github.com/peerpool/peerpool/internal/refusal"
)

// chunks reads the chunked coding (RFC 9112 section 7.1) from a Conn. It is strict: sizes are plain hexadecimal numbers, lines
// end in CRLF, and the length of chunk extensions is limited.
type chunks struct {
	left   int64 // bytes of the current chunk
	excess int32 // bytes that were not data, less an allowance for each byte that was
	inside bool  // its data has begun, so its CRLF has not been read
	last   bool  // the chunk of size zero has been read
}

const (
	maxLine        = 4 << 10  // bytes of a chunk-size line with its extensions and its CRLF, or of a trailer section
	maxChunkDigits = 16       // of a chunk's size, leading zeros included
	maxExcess      = 16 << 10 // bytes of overhead beyond what chunks of a sensible size need
)

// read reads up to len(p) bytes of data of one chunk. It returns io.EOF when the last chunk has been read. The trailer section
// follows then.
func (k *chunks) read(c *Conn, p []byte) (int, error) {
	if k.last {
		return 0, io.EOF
	}
	for k.left == 0 {
		if err := k.next(c); err != nil {
			return 0, err
		}
		if k.last {
			return 0, io.EOF
		}
	}
	n, err := c.readData(p[:min(int64(len(p)), k.left)])
	k.left -= int64(n)
	k.excess -= int32(min(int64(k.excess), int64(n)))
	if k.left == 0 && err == nil {
		err = k.tryEnd(c)
	}
	return n, err
}

// tryEnd reads what follows a chunk if it has arrived, so that the caller's last Read returns the end together with the data.
func (k *chunks) tryEnd(c *Conn) error {
	b := c.in.buf[c.in.r:c.in.w]
	if len(b) <= len(crlf) || bytes.IndexByte(b[len(crlf):], '\n') < 0 {
		return nil
	}
	return k.next(c)
}

// next reads the CRLF of the chunk before and the size of the next one.
func (k *chunks) next(c *Conn) error {
	if k.inside {
		if err := c.readChunkEnd(); err != nil {
			return err
		}
		k.inside = false
	}
	line, err := c.readLine()
	if err != nil {
		return err
	}
	size, err := parseChunkSize(line)
	if err != nil {
		return err
	}
	k.excess += int32(min(len(line), maxExcess)) + 2
	// A chunk earns some overhead, so that honest small chunks never add up.
	k.excess = max(0, k.excess-16)
	if k.excess > maxExcess {
		return errExcessiveChunks
	}
	k.left, k.inside, k.last = size, size > 0, size == 0
	return nil
}

// parseChunkSize parses the hexadecimal size at the start of a line. White space or an extension may follow (RFC 9112
// section 7.1.1). As with net/http, an extension must not follow white space.
func parseChunkSize(line []byte) (int64, error) {
	digits, ext, found := bytes.Cut(line, []byte{';'})
	if found && ascii.TextEnd(ext, 0) < len(ext) {
		return 0, errChunkedEncoding
	}
	if !found {
		digits = bytes.TrimRight(digits, " \t")
	}
	if len(digits) == 0 {
		return 0, errNoChunkSize
	}
	var n int64
	for i, d := range digits {
		switch {
		case '0' <= d && d <= '9':
			d -= '0'
		case 'a' <= d && d <= 'f':
			d -= 'a' - 10
		case 'A' <= d && d <= 'F':
			d -= 'A' - 10
		default:
			return 0, errChunkSizeByte
		}
		if i == maxChunkDigits || n > math.MaxInt64>>4 {
			return 0, errChunkSize
		}
		n = n<<4 | int64(d)
	}
	return n, nil
}

// readTrailer reads the trailer section behind the last chunk (RFC 9112 section 7.1.2), of limit bytes at most. It drops the
// fields that must not be there. As with net/http, there is one error for all sections that do not end.
func (c *Conn) readTrailer(limit int) (http.Header, error) {
	for c.in.buffered() < len(crlf) {
		if err := c.fill(); err != nil {
			return nil, c.truncated(err, errTrailerEOF)
		}
	}
	if bytes.HasPrefix(c.in.buf[c.in.r:c.in.w], crlf) {
		c.in.r += len(crlf)
		return nil, nil
	}
	end := trailerEnd(c.in.buf[c.in.r:c.in.w])
	for ; end == 0; end = trailerEnd(c.in.buf[c.in.r:c.in.w]) {
		arrived := c.in.buf[c.in.r:c.in.w]
		if len(arrived) >= limit || arrived[0] == '\n' || headEnd(arrived, 0) > 0 { // it cannot end with CRLF CRLF within the limit
			return nil, errTrailerTooLong
		}
		if err := c.fill(); err != nil {
			return nil, c.truncated(err, errTrailerTooLong)
		}
	}
	if end > limit {
		return nil, errTrailerTooLong
	}
	section := c.in.buf[c.in.r : c.in.r+end]
	c.in.r += end
	if bytes.Count(section, []byte{'\n'}) != bytes.Count(section, crlf) {
		return nil, errChunkedEncoding
	}
	f := fieldParser{b: section}
	if err := f.parse(); err != nil {
		return nil, refusal.OfFields(section, err)
	}
	for name := range f.header {
		if forbiddenTrailer(name) {
			delete(f.header, name)
		}
	}
	return f.header, nil
}

// trailerEnd returns the length of the trailer fields at the start of b, with the empty line that ends them, or 0 if that has not
// arrived.
func trailerEnd(b []byte) int {
	if i := bytes.Index(b, []byte("\r\n\r\n")); i >= 0 {
		return i + len("\r\n\r\n")
	}
	return 0
}

// truncated returns the error for a connection that has ended too early: err if Abort has ended it, else as.
func (c *Conn) truncated(err, as error) error {
	if c.aborted() != nil {
		return err
	}
	return as
}

var crlf = []byte("\r\n")

// trailerArrived reports whether the whole trailer section is in the buffer, so that reading it does not wait.
func (c *Conn) trailerArrived() bool { return trailerIn(c.in.buf[c.in.r:c.in.w]) }

// trailerIn reports whether b begins with a whole trailer section.
func trailerIn(b []byte) bool { return bytes.HasPrefix(b, crlf) || trailerEnd(b) > 0 }

// readChunkEnd reads the CRLF behind the data of a chunk.
func (c *Conn) readChunkEnd() error {
	for c.in.buffered() < len(crlf) {
		if err := c.fill(); err != nil {
			return err
		}
	}
	if !bytes.HasPrefix(c.in.buf[c.in.r:c.in.w], crlf) {
		return errChunkedEncoding
	}
	c.in.r += len(crlf)
	return nil
}

// readLine reads a line that must end in CRLF, and returns it without CRLF. It is valid until the next read.
func (c *Conn) readLine() ([]byte, error) {
	for scanned := 0; ; {
		b := c.in.buf[c.in.r:c.in.w]
		i := bytes.IndexByte(b[scanned:], '\n')
		end := scanned + i
		switch {
		case i >= 0 && end+1 > maxLine || i < 0 && len(b) >= maxLine:
			return nil, errLongChunkLine
		case i >= 0 && (end == 0 || b[end-1] != '\r'):
			return nil, errBareLF
		case i >= 0:
			c.in.r += end + 1
			return b[:end-1], nil
		}
		scanned = len(b)
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}

// readData copies bytes from the buffer. If the buffer is empty and p is at least as large, it reads into p directly.
func (c *Conn) readData(p []byte) (int, error) {
	if c.in.buffered() == 0 {
		if len(p) >= len(c.in.buf) {
			return c.Read(p)
		}
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.in.buf[c.in.r:c.in.w])
	c.in.r += n
	return n, nil
}

// trailer returns the trailer fields that the head of a chunked response announces, without values, and removes Trailer
// from the header. A field that decides about framing is an error. A field that decides about routing is left out (RFC
// 9110 section 6.5.1).
func (h *head) trailer() (http.Header, error) {
	announced := h.get("Trailer")
	if len(announced) == 0 {
		return nil, nil
	}
	delete(h.header, "Trailer")
	trailer := make(http.Header)
	for _, line := range announced {
		for name := range strings.SplitSeq(line, ",") {
			name = http.CanonicalHeaderKey(ascii.TrimSpace(name))
			if name == "" {
				continue
			}
			switch {
			case framesMessage(name):
				return nil, malformed("bad trailer key", name)
			case !forbiddenTrailer(name):
				trailer[name] = nil
			}
		}
	}
	if len(trailer) == 0 {
		return nil, nil
	}
	return trailer, nil
}

// forbiddenTrailer reports whether a field decides about framing or routing (RFC 9110 section 6.5.1).
func forbiddenTrailer(name string) bool {
	return framesMessage(name) || name == "Host" || name == "Connection"
}

func framesMessage(name string) bool {
	return name == "Content-Length" || name == "Transfer-Encoding" || name == "Trailer"
}
