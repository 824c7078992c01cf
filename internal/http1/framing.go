package http1

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/peerpool/peerpool/internal/ascii"
	"golang.org/x/net/http/httpguts"

	"github.com/peerpool/peerpool/internal/exchange"
)

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
	if !f.persist && h.minor > 0 {
		delete(h.header, "Connection") // http.Response.Close says it
	}
	bodiless := h.bodiless()
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

// bodiless reports whether a response with this status has no body, whatever its fields say (RFC 9112 section 6.3, item 1). A
// server must not send Transfer-Encoding with such a response (section 6.1), and Content-Length only with 304 (RFC 9110
// section 8.6): a reader that relies on the field and one that relies on the status would disagree.
func (h *head) bodiless() bool {
	return h.code < 200 || h.code == http.StatusNoContent || h.code == http.StatusNotModified
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

// trailer returns the trailer fields that the head of a chunked response announces, without values, and removes Trailer from the header. A field that
// decides about framing is an error. A field that decides about routing is left out (RFC 9110 section 6.5.1).
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

// noHint is the hint of a server that gives none.
var noHint = exchange.KeepAlive{Timeout: -1, Max: -1}

// maxHint bounds a hint, so that no arithmetic on it overflows.
const maxHint = 1 << 24

// keepAlive parses "Keep-Alive: timeout=5, max=100", a field that RFC 9112 appendix C.2.2 mentions and
// the expired draft-thomson-hybi-http-timeout describes.
func keepAlive(header http.Header) exchange.KeepAlive {
	ka := noHint
	for _, line := range header["Keep-Alive"] {
		for param := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(param, "=")
			n, ok := parseHint(strings.Trim(value, " \t\""))
			if !ok {
				continue
			}
			switch ascii.ToLower(ascii.TrimSpace(name)) {
			case "timeout":
				ka.Timeout = n
			case "max":
				ka.Max = n
			}
		}
	}
	return ka
}

// parseHint parses a number of any length. Numbers above maxHint become maxHint.
func parseHint(digits string) (n int32, ok bool) {
	for i := range len(digits) {
		d := digits[i]
		if d < '0' || d > '9' {
			return 0, false
		}
		n = min(n*10+int32(d-'0'), maxHint)
	}
	return n, digits != ""
}
