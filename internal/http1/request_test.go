package http1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/peerpool/peerpool/internal/exchange"
)

// sent runs an exchange for req, which has no body or one that lies in memory, and returns what went
// over the connection.
func sent(t testing.TB, req *http.Request, opts Options) string {
	t.Helper()
	nc := &pieces{data: []byte(hello), piece: len(hello)}
	e := exchangeOn(likeSocket(nc), req)
	e.Opts = &opts
	resp, err := e.Run()
	if err != nil {
		t.Fatalf("%s %v: %v", req.Method, req.URL, err)
	}
	resp.Body.Close()
	return nc.sent.String()
}

func lines(s ...string) string { return strings.Join(s, "\r\n") + "\r\n\r\n" }

func TestARequestIsTheseBytes(t *testing.T) {
	req := get(t)
	req.URL.Path, req.URL.RawQuery = "/a b/ä", "q=1"
	req.Header = http.Header{"X-B": {"2", "3"}, "x-lower": {"kept"}, "Accept": {" */*\t"}, "X-A": {"one\r\nline"}}
	want := lines("GET /a%20b/%C3%A4?q=1 HTTP/1.1", "Host: example.test", "User-Agent: Go-http-client/1.1",
		"Accept: */*", "X-A: one  line", "X-B: 2", "X-B: 3", "x-lower: kept", "Accept-Encoding: gzip")
	if got := sent(t, req, Options{Gzip: true}); got != want {
		t.Errorf("sent\n%s\nwant\n%s", got, want)
	}
}

func TestARequestWithABodyIsTheseBytes(t *testing.T) {
	req := request(t, http.MethodPost, "http://example.test:8080/", strings.NewReader("hello"))
	want := lines("POST / HTTP/1.1", "Host: example.test:8080", "User-Agent: Go-http-client/1.1",
		"Connection: close", "Content-Length: 5") + "hello"
	if got := sent(t, req, Options{Close: true}); got != want {
		t.Errorf("sent\n%s\nwant\n%s", got, want)
	}
}

func TestAProxyIsSentItsOwnFieldsAndTheWholeTarget(t *testing.T) {
	opts := Options{Proxied: true, ProxyHeader: http.Header{"Proxy-Authorization": {"Basic Zm9v"}}}
	want := lines("GET http://example.test/ HTTP/1.1", "Host: example.test", "User-Agent: Go-http-client/1.1",
		"Proxy-Authorization: Basic Zm9v")
	if got := sent(t, get(t), opts); got != want {
		t.Errorf("sent\n%s\nwant\n%s", got, want)
	}
}

func TestGzipIsNotAskedForWhereTheCallerDecides(t *testing.T) {
	for _, field := range []string{"Accept-Encoding", "Range"} {
		req := get(t)
		req.Header.Set(field, "x")
		if got := sent(t, req, Options{Gzip: true}); strings.Contains(got, "gzip") {
			t.Errorf("with %s set: %s", field, got)
		}
	}
	head := request(t, http.MethodHead, "http://example.test/", nil)
	if got := sent(t, head, Options{Gzip: true}); strings.Contains(got, "gzip") {
		t.Errorf("HEAD: %s", got)
	}
}

func TestFieldsThatFrameARequestCannotBeSaidTwice(t *testing.T) {
	req := get(t)
	for _, name := range []string{"Host", "host", "Content-Length", "content-length", "TRANSFER-ENCODING", "trailer"} {
		req.Header[name] = []string{"1"}
	}
	want := lines("GET / HTTP/1.1", "Host: example.test", "User-Agent: Go-http-client/1.1")
	if got := sent(t, req, Options{}); got != want {
		t.Errorf("sent\n%s\nwant\n%s", got, want)
	}
}

func TestASpaceInAQueryDoesNotEndTheTarget(t *testing.T) {
	req := request(t, http.MethodGet, "http://example.test/?q=a b HTTP/1.1", nil)
	if got := sent(t, req, Options{}); !strings.HasPrefix(got, "GET /?q=a%20b%20HTTP/1.1 HTTP/1.1\r\n") {
		t.Errorf("sent %s", got)
	}
}

func TestAPathWithoutASlashIsNotPartOfTheHost(t *testing.T) {
	req := get(t)
	req.URL.Path = "@evil.test/"
	if got := sent(t, req, Options{Proxied: true}); !strings.HasPrefix(got, "GET http://example.test/@evil.test/ HTTP/1.1\r\n") {
		t.Errorf("a proxy is sent %s", got)
	}
	if got := sent(t, req, Options{}); !strings.HasPrefix(got, "GET /@evil.test/ HTTP/1.1\r\n") {
		t.Errorf("a server is sent %s", got)
	}
}

// The asterisk-form has no query (RFC 9112 section 3.2.4).
func TestAnAsteriskWithAQueryIsAPath(t *testing.T) {
	for query, want := range map[string]string{"?": "/*?", "?a=b": "/*?a=b", "": "*"} {
		req := get(t)
		var err error
		if req.URL, err = url.Parse("*" + query); err != nil {
			t.Fatal(err)
		}
		if got := sent(t, req, Options{}); !strings.HasPrefix(got, "GET "+want+" HTTP/1.1\r\n") {
			t.Errorf("for *%s a server is sent %s", query, got)
		}
	}
}

