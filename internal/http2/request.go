package http2

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"

	"github.com/peerpool/peerpool/internal/ascii"
	"github.com/peerpool/peerpool/internal/exchange"
	"golang.org/x/net/http/httpguts"
	xhttp2 "golang.org/x/net/http2"
)

// The head of a request (RFC 9113 section 8.3.1). The errors have the texts of net/http's.

const defaultUserAgent = "Go-http-client/2.0"

// head is what the head of a request says in addition to the fields of Request.Header.
type head struct {
	method, scheme, authority, path string
	protocol                        string // of an extended CONNECT (RFC 8441)
	trailer                         string // the names of the trailer's fields
	length                          string // Content-Length; empty if it is not sent
	gzip                            bool
	binds                           bool // a field has a credential that may bind the connection; set by list
	ends                            bool // the head ends the stream: the request has no body and no trailer
}

// field is a field that is sent. Its name is in lower case.
type field struct{ name, value string }

// usualFields is how many fields a head has at most, usually.
const usualFields = 16

// sizeOf returns the size of a field as the RFC counts it (RFC 9113 section 6.5.2).
func sizeOf(f field) uint64 { return uint64(len(f.name) + len(f.value) + fieldOverhead) }

// fields are all fields of a head, as they are sent.
type fields []field

// size returns the size of the fields as the RFC counts it.
func (all fields) size() (n uint64) {
	for _, f := range all {
		n += sizeOf(f)
	}
	return n
}

// plan returns the head of the request, or an error if the request cannot be sent. It does not check the names and values of
// fields, which have been checked before a connection was acquired.
func (x *Exchange) plan() (h head, err error) {
	req := x.req
	if err := checkConnectionFields(req.Header); err != nil {
		return h, err
	}
	h.method, h.scheme = req.Method, req.URL.Scheme
	if h.method == "" {
		h.method = http.MethodGet
	}
	if h.authority, err = authority(req); err != nil {
		return h, err
	}
	if values := req.Header[":protocol"]; len(values) > 0 {
		h.protocol = values[0]
	}
	switch {
	case h.method == http.MethodConnect && h.protocol == "":
		h.scheme = "" // CONNECT has no scheme and no path
	case h.method != http.MethodConnect && h.protocol != "":
		return h, errors.New("invalid :protocol header in non-CONNECT request")
	default:
		if h.path, err = path(req, h.authority); err != nil {
			return h, err
		}
	}
	if h.trailer, err = trailerNames(req.Trailer); err != nil {
		return h, err
	}
	length := bodyLength(req)
	if length > 0 || length == 0 && usuallyWithBody(h.method) {
		h.length = strconv.FormatInt(length, 10)
	}
	h.ends = length == 0 && h.trailer == ""
	h.gzip = x.c.engine.gzip && wantsGzip(req)
	return h, nil
}

// bodyLength returns the length of the body, or -1 if it is not known.
func bodyLength(req *http.Request) int64 {
	switch {
	case req.Body == nil || req.Body == http.NoBody:
		return 0
	case req.ContentLength != 0:
		return req.ContentLength
	}
	return -1
}

// usuallyWithBody reports whether a request without a body sends Content-Length: 0 (RFC 9110 section 8.6).
func usuallyWithBody(method string) bool {
	return method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch
}

func wantsGzip(req *http.Request) bool {
	return len(req.Header["Accept-Encoding"]) == 0 && len(req.Header["Range"]) == 0 && req.Method != http.MethodHead
}

// checkConnectionFields refuses fields of HTTP/1.1 that ask for something that HTTP/2 cannot do (section 8.2.2). It accepts
// those that ask for nothing; they are not sent.
func checkConnectionFields(header http.Header) error {
	if v := header["Upgrade"]; len(v) > 0 && v[0] != "" && v[0] != "chunked" {
		return fmt.Errorf("invalid Upgrade request header: %q", v)
	}
	if v := header["Transfer-Encoding"]; len(v) > 0 && (len(v) > 1 || v[0] != "" && v[0] != "chunked") {
		return fmt.Errorf("invalid Transfer-Encoding request header: %q", v)
	}
	if v := header["Connection"]; len(v) > 0 && (len(v) > 1 || v[0] != "" && !ascii.EqualFold(v[0], "close") && !ascii.EqualFold(v[0], "keep-alive")) {
		return fmt.Errorf("invalid Connection request header: %q", v)
	}
	return nil
}

func authority(req *http.Request) (string, error) {
	host := req.Host
	if host == "" {
		host = req.URL.Host
	}
	host, err := httpguts.PunycodeHostPort(host)
	if err != nil {
		return "", err
	}
	if !httpguts.ValidHostHeader(host) {
		return "", errors.New("invalid Host header")
	}
	return host, nil
}

