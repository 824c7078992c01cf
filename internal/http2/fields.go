package http2

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"strconv"

	"github.com/peerpool/peerpool/internal/ascii"
	"golang.org/x/net/http/httpguts"
	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Header blocks that the server sends (RFC 9113 sections 6.2, 6.10 and 8.3). The fields are decoded directly into the
// response.

const (
	// blockSlack is by how many bytes a header block may exceed twice the limit on header lists. If a block exceeds it by
	// more, we end the connection rather than the stream.
	blockSlack = 64 << 10
	// frameCost is how many bytes a frame of a header block counts in addition to its payload.
	frameCost = 32

	maxNames = 64 // canonical names that a connection remembers
)

var (
	errHeaderList    = errors.New("http2: response header list larger than advertised limit")
	errNoStatus      = errors.New("malformed response from server: missing status pseudo header")
	errBadStatus     = errors.New("malformed response from server: malformed non-numeric status pseudo header")
	errEndedInterim  = errors.New("1xx informational response with END_STREAM flag")
	errManyInterim   = errors.New("header list too large")
	errSwitching     = errors.New("malformed response from server: status 101 has no meaning in HTTP/2")
	errLateHeaders   = errors.New("protocol error: headers after END_STREAM")
	errMixedPseudo   = errors.New("mix of request and response pseudo headers")
	errLatePseudo    = errors.New("pseudo header field after regular")
	errPseudoTrailer = errors.New("pseudo header field in a trailer")
	errOpenTrailer   = errors.New("a trailer that does not end the stream")
)

// block is a header block that is being received. Only the reading goroutine uses it.
type block struct {
	x       *Exchange // nil if the stream is gone
	stream  uint32
	ends    bool // END_STREAM
	size    int64
	encoded int64
	header  http.Header
	values  []string // room for values
	status  string
	trailer bool
	regular bool  // a field has come that is not a pseudo-field
	hop     bool  // a field has come that concerns a connection of HTTP/1.1; see connectionFields
	length  bool  // a Content-Length has come
	err     error // why the block is malformed
}

// headers handles a HEADERS frame.
func (c *Conn) headers(f *xhttp2.HeadersFrame) error {
	in := &c.in
	c.mu.Lock()
	x := c.streams[f.StreamID]
	idle := x == nil && c.idleLocked(f.StreamID)
	c.pings.sawDataLocked()
	headed := x != nil && x.headed
	c.mu.Unlock()
	if idle {
		return xhttp2.ConnectionError(xhttp2.ErrCodeProtocol)
	}
	in.block = block{x: x, stream: f.StreamID, ends: f.StreamEnded(), trailer: headed}
	if x != nil && !headed {
		in.block.values = x.values[:]
	}
	return c.fragment(f.HeaderBlockFragment(), f.HeadersEnded())
}

// continuation handles a CONTINUATION frame. The Framer checks the order of frames.
func (c *Conn) continuation(f *xhttp2.ContinuationFrame) error {
	return c.fragment(f.HeaderBlockFragment(), f.HeadersEnded())
}

// fragment takes a part of the header block. It decodes the block once the block is complete.
func (c *Conn) fragment(p []byte, last bool) error {
	in := &c.in
	in.block.encoded += int64(len(p)) + frameCost
	if in.block.encoded > 2*c.engine.maxHeader+blockSlack {
		return xhttp2.ConnectionError(xhttp2.ErrCodeProtocol)
	}
	if !last {
		in.rest = append(in.rest, p...)
		return nil
	}
	if len(in.rest) > 0 {
		p = append(in.rest, p...)
		in.rest = nil
	}
	in.decoder.SetEmitEnabled(in.block.x != nil)
	if _, err := in.decoder.Write(p); err != nil {
		return xhttp2.ConnectionError(xhttp2.ErrCodeCompression)
	}
	if err := in.decoder.Close(); err != nil {
		return xhttp2.ConnectionError(xhttp2.ErrCodeCompression)
	}
	if in.block.x != nil {
		c.headed()
	}
	in.block = block{}
	return nil
}

