package http1

import (
	"io"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/peerpool/peerpool/internal/ascii"
	"github.com/peerpool/peerpool/internal/exchange"
	"github.com/peerpool/peerpool/internal/refusal"
)

// receive reads up to the head of the final response.
func (e *Exchange) receive(h *head) error {
	e.Conn.takeInput(e.Opts.ReadBuffer)
	if e.Conn.in.buffered() == 0 {
		if err := e.Conn.fill(); err != nil {
			return e.noAnswer(err)
		}
	}
	e.Started = true
	if t := e.trace(); t != nil && t.GotFirstResponseByte != nil {
		t.GotFirstResponseByte()
	}
	return e.finalHead(h)
}

// headBytes returns the bytes of the head that has been read last.
func (e *Exchange) headBytes(h *head) []byte {
	in := e.Conn.in
	return in.buf[in.r-h.size : in.r]
}

// headFailed returns the error of a head that has not arrived whole, or is malformed.
func (e *Exchange) headFailed(err error) error {
	var ended error
	if cut, ok := err.(cutError); ok {
		ended, err = cut.error, cut.error
	}
	if e.Conn.aborted() != nil {
		return e.noAnswer(err)
	}
	in := e.Conn.in
	return e.refuse(in.buf[in.r:in.w], ended, err)
}

// refuse returns the error of a response whose head has been received and cannot be used, because of why. If net/http refuses
// the head too, the error is net/http's. ended is the error of reading, if reading has ended.
func (e *Exchange) refuse(received []byte, ended, why error) error {
	err := refusal.Of(received, ended, e.Req, unexpectedEOF(why))
	e.Malformed = ended == nil || err != ended && err != io.ErrUnexpectedEOF
	return connectionBroken(err)
}

// timedOut returns the error of a timer that has fired, also if its function has not called Abort yet.
func (e *Exchange) timedOut() error {
	e.Conn.Abort(ErrHeaderTimeout)
	return e.Conn.aborted()
}

// noAnswer returns why no byte of an answer came.
func (e *Exchange) noAnswer(err error) error {
	e.mu.Lock()
	var failed error
	if e.sending != nil && !e.canceled && e.Conn.aborted() != ErrHeaderTimeout {
		failed = e.sending.err
	}
	e.mu.Unlock()
	if failed == nil {
		return err
	}
	return e.sendFailed(failed)
}

// finalHead reads heads until one is not interim (RFC 9110 section 15.2), which it returns in h. An interim response has no body.
// If the fields of one say that it has, h is ambiguous.
func (e *Exchange) finalHead(h *head) error {
	trace := e.trace()
	most := e.Opts.MaxHeaderBytes
	if most <= 0 {
		most = defaultMaxHeader
	}
	limit := most
	room := e.values[:]
	for interim, ambiguous := 0, false; ; interim++ {
		err := e.Conn.readHead(h, limit, room)
		room = nil // a hook may keep an interim header
		if err != nil {
			return e.headFailed(err)
		}
		final := h.code >= 200 || h.code == http.StatusSwitchingProtocols
		if final && e.sending != nil && !e.headArrived() {
			return e.timedOut()
		}
		if err := h.frame(e.Req.Method); err != nil { // the fields contradict each other
			return e.refuse(e.headBytes(h), nil, err)
		}
		if final {
			h.ambiguous = h.ambiguous || ambiguous
			return nil
		}
		ambiguous = ambiguous || h.framed
		if h.code == http.StatusContinue {
			e.proceed()
		}
		if trace != nil && trace.Got1xxResponse != nil {
			// A hook that gets them limits their number.
			if err := trace.Got1xxResponse(h.code, textproto.MIMEHeader(h.header)); err != nil {
				return connectionBroken(err)
			}
			interim, limit = -1, most
			continue
		}
		limit -= int64(h.size)
		if interim >= maxInterim {
			e.Malformed = true
			return connectionBroken(errTooManyInterim)
		}
	}
}

func (e *Exchange) proceed() {
	if t := e.trace(); t != nil && t.Got100Continue != nil {
		t.Got100Continue()
	}
	if up := e.up(); up != nil {
		up.answered(true)
	}
}

// respond turns the head into the response.
func (e *Exchange) respond(h *head) (*http.Response, error) {
	if h.get("Pragma") != nil {
		h.noCache()
	}
	var trailer http.Header
	if h.chunked {
		var err error
		if trailer, err = h.trailer(); err != nil {
			return nil, e.fail(e.refuse(e.headBytes(h), nil, err))
		}
	}
	if e.sending != nil {
		e.endSending(h.persist)
	}
	e.Status, e.KeepAlive = int32(h.code), noHint
	if h.get("Keep-Alive") != nil {
		e.KeepAlive = keepAlive(h.header)
	}
	r := &e.resp // written in place, since most of its fields stay zero
	r.Status, r.StatusCode, r.Proto, r.ProtoMajor, r.ProtoMinor = h.status, h.code, h.proto, 1, h.minor
	r.Header, r.ContentLength, r.Close, r.Request = h.header, h.length, !h.persist, e.Req
	if h.chunked {
		r.Trailer, r.TransferEncoding = trailer, chunkedOnly
	}
	if h.kind == switchProtocol {
		return e.upgrade()
	}
	after := e.afterResponse(h)
	if h.kind == noBody {
		r.Body = http.NoBody
		e.end(e.received(after))
		return r, nil
	}
	e.Conn.expect(h.length)
	e.kind, e.left, e.after = h.kind, h.length, uint8(slices.Index(ends[:], after))
	if limit := e.Opts.BodyReadTimeout; limit > 0 {
		e.Conn.in.limit = limit // of every read from now on, until the input is given back
	}
	r.Body = (*responseBody)(e)
	if e.gzip && h.get("Content-Encoding") != nil && exchange.IsGzip(h.header) {
		exchange.Ungzip(&e.resp, (*responseBody)(e))
	}
	e.handOver()
	return r, nil
}

// endSending ends the sending of the request's body because the head of the response has come. If the connection persists, an
// upload may go on.
func (e *Exchange) endSending(persist bool) {
	if up := e.sending.up; up != nil {
		e.Touched = true // it is closed in any case
		up.answered(persist)
		return
	}
	e.sending.Finish() // sent, or not wanted any more
	e.Touched = e.sending.Touched()
}

var chunkedOnly = []string{"chunked"}

// ends are what afterResponse may return.
var ends = [...]exchange.End{exchange.Reusable, exchange.EndClose, exchange.EndTunnel, exchange.EndAmbiguous, exchange.EndAuth}

// afterResponse returns what the connection is good for once the response has been read, as far as the heads of both messages
// say (RFC 9112 section 9.3).
func (e *Exchange) afterResponse(h *head) exchange.End {
	switch {
	case !h.persist || e.closing() || e.intents&intendsClose != 0:
		return exchange.EndClose
	case e.Opts.Proxied && httpguts.HeaderValuesContainsToken(h.header["Proxy-Connection"], "close"):
		return exchange.EndClose
	case e.Req.Method == http.MethodConnect || e.intents&intendsUpgrade != 0:
		return exchange.EndTunnel
	case h.ambiguous:
		return exchange.EndAmbiguous
	case !e.Opts.Partitioned && (e.intents&intendsBinding != 0 || h.code >= 400 && exchange.ChallengeBinds(h.code, h.header)):
		return exchange.EndAuth
	}
	return exchange.Reusable
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
