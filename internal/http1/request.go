package http1

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/peerpool/peerpool/internal/ascii"
	"github.com/peerpool/peerpool/internal/exchange"
	"golang.org/x/net/http/httpguts"
)

const defaultUserAgent = "Go-http-client/1.1"

var (
	errMissingHost = errors.New("http: Request.Write on Request with no Host or URL set")
	errInvalidHost = errors.New("http: invalid Host header")
	errTarget      = errors.New("net/http: can't write control character in Request.URL")
)

// sentHeader is what the exchange wants to know of a header that is about to be sent. One walk through the header finds it.
type sentHeader struct {
	intents intents

	agent      string // the User-Agent
	agentGiven bool   // the caller has set it, perhaps to nothing

	// choosesEncoding says that the caller has chosen an encoding, or wants a range, which is a range of the encoded bytes.
	// Otherwise the choice of an encoding is left to the exchange.
	choosesEncoding bool
}

type sentField struct {
	name   string
	values []string
}

// intents are what the header of a request means for its connection once the response has been read.
type intents uint8

const (
	intendsClose   intents = 1 << iota // in the Connection field
	intendsUpgrade                     // another protocol is asked for
	intendsBinding                     // a credential is one of NTLM or Negotiate: the connection may now belong to it
)

// fewSent is how many fields are sorted without a call of a function.
const fewSent = 12

// headWriter appends the head of a request to a buffer, and passes its fields to a trace.
type headWriter struct {
	b     []byte
	wrote func(key string, value []string) // httptrace's WroteHeaderField, or nil
}

// appendHead appends the head of the exchange's request (RFC 9112 sections 3 and 5).
func (e *Exchange) appendHead(b []byte, out *outgoing) ([]byte, error) {
	req := e.Req
	host, err := hostHeader(req, e.Opts.Proxied)
	if err != nil {
		return nil, err
	}
	w := headWriter{b: b}
	if t := e.trace(); t != nil {
		w.wrote = t.WroteHeaderField
	}
	w.b = append(append(w.b, cmp.Or(req.Method, http.MethodGet)...), ' ')
	target := len(w.b)
	w.b = appendTarget(w.b, req, host, e.Opts.Proxied)
	switch {
	case len(w.b) == target:
		return nil, errMissingHost // CONNECT to nowhere
	case ascii.FirstBelow(w.b, target, ' '+1) == len(w.b):
	case ascii.FirstBelow(w.b, target, ' ') < len(w.b):
		return nil, errTarget // a control character
	default: // url.Parse lets a space into a query
		w.b = append(w.b[:target], bytes.ReplaceAll(w.b[target:], []byte(" "), []byte("%20"))...)
	}
	w.b = append(w.b, " HTTP/1.1\r\n"...)
	w.field("Host", host)
	var room [fewSent]sentField
	h, fields := readHeader(req.Header, room[:0])
	e.intents = h.intents
	e.gzip = e.Opts.Gzip && req.Method != http.MethodHead && !h.choosesEncoding
	w.userAgent(h.agent, h.agentGiven)
	if err := w.framing(req, out, e.closing() && e.intents&intendsClose == 0); err != nil {
		return nil, err
	}
	w.fields(fields)
	if e.gzip {
		w.field("Accept-Encoding", "gzip")
	}
	if len(e.Opts.ProxyHeader) > 0 {
		w.header(e.Opts.ProxyHeader)
	}
	return append(w.b, "\r\n"...), nil
}

// hostHeader returns the value of Host (RFC 9112 section 3.2): Request.Host if it is set, else the host of the URL, by which the
// connection was chosen.
func hostHeader(req *http.Request, proxied bool) (string, error) {
	host := req.Host
	if host == "" {
		if req.URL == nil {
			return "", errMissingHost
		}
		host = req.URL.Host
	}
	if plainHost(host) {
		return host, nil
	}
	host, err := httpguts.PunycodeHostPort(host)
	if err != nil {
		return "", err
	}
	if proxied && !(httpguts.ValidHostHeader(host) && bracketed(host)) {
		return "", errInvalidHost
	}
	if !httpguts.ValidHostHeader(host) {
		// A socket's path is a common Host of requests to it; the field is then sent empty, as for
		// any URI without an authority.
		host = ""
	}
	return removeZone(host), nil
}