// field takes a field. The decoder calls it for each field.
func (in *input) field(f hpack.HeaderField) {
	b := &in.block
	b.size += int64(f.Size())
	switch {
	case b.size > in.c.engine.maxHeader:
		b.err = errHeaderList
	case len(f.Name) > 0 && f.Name[0] == ':':
		b.err = b.pseudo(f)
	case !validName(f.Name):
		b.err = fmt.Errorf("invalid header field name %q", f.Name)
	case !httpguts.ValidHeaderFieldValue(f.Value):
		b.err = fmt.Errorf("invalid header field value for %q", f.Name) // without the value, which may be a secret
	default:
		b.regular = true
		switch f.Name {
		case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
			b.hop = true
		case "content-length":
			b.length = true
		}
		in.add(in.canonical(f.Name), f.Value)
	}
	if b.err != nil {
		in.decoder.SetEmitEnabled(false) // the decoder still decodes the rest, to keep its dynamic table right
	}
}

// pseudo takes a pseudo-field. A response has only one, :status (RFC 9113 section 8.3.2).
func (b *block) pseudo(f hpack.HeaderField) error {
	switch {
	case b.trailer:
		return errPseudoTrailer
	case b.regular:
		return errLatePseudo
	case f.Name != ":status":
		switch f.Name {
		case ":method", ":scheme", ":authority", ":path", ":protocol":
			return errMixedPseudo
		}
		return fmt.Errorf("invalid pseudo-header %q", f.Name)
	case b.status != "":
		return fmt.Errorf("duplicate pseudo-header %q", f.Name)
	case f.Value == "":
		return errNoStatus
	}
	b.status = f.Value
	return nil
}

// add adds a field to the header.
func (in *input) add(name, value string) {
	b := &in.block
	if b.header == nil {
		b.header = make(http.Header, 8)
		if b.trailer || len(b.status) == 3 && b.status[0] == '1' {
			b.values = nil // the trace may keep the header of an interim response
		}
	}
	if values := b.header[name]; values != nil {
		b.header[name] = append(values, value)
		return
	}
	if len(b.values) == 0 {
		b.values = make([]string, 8)
	}
	b.values[0] = value
	b.header[name], b.values = b.values[:1:1], b.values[1:]
}

// validName reports whether name is a token without upper-case letters (section 8.2.1).
func validName(name string) bool {
	for i := range len(name) {
		if c := name[i]; c >= 0x80 || 'A' <= c && c <= 'Z' || !httpguts.IsTokenRune(rune(c)) {
			return false
		}
	}
	return name != ""
}

// commonNames has the canonical forms of the names that most responses use, by the names in lower case.
var commonNames = func() map[string]string {
	names := make(map[string]string)
	for _, name := range words(`Accept-Ranges Access-Control-Allow-Credentials Access-Control-Allow-Headers
		Access-Control-Allow-Methods Access-Control-Allow-Origin Access-Control-Expose-Headers Access-Control-Max-Age Age
		Allow Alt-Svc Cache-Control Cf-Cache-Status Cf-Ray Content-Disposition Content-Encoding Content-Language
		Content-Length Content-Location Content-Range Content-Security-Policy Content-Type Date Etag Expires
		Grpc-Encoding Grpc-Accept-Encoding Grpc-Message Grpc-Status Last-Modified Link Location Nel P3p Pragma
		Proxy-Authenticate Referrer-Policy Report-To Retry-After Server Server-Timing Set-Cookie
		Strict-Transport-Security Trailer Transfer-Encoding Vary Via Www-Authenticate X-Cache X-Content-Type-Options
		X-Frame-Options X-Powered-By X-Request-Id X-Xss-Protection`) {
		names[ascii.ToLower(name)] = name
	}
	return names
}()

// canonical returns the canonical form of a name.
func (in *input) canonical(name string) string {
	if known, ok := commonNames[name]; ok {
		return known
	}
	if known, ok := in.names[name]; ok {
		return known
	}
	known := textproto.CanonicalMIMEHeaderKey(name)
	if in.names == nil {
		in.names = make(map[string]string)
	}
	if len(in.names) < maxNames && len(name) < 64 {
		in.names[name] = known
	}
	return known
}