func TestATraceIsToldAboutEveryFieldInOrder(t *testing.T) {
	req := request(t, http.MethodPost, "http://example.test/", strings.NewReader("hello"))
	req.Header.Set("X-A", "1")
	var told []string
	e := exchangeOn(likeSocket(&pieces{data: []byte(hello), piece: len(hello)}), req)
	e.Opts.Gzip = true
	e.SetTrace(&httptrace.ClientTrace{
		WroteHeaderField: func(key string, value []string) { told = append(told, key+": "+strings.Join(value, ", ")) },
	})
	run(t, e).Body.Close()
	want := []string{"Host: example.test", "User-Agent: Go-http-client/1.1", "Content-Length: 5", "X-A: 1", "Accept-Encoding: gzip"}
	if !reflect.DeepEqual(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

// refused are requests that must not be begun.
var refused = map[string]func(*http.Request){
	"no host":                         func(r *http.Request) { r.Host, r.URL = "", nil },
	"a host that is no host":          func(r *http.Request) { r.Host = "a b" },
	"a bracket that nothing opens":    func(r *http.Request) { r.Host = "a]6\xa2:" },
	"a bracket that nothing closes":   func(r *http.Request) { r.Host = "[::1:80" },
	"brackets around a part":          func(r *http.Request) { r.Host = "a[::1]:80" },
	"brackets in brackets":            func(r *http.Request) { r.Host = "[[::1]]:80" },
	"a control character in a query":  func(r *http.Request) { r.URL.RawQuery = "a\x00b" },
	"a line end in a query":           func(r *http.Request) { r.URL.RawQuery = "a\r\nHost: evil" },
	"a line end in an opaque URL":     func(r *http.Request) { r.URL.Opaque = "/\nEvil: 1" },
	"a length without a body":         func(r *http.Request) { r.Body, r.ContentLength = nil, 5 },
	"a trailer that frames":           func(r *http.Request) { chunked(r).Trailer = http.Header{"Content-Length": nil} },
	"a trailer that frames, in lower": func(r *http.Request) { chunked(r).Trailer = http.Header{"transfer-encoding": nil} },
	"a trailer that is two fields":    func(r *http.Request) { chunked(r).Trailer = http.Header{"X: 1\r\nY": nil} },
	"CONNECT to nowhere":              func(r *http.Request) { r.Method, r.Host, r.URL = http.MethodConnect, "/sock", &url.URL{} },
}

func chunked(r *http.Request) *http.Request {
	r.TransferEncoding = []string{"chunked"}
	return r
}

func TestARequestThatCannotBeWrittenLeavesConnectionAndBodyUntouched(t *testing.T) {
	for what, spoil := range refused {
		t.Run(what, func(t *testing.T) {
			nc := &pieces{data: []byte(hello), piece: len(hello)}
			body := &tracked{Reader: strings.NewReader("hello")}
			req := request(t, http.MethodPost, "http://example.test/", body)
			spoil(req)
			e := exchangeOn(NewConn(nc), req)
			e.Opts.Proxied = req.Method != http.MethodConnect
			if err := runFails(t, e); e.Malformed {
				t.Errorf("the peer is blamed: %v", err)
			}
			wantEnd(t, e, exchange.EndUnfit)
			if e.Wrote || e.Touched || nc.sent.Len() > 0 || body.closes.Load() > 0 {
				t.Errorf("Wrote is %v, Touched %v, %q has been sent, the body closed %d times",
					e.Wrote, e.Touched, nc.sent.String(), body.closes.Load())
			}
			if rest := readAll(t, body); rest != "hello" {
				t.Errorf("of the body, %q is left", rest)
			}
		})
	}
}

// parsed is what a server makes of a request.
type parsed struct {
	Method, Target, Host, Proto string
	Length                      int64
	Encoding                    []string
	Close                       bool
	Header, Trailer             http.Header
	Body                        string
}

// parse reads one request, and fails if bytes are left.
func parse(t testing.TB, raw string) *parsed {
	t.Helper()
	br := bufio.NewReader(strings.NewReader(raw))
	req, err := http.ReadRequest(br)
	if err != nil {
		t.Fatalf("a server can't read %q: %v", raw, err)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		t.Fatalf("a server can't read the body of %q: %v", raw, err)
	}
	if left := br.Buffered(); left > 0 {
		t.Errorf("behind the request, %d bytes are left of %q", left, raw)
	}
	return &parsed{
		Method: req.Method, Target: req.RequestURI, Host: req.Host, Proto: req.Proto,
		Length: req.ContentLength, Encoding: req.TransferEncoding, Close: req.Close,
		Header: req.Header, Trailer: req.Trailer, Body: string(body),
	}
}

// reference writes a request the way that net/http does.
func reference(t testing.TB, req *http.Request, proxied bool) string {
	t.Helper()
	var buf bytes.Buffer
	write := req.Write
	if proxied {
		write = req.WriteProxy
	}
	if err := write(&buf); err != nil {
		t.Fatalf("the reference can't write the request: %v", err)
	}
	return buf.String()
}

func TestNTLMBindsAConnectionUnderAnySpellingOfItsField(t *testing.T) {
	for _, name := range []string{"authorization", "AUTHORIZATION", "proxy-Authorization"} {
		with(t, 0, answers(hello), func(t *testing.T, c *Conn) {
			req := get(t)
			req.Header[name] = []string{"Negotiate AAAA"}
			e := exchangeOn(c, req)
			wantBody(t, run(t, e), "hello")
			wantEnd(t, e, exchange.EndAuth)
		})
	}
}