// bracketed reports whether brackets, if there are any, enclose all of host except its port (RFC 3986 section 3.2.2). A proxy
// could not tell where any other host with brackets ends.
func bracketed(host string) bool {
	if !strings.ContainsAny(host, "[]") {
		return true
	}
	inside, port, closed := strings.Cut(strings.TrimPrefix(host, "["), "]")
	return host[0] == '[' && closed && (port == "" || port[0] == ':') && !strings.ContainsAny(inside+port, "[]")
}

// plainHost reports whether host consists of letters, digits, hyphens, dots and colons, as most hosts do. Such a host is sent as
// it is.
func plainHost(host string) bool {
	for i := range len(host) {
		if !inPlainHost[host[i]] {
			return false
		}
	}
	return true
}

var inPlainHost = func() (plain [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.:") {
		plain[c] = true
	}
	return plain
}()

// removeZone removes the IPv6 zone, which means something on this machine only (RFC 6874 section 1).
func removeZone(host string) string {
	if !strings.HasPrefix(host, "[") {
		return host
	}
	end := strings.LastIndexByte(host, ']')
	if end < 0 {
		return host
	}
	zone := strings.LastIndexByte(host[:end], '%')
	if zone < 0 {
		return host
	}
	return host[:zone] + host[end:]
}

// appendTarget appends the request target: absolute-form to a proxy, authority-form for CONNECT, else
// origin-form (RFC 9112 section 3.2).
func appendTarget(b []byte, req *http.Request, host string, proxied bool) []byte {
	u := req.URL
	switch {
	case proxied && u.Scheme != "" && u.Opaque == "":
		b = append(append(append(b, u.Scheme...), "://"...), host...)
	case req.Method == http.MethodConnect && u.Path == "":
		if u.Opaque != "" {
			return append(b, u.Opaque...)
		}
		return append(b, host...)
	case u.Opaque != "":
		return append(b, u.RequestURI()...)
	}
	path, query := u.EscapedPath(), u.ForceQuery || u.RawQuery != ""
	// The target * has no authority before it and no query after it (RFC 9112 section 3.2.4).
	if asterisk := path == "*" && b[len(b)-1] == ' ' && !query; !asterisk && !strings.HasPrefix(path, "/") {
		b = append(b, '/') // or the path would pass for a part of the host
	}
	b = append(b, path...)
	if query {
		b = append(append(b, '?'), u.RawQuery...)
	}
	return b
}

// framing writes how long the body is and, if the connection is to end after it, that it ends.
func (w *headWriter) framing(req *http.Request, out *outgoing, closes bool) error {
	if closes {
		w.field("Connection", "close")
	}
	switch {
	case out.chunked:
		w.field("Transfer-Encoding", "chunked")
	case out.sendsLength(req):
		w.field("Content-Length", strconv.FormatInt(out.length, 10))
	}
	if !out.chunked || len(req.Trailer) == 0 {
		return nil
	}
	names := make([]string, 0, len(req.Trailer))
	for name := range req.Trailer {
		if err := checkTrailer(name); err != nil {
			return err
		}
		names = append(names, http.CanonicalHeaderKey(name))
	}
	slices.Sort(names)
	w.field("Trailer", strings.Join(names, ","))
	return nil
}

// checkTrailer refuses a trailer field that decides about framing or routing, or is none.
func checkTrailer(name string) error {
	if canonical := http.CanonicalHeaderKey(name); !httpguts.ValidHeaderFieldName(name) || forbiddenTrailer(canonical) {
		return fmt.Errorf("invalid Trailer key %q", canonical)
	}
	return nil
}

// header writes a header without what the exchange writes itself.
func (w *headWriter) header(header http.Header) {
	_, fields := readHeader(header, nil)
	w.fields(fields)
}