// headed handles a complete header block: a response, an interim response, or a trailer.
func (c *Conn) headed() {
	b := &c.in.block
	x := b.x
	c.mu.Lock()
	defer c.unlockAndFlush()
	if c.streams[b.stream] != x {
		return // the stream has ended in the meantime
	}
	x.started = true
	err := b.err
	switch {
	case err != nil:
	case x.received:
		err = errLateHeaders
	case b.trailer:
		err = x.trailerLocked(b)
	default:
		err = x.headLocked(b)
	}
	if err != nil {
		x.protocol = true
		x.abortLocked(xhttp2.StreamError{StreamID: x.id, Code: xhttp2.ErrCodeProtocol, Cause: err}, xhttp2.ErrCodeProtocol)
	}
	c.in.stir(x)
}

// trailerLocked takes a trailer section.
func (x *Exchange) trailerLocked(b *block) error {
	if !b.ends {
		return errOpenTrailer
	}
	x.trailer = b.header
	x.endLocked()
	return nil
}

// headLocked takes the head of a response (RFC 9113 section 8.1).
func (x *Exchange) headLocked(b *block) error {
	status, err := parseStatus(b.status)
	if err != nil {
		return err
	}
	if status < 200 {
		return x.interimLocked(status, b)
	}
	x.headed = true
	r := &x.resp
	r.StatusCode = status
	r.Header = b.header
	if r.Header == nil {
		r.Header = make(http.Header)
	}
	x.frame(b)
	if x.bare = b.ends; b.ends {
		x.endLocked()
	}
	return nil
}

func parseStatus(s string) (int, error) {
	if s == "" {
		return 0, errNoStatus
	}
	n, err := strconv.Atoi(s)
	if err != nil || len(s) != 3 || n < 100 {
		return 0, errBadStatus
	}
	if n == http.StatusSwitchingProtocols {
		return 0, errSwitching
	}
	return n, nil
}

// interim is an interim response that the trace has not seen yet.
type interim struct {
	status int
	header http.Header
}

// interimLocked takes an interim response (RFC 9110 section 15.2). The interim responses that Got1xxResponse has not seen may
// be, all together, as large as one head.
func (x *Exchange) interimLocked(status int, b *block) error {
	if b.ends {
		return errEndedInterim
	}
	if x.interims += b.size; x.interims > x.c.engine.maxHeader {
		return errManyInterim
	}
	if x.trace == nil {
		x.proceed = x.proceed || status == http.StatusContinue
		return nil
	}
	header := b.header
	if header == nil {
		header = make(http.Header)
	}
	x.interim = append(x.interim, interim{status, header})
	return nil
}

// connectionFields must not come in HTTP/2 (RFC 9113 section 8.2.2). A response that has them is malformed. We remove them,
// as net/http does, so that they do not mislead a recipient to which the caller passes the response on over HTTP/1.1.
var connectionFields = []string{"Connection", "Proxy-Connection", "Keep-Alive", "Transfer-Encoding", "Upgrade"}

// frame finds out how long the body is (RFC 9110 section 8.6). It removes Content-Length from the header if its values
// contradict each other or are not numbers.
func (x *Exchange) frame(b *block) {
	r := &x.resp
	if b.hop {
		for _, name := range connectionFields {
			delete(r.Header, name)
		}
	}
	r.ContentLength = -1
	if b.length {
		said := r.Header["Content-Length"]
		r.ContentLength = lengthOf(said)
		if r.ContentLength < 0 {
			delete(r.Header, "Content-Length")
		} else {
			r.Header["Content-Length"] = said[:1:1]
		}
	}
	x.left = r.ContentLength
	if x.bodiless() {
		x.left = -1
	}
}

func lengthOf(said []string) int64 {
	for _, other := range said[1:] {
		if other != said[0] {
			return -1
		}
	}
	n, err := strconv.ParseUint(said[0], 10, 63)
	if err != nil {
		return -1
	}
	return int64(n)
}

// bodiless reports whether the response has no content, whatever its fields say.
func (x *Exchange) bodiless() bool {
	return x.head || x.resp.StatusCode == http.StatusNoContent || x.resp.StatusCode == http.StatusNotModified
}
