package http1

import (
	"bufio"
	"cmp"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/net/http/httpguts"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// requestCase makes a request; it is called once for each that writes it.
type requestCase struct {
	name    string
	method  string
	url     string
	body    func() io.Reader
	alter   func(*http.Request)
	proxied bool
}

// unknown hides the length of a body.
func unknown(s string) func() io.Reader {
	return func() io.Reader { return io.MultiReader(strings.NewReader(s)) }
}

func known(s string) func() io.Reader {
	return func() io.Reader { return strings.NewReader(s) }
}

func header(name string, values ...string) func(*http.Request) {
	return func(r *http.Request) { r.Header[name] = values }
}

var requestCases = []requestCase{
	{name: "GET", url: "http://example.test/"},
	{name: "no method", url: "http://example.test/", alter: func(r *http.Request) { r.Method = "" }},
	{name: "no path", url: "http://example.test"},
	{name: "a query", url: "http://example.test/a/b?x=1&y=%20&z"},
	{name: "an empty query", url: "http://example.test/?"},
	{name: "a fragment", url: "http://example.test/#f"},
	{name: "escapes", url: "http://example.test/a%2Fb/%C3%A4;p=1/+"},
	{name: "a user", url: "http://user:pass@example.test/"},
	{name: "a path of two slashes", url: "http://example.test//a"},
	{name: "an opaque URL", url: "http://example.test/", alter: func(r *http.Request) { r.URL.Opaque = "//other.test/a%2fb" }},
	{name: "OPTIONS *", method: http.MethodOptions, url: "http://example.test/", alter: func(r *http.Request) { r.URL.Path = "*" }},
	{name: "a port", url: "http://example.test:8080/"},
	{name: "an IPv4 address", url: "http://127.0.0.1:80/"},
	{name: "an IPv6 address", url: "http://[::1]:80/"},
	{name: "an IPv6 zone", url: "http://[fe80::1%25eth0]:80/"},
	{name: "an IPv6 zone without a port", url: "http://[fe80::1%25eth0]/"},
	{name: "another host", url: "http://example.test/", alter: func(r *http.Request) { r.Host = "other.test" }},
	{name: "an international host", url: "http://bücher.example:80/"},
	{name: "a host of capitals", url: "http://EXAMPLE.test/"},
	{name: "a socket's path for a host", url: "http://example.test/", alter: func(r *http.Request) { r.Host = "/run/a.sock" }},
	{name: "a line end in the host", url: "http://example.test/", alter: func(r *http.Request) { r.Host = "a\r\nX: 1" }},
	{name: "a space before the host", url: "http://example.test/", alter: func(r *http.Request) { r.Host = " other.test" }},
	{name: "a control character in the host", url: "http://example.test/", alter: func(r *http.Request) { r.Host = "other.test\x00" }},
	{name: "a user agent", url: "http://example.test/", alter: header("User-Agent", "me/1", "ignored")},
	{name: "an empty user agent", url: "http://example.test/", alter: header("User-Agent", "")},
	{name: "no user agent", url: "http://example.test/", alter: header("User-Agent")},
	{name: "a line end in the user agent", url: "http://example.test/", alter: header("User-Agent", "a\r\nb")},
	{name: "fields of many kinds", url: "http://example.test/", alter: func(r *http.Request) {
		r.Header = http.Header{"X-A": {"1", "2"}, "x-b": {" 3\t"}, "X-C": {"4\n5"}, "X-D": {""}, "X-E": {"\xe4"}, "Cookie": {"a=b", "c=d"}}
	}},
	{name: "fields that are not the header's to give", url: "http://example.test/", alter: func(r *http.Request) {
		r.Header = http.Header{"Host": {"evil"}, "Content-Length": {"3"}, "Transfer-Encoding": {"chunked"}, "Trailer": {"X"}}
	}},
	{name: "Connection: close in the header", url: "http://example.test/", alter: header("Connection", "close")},
	{name: "Close", url: "http://example.test/", alter: func(r *http.Request) { r.Close = true }},
	{name: "Connection: close in both", url: "http://example.test/", alter: func(r *http.Request) {
		r.Close = true
		r.Header.Set("Connection", "close")
	}},
	{name: "POST without a body", method: http.MethodPost, url: "http://example.test/"},
	{name: "POST of http.NoBody", method: http.MethodPost, url: "http://example.test/", alter: func(r *http.Request) { r.Body = http.NoBody }},
	{name: "PUT without a body", method: http.MethodPut, url: "http://example.test/"},
	{name: "PATCH without a body", method: http.MethodPatch, url: "http://example.test/"},
	{name: "DELETE without a body", method: http.MethodDelete, url: "http://example.test/"},
	{name: "GET without a body says identity", url: "http://example.test/", alter: func(r *http.Request) { r.TransferEncoding = []string{"identity"} }},
	{name: "POST", method: http.MethodPost, url: "http://example.test/", body: known("hello")},
	{name: "POST that says identity", method: http.MethodPost, url: "http://example.test/", body: known("hello"),
		alter: func(r *http.Request) { r.TransferEncoding = []string{"identity"} }},
	{name: "POST of more than is written at once", method: http.MethodPost, url: "http://example.test/", body: known(strings.Repeat("x", 1<<20))},
	{name: "POST of unknown length", method: http.MethodPost, url: "http://example.test/", body: unknown("hello")},
	{name: "POST of unknown length and nothing", method: http.MethodPost, url: "http://example.test/", body: unknown("")},
	{name: "GET with a body", url: "http://example.test/", body: known("hello")},
	{name: "GET of unknown length", url: "http://example.test/", body: unknown("hello")},
	{name: "GET of unknown length and nothing", url: "http://example.test/", body: unknown("")},
	{name: "DELETE of unknown length", method: http.MethodDelete, url: "http://example.test/", body: unknown("hello")},
	{name: "an unknown method of unknown length", method: "REPORT", url: "http://example.test/", body: unknown("hello")},
	{name: "POST that wants to be chunked", method: http.MethodPost, url: "http://example.test/", body: known("hello"),
		alter: func(r *http.Request) { r.TransferEncoding = []string{"chunked"} }},
	{name: "DELETE of nothing that says identity", method: http.MethodDelete, url: "http://example.test/", body: nothing, alter: coded("identity")},
	{name: "GET of nothing that says identity", url: "http://example.test/", body: nothing, alter: coded("identity")},
	{name: "DELETE without a body says identity", method: http.MethodDelete, url: "http://example.test/", alter: coded("identity")},
	{name: "GET of nothing that wants to be chunked", url: "http://example.test/", body: nothing, alter: coded("chunked")},
	{name: "POST of nothing that wants to be chunked", method: http.MethodPost, url: "http://example.test/", body: nothing, alter: coded("chunked")},
	{name: "POST of nothing with trailers", method: http.MethodPost, url: "http://example.test/", body: nothing, alter: func(r *http.Request) {
		r.TransferEncoding, r.Trailer = []string{"chunked"}, http.Header{"X-A": {"1"}}
	}},
	{name: "GET without a body wants to be chunked", url: "http://example.test/", alter: coded("chunked")},
	{name: "POST that wants to be chunked, and more", method: http.MethodPost, url: "http://example.test/", body: known("hello"),
		alter: coded("chunked", "gzip")},
	{name: "POST that wants to be CHUNKED", method: http.MethodPost, url: "http://example.test/", body: known("hello"), alter: coded("CHUNKED")},
	{name: "POST that says gzip", method: http.MethodPost, url: "http://example.test/", body: known("hello"), alter: coded("gzip")},
	{name: "POST that wants to be chunked after gzip", method: http.MethodPost, url: "http://example.test/", body: known("hello"),
		alter: coded("gzip", "chunked")},
	{name: "POST that says nothing of its coding", method: http.MethodPost, url: "http://example.test/", body: known("hello"), alter: coded("")},
	{name: "POST with trailers", method: http.MethodPost, url: "http://example.test/", body: unknown("hello"),
		alter: func(r *http.Request) { r.Trailer = http.Header{"X-B": {"2"}, "x-a": {"1", "1"}, "X-Empty": nil} }},
	{name: "trailers without chunks", method: http.MethodPost, url: "http://example.test/", body: known("hello"),
		alter: func(r *http.Request) { r.Trailer = http.Header{"X-A": {"1"}} }},
	{name: "through a proxy", url: "http://example.test:8080/a?b", proxied: true},
	{name: "an IPv6 zone through a proxy", url: "http://[fe80::1%25eth0]:80/", proxied: true},
	{name: "another host through a proxy", url: "http://example.test/", proxied: true, alter: func(r *http.Request) { r.Host = "other.test" }},
	{name: "an opaque URL through a proxy", url: "http://example.test/", proxied: true,
		alter: func(r *http.Request) { r.URL.Opaque = "http://other.test/a%2fb" }},
	{name: "no scheme through a proxy", url: "http://example.test/a", proxied: true, alter: func(r *http.Request) { r.URL.Scheme = "" }},
	{name: "CONNECT", method: http.MethodConnect, url: "http://example.test:443"},
	{name: "CONNECT with a path", method: http.MethodConnect, url: "http://example.test:443/rpc"},
	{name: "CONNECT with an opaque URL", method: http.MethodConnect, url: "http://example.test",
		alter: func(r *http.Request) { r.URL = &url.URL{Opaque: "other.test:443"} }},
}

func coded(codings ...string) func(*http.Request) {
	return func(r *http.Request) { r.TransferEncoding = codings }
}

func nothing() io.Reader { return http.NoBody }

func (c *requestCase) make(t testing.TB) *http.Request {
	var body io.Reader
	if c.body != nil {
		body = c.body()
	}
	method := c.method
	if method == "" {
		method = http.MethodGet
	}
	req := request(t, method, c.url, body)
	if c.alter != nil {
		c.alter(req)
	}
	return req
}

// written runs an exchange with a server that answers when it has the whole request, and returns that.
func written(t *testing.T, req *http.Request, opts Options) string {
	near, far := httptestutil.Pipe(0)
	defer near.Close()
	raw := make(chan string)
	go func() {
		var seen strings.Builder
		defer func() { far.Close(); raw <- seen.String() }()
		got, err := http.ReadRequest(bufio.NewReader(io.TeeReader(far, &seen)))
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, got.Body); err == nil {
			io.WriteString(far, ok+"Content-Length: 0\r\n\r\n")
		}
	}()
	e := exchangeOn(NewConn(near), req)
	e.Opts = &opts
	if _, err := e.Run(); err != nil {
		t.Errorf("no response: %v", err)
	}
	return <-raw
}