func path(req *http.Request, authority string) (string, error) {
	path := req.URL.RequestURI()
	if validPath(path) {
		return path, nil
	}
	if cut := strings.TrimPrefix(path, req.URL.Scheme+"://"+authority); validPath(cut) {
		return cut, nil
	}
	if req.URL.Opaque != "" {
		return "", fmt.Errorf("invalid request :path %q from URL.Opaque = %q", path, req.URL.Opaque)
	}
	return "", fmt.Errorf("invalid request :path %q", path)
}

func validPath(path string) bool { return path == "*" || path != "" && path[0] == '/' }

func trailerNames(trailer http.Header) (string, error) {
	if len(trailer) == 0 {
		return "", nil
	}
	names := make([]string, 0, len(trailer))
	for name := range trailer {
		name = textproto.CanonicalMIMEHeaderKey(name)
		switch name {
		case "Transfer-Encoding", "Trailer", "Content-Length":
			return "", fmt.Errorf("invalid Trailer key %q", name)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ","), nil
}

// list appends the fields of the request to all, in the order in which they are sent.
func (h *head) list(req *http.Request, all fields) fields {
	all = append(all, field{":authority", h.authority}, field{":method", h.method})
	if h.scheme != "" {
		all = append(all, field{":path", h.path}, field{":scheme", h.scheme})
	}
	if h.protocol != "" {
		all = append(all, field{":protocol", h.protocol})
	}
	if h.trailer != "" {
		all = append(all, field{"trailer", h.trailer})
	}
	agent := defaultUserAgent
	for name, values := range req.Header {
		lower, kind := lowerName(name)
		switch kind {
		case userAgentName:
			if agent = ""; len(values) > 0 {
				agent = values[0]
			}
		case cookieName:
			all = listCookies(values, all)
		case plainName:
			h.binds = h.binds || exchange.BindsConnection(lower, values)
			for _, value := range values {
				all = append(all, field{lower, value})
			}
		}
	}
	if h.length != "" {
		all = append(all, field{"content-length", h.length})
	}
	if h.gzip {
		all = append(all, field{"accept-encoding", "gzip"})
	}
	if agent != "" {
		all = append(all, field{"user-agent", agent})
	}
	return all
}

// listCookies appends each cookie as a field of its own, so that HPACK compresses the cookies that stay the same (section
// 8.2.3).
func listCookies(values []string, all fields) fields {
	for _, value := range values {
		for more := true; more; {
			var one string
			one, value, more = strings.Cut(value, ";")
			if more || one != "" {
				all = append(all, field{"cookie", one})
			}
			value = strings.TrimLeft(value, " ")
		}
	}
	return all
}

var (
	errHeadTooLarge = fmt.Errorf("http2: %w", errors.New("request header list larger than peer's advertised limit"))
	errTrailerSize  = &exchange.BodyError{Err: errHeadTooLarge}
)

// sendHeadLocked appends the HEADERS of a stream, and CONTINUATION if they do not fit into one frame.
func (c *Conn) sendHeadLocked(x *Exchange, head fields, ends bool) {
	start := c.beginHeaders()
	for _, f := range head {
		c.encoder.write(f)
	}
	c.endHeaders(start, x.id, ends)
}

// sendTrailerLocked appends the trailer of a request (section 8.1).
func (c *Conn) sendTrailerLocked(x *Exchange, trailer http.Header) {
	start := c.beginHeaders()
	for name, values := range trailer {
		lower, _ := lowerName(name)
		for _, value := range values {
			c.encoder.write(field{lower, value})
		}
	}
	c.endHeaders(start, x.id, true)
}

// beginHeaders leaves room for the head of a frame, and returns where that room begins.
func (c *Conn) beginHeaders() (start int) {
	b := c.out.bytes()
	start = len(*b)
	*b = append(*b, make([]byte, frameHead)...)
	return start
}

// endHeaders makes frames of the header block that has been written since beginHeaders.
func (c *Conn) endHeaders(start int, stream uint32, ends bool) {
	b := c.out.bytes()
	var flags xhttp2.Flags
	if ends {
		flags = xhttp2.FlagHeadersEndStream
	}
	size, most := len(*b)-start-frameHead, int(c.peer.maxFrame)
	if size <= most {
		appendFrame((*b)[:start], size, xhttp2.FrameHeaders, flags|xhttp2.FlagHeadersEndHeaders, stream)
		return
	}
	block := slices.Clone((*b)[start+frameHead:])
	*b = (*b)[:start]
	for kind := xhttp2.FrameHeaders; len(block) > 0; kind, flags = xhttp2.FrameContinuation, 0 {
		part := block[:min(most, len(block))]
		if block = block[len(part):]; len(block) == 0 {
			flags |= xhttp2.FlagContinuationEndHeaders // the same bit as for HEADERS
		}
		*b = append(appendFrame(*b, len(part), kind, flags, stream), part...)
	}
}