// userAgent writes the User-Agent. If the caller has set it to nothing, none is sent.
func (w *headWriter) userAgent(agent string, given bool) {
	switch {
	case !given:
		w.field("User-Agent", defaultUserAgent)
	case agent != "":
		w.line("User-Agent", agent)
		if w.wrote != nil {
			w.wrote("User-Agent", []string{agent})
		}
	}
}

// fields writes fields as they are.
func (w *headWriter) fields(fields []sentField) {
	for i := range fields {
		f := &fields[i]
		for _, value := range f.values {
			w.line(f.name, value)
		}
		if w.wrote != nil {
			w.wrote(f.name, f.values)
		}
	}
}

// field writes a field whose value the exchange has made or checked.
func (w *headWriter) field(name, value string) {
	w.b = append(append(append(append(w.b, name...), ": "...), value...), "\r\n"...)
	if w.wrote != nil {
		w.wrote(name, []string{value})
	}
}

// line appends a field line with a value of the caller. The Transport has checked names and values before it acquired a
// connection. A line end that is there all the same becomes a space.
func (w *headWriter) line(name, value string) {
	w.b = append(append(w.b, name...), ": "...)
	start := len(w.b)
	w.b = append(w.b, ascii.TrimSpace(value)...)
	if ascii.TextEnd(w.b, start) < len(w.b) {
		w.b = append(w.b[:start], ascii.TrimSpace(lineEnds.Replace(value))...)
	}
	w.b = append(w.b, "\r\n"...)
}

var lineEnds = strings.NewReplacer("\n", " ", "\r", " ")

// readHeader walks through header. It appends the fields that are sent as they are to room, in the order of their names, so
// that equal requests are equal bytes. If room is large enough, nothing is allocated.
func readHeader(header http.Header, room []sentField) (h sentHeader, fields []sentField) {
	fields = room
	for name, values := range header {
		if !h.read(name, values) {
			fields = append(fields, sentField{name, values})
		}
	}
	if len(fields) > 1 {
		sortFields(fields)
	}
	return h, fields
}

func sortFields(fields []sentField) {
	if len(fields) > fewSent {
		slices.SortFunc(fields, func(a, b sentField) int { return strings.Compare(a.name, b.name) })
		return
	}
	for i := 1; i < len(fields); i++ {
		for j := i; j > 0 && fields[j].name < fields[j-1].name; j-- {
			fields[j], fields[j-1] = fields[j-1], fields[j]
		}
	}
}

// read notes what a field means. It returns true if the exchange writes the field itself. User-Agent is written first, as
// net/http does. The other fields that the exchange writes decide where a request ends and who gets it, so there must not be
// a second one, however its name is spelled.
func (h *sentHeader) read(name string, values []string) (own bool) {
	switch len(name) {
	case len("Host"):
		return ascii.EqualFold(name, "Host")
	case len("Range"):
		h.choosesEncoding = h.choosesEncoding || name == "Range" && firstOf(values) != ""
	case len("Trailer"): // or Upgrade
		if name == "Upgrade" && len(values) > 0 {
			h.intents |= intendsUpgrade
		}
		return ascii.EqualFold(name, "Trailer")
	case len("Connection"): // or User-Agent
		if name == "Connection" && httpguts.HeaderValuesContainsToken(values, "close") {
			h.intents |= intendsClose
		}
		if name == "User-Agent" {
			h.agent, h.agentGiven = firstOf(values), true
			return true
		}
	case len("Authorization"), len("Proxy-Authorization"):
		if exchange.BindsConnection(name, values) {
			h.intents |= intendsBinding
		}
	case len("Content-Length"):
		return ascii.EqualFold(name, "Content-Length")
	case len("Accept-Encoding"):
		h.choosesEncoding = h.choosesEncoding || name == "Accept-Encoding" && firstOf(values) != ""
	case len("Transfer-Encoding"):
		return ascii.EqualFold(name, "Transfer-Encoding")
	}
	return false
}

func firstOf(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}