func TestRequestsMeanWhatTheReferenceWrites(t *testing.T) {
	for _, c := range requestCases {
		t.Run(c.name, func(t *testing.T) {
			ours := c.make(t)
			got := parse(t, written(t, ours, Options{Proxied: c.proxied, Close: ours.Close}))
			want := parse(t, reference(t, c.make(t), c.proxied))
			if !reflect.DeepEqual(got, want) {
				t.Errorf("we wrote\n%+v\nthe reference\n%+v", got, want)
			}
		})
	}
}

// TestABodyOfUnknownLengthIsChunkedWhateverItSays checks every TransferEncoding. Without a framing, the server would take
// the body for the next request.
func TestABodyOfUnknownLengthIsChunkedWhateverItSays(t *testing.T) {
	req := request(t, http.MethodPost, "http://example.test/", unknown("hello")())
	req.TransferEncoding = []string{"identity"}
	if got := parse(t, written(t, req, Options{})); got.Body != "hello" || len(got.Encoding) != 1 {
		t.Errorf("the server sees %+v", got)
	}
}

// FuzzRequestHead checks that whatever head we write is exactly one, and says what the request does.
func FuzzRequestHead(f *testing.F) {
	for _, c := range requestCases {
		req := c.make(f)
		f.Add(cmp.Or(req.Method, http.MethodGet), req.URL.String(), req.Host, "X-A", req.Header.Get("User-Agent"), c.proxied)
	}
	f.Fuzz(func(t *testing.T, verb, target, host, name, value string, proxied bool) {
		req, err := http.NewRequest(verb, target, nil)
		if err != nil || !validField(name, value) || req.URL.Opaque != "" {
			t.Skip() // an opaque URL is the caller's own words
		}
		if _, err := url.Parse("http://" + host + "/"); err != nil {
			t.Skip() // a host that no server can parse in an absolute target
		}
		req.Host = host
		req.Header[name] = []string{value}
		nc := &pieces{data: []byte(hello), piece: len(hello)}
		e := exchangeOn(NewConn(nc), req)
		e.Opts.Proxied = proxied
		if _, err := e.Run(); err != nil {
			if nc.sent.Len() > 0 {
				t.Errorf("%q is sent and then: %v", nc.sent.String(), err)
			}
			return
		}
		raw := nc.sent.String()
		if strings.Count(raw, "\r\n\r\n") != 1 || !strings.HasSuffix(raw, "\r\n\r\n") {
			t.Errorf("not one head: %q", raw)
		}
		sameHead(t, raw, req, proxied)
	})
}

// validField says what is checked before a connection is acquired.
func validField(name, value string) bool {
	return httpguts.ValidHeaderFieldName(name) && httpguts.ValidHeaderFieldValue(value)
}

// sameHead checks that a server reads back what req says, as far as the reference can write that.
func sameHead(t *testing.T, raw string, req *http.Request, proxied bool) {
	got := parse(t, raw)
	if !strings.HasPrefix(req.URL.Path, "/") && req.URL.Path != "" {
		return // we add the slash, the reference does not
	}
	var buf strings.Builder
	write := req.Write
	if proxied {
		write = req.WriteProxy
	}
	if err := write(&buf); err != nil {
		t.Fatalf("%q is sent, but the reference fails: %v", raw, err)
	}
	again, err := http.ReadRequest(bufio.NewReader(strings.NewReader(buf.String())))
	if err != nil || again.ContentLength != 0 {
		return // the reference lets through what no server can read
	}
	if want := parse(t, buf.String()); !reflect.DeepEqual(got, want) {
		t.Errorf("a server reads\n%+v\nof the reference's\n%+v", got, want)
	}
}
