package parity_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// answer is all of a response that a caller sees.
type answer struct {
	Status           string
	StatusCode       int
	Proto            string
	Major, Minor     int
	Header, Trailer  http.Header
	Length           int64
	TransferEncoding []string
	Close            bool
	Uncompressed     bool
	Body             string
	BodyErr          error
	SameRequest      bool
}

func answerOf(t *testing.T, rt http.RoundTripper, req *http.Request) answer {
	t.Helper()
	resp, err := rt.RoundTrip(req)
	if err != nil {
		t.Fatalf("%T: %v", rt, err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	return answer{
		resp.Status, resp.StatusCode, resp.Proto, resp.ProtoMajor, resp.ProtoMinor, resp.Header, resp.Trailer,
		resp.ContentLength, resp.TransferEncoding, resp.Close, resp.Uncompressed, string(body), err, resp.Request == req,
	}
}

func TestAResponseLooksAsNetHTTPWouldHaveIt(t *testing.T) {
	ours, theirs := testkit.Beside(t)
	for name, raw := range map[string]string{
		"length":                 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\nx-a:  2 \r\n\r\nhello",
		"no length":              "HTTP/1.1 200 OK\r\nServer: x\r\n\r\nhello",
		"chunked":                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"announced trailer":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T, X-U\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
		"unannounced trailer":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
		"no reason":              "HTTP/1.1 204\r\n\r\n",
		"odd status":             "HTTP/1.1 599 Who Knows  \r\nContent-Length: 0\r\n\r\n",
		"not modified":           "HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\nEtag: x\r\n\r\n",
		"zero length":            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"close":                  "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.0":               "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.0 keep-alive":    "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok",
		"early hints first":      "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"unasked 100":            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"bare line feeds":        "HTTP/1.1 200 OK\nContent-Length: 2\nX-A: 1\n\nok",
		"equal lengths twice":    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
		"length and chunked":     "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		"empty value":            "HTTP/1.1 200 OK\r\nX-Empty:\r\nContent-Length: 0\r\n\r\n",
		"bytes beyond ASCII":     "HTTP/1.1 200 OK\r\nX-Latin: \xe9t\xe9\r\nContent-Length: 0\r\n\r\n",
		"truncated length":       "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
		"truncated chunk":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nok",
		"no last chunk":          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
		"many fields":            "HTTP/1.1 200 OK\r\n" + strings.Repeat("Set-Cookie: a=b\r\n", 50) + "Content-Length: 2\r\n\r\nok",
		"a head beyond a buffer": "HTTP/1.1 200 OK\r\nX-Long: " + strings.Repeat("x", 9000) + "\r\nContent-Length: 2\r\n\r\nok",
	} {
		t.Run(name, func(t *testing.T) {
			wire := httptestutil.NewWire(t, httptestutil.ReplyThenClose(raw))
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				got := answerOf(t, ours, testkit.NewRequest(t, method, wire.URL(), nil))
				want := answerOf(t, theirs, testkit.NewRequest(t, method, wire.URL(), nil))
				if !reflect.DeepEqual(got, want) {
					t.Errorf("%s:\ngot  %+v\nwant %+v", method, got, want)
				}
			}
		})
	}
}

func TestAHeadIsWrittenAsNetHTTPWouldWriteIt(t *testing.T) {
	ours, theirs := testkit.Beside(t)
	for name, make := range map[string]func(url string) *http.Request{
		"GET":          func(u string) *http.Request { return testkit.NewRequest(t, "GET", u+"/a?b=c", nil) },
		"empty method": func(u string) *http.Request { r := testkit.NewRequest(t, "GET", u, nil); r.Method = ""; return r },
		"empty query":  func(u string) *http.Request { return testkit.NewRequest(t, "GET", u+"/?", nil) },
		"OPTIONS *": func(u string) *http.Request {
			r := testkit.NewRequest(t, "OPTIONS", u, nil)
			r.URL.Opaque = "*"
			return r
		},
		"own agent": func(u string) *http.Request {
			return testkit.With(testkit.NewRequest(t, "GET", u, nil), "User-Agent: me/1")
		},
		"no agent": func(u string) *http.Request {
			r := testkit.NewRequest(t, "GET", u, nil)
			r.Header["User-Agent"] = nil
			return r
		},
		"close": func(u string) *http.Request { r := testkit.NewRequest(t, "GET", u, nil); r.Close = true; return r },
		"host": func(u string) *http.Request {
			r := testkit.NewRequest(t, "GET", u, nil)
			r.Host = "x.example:99"
			return r
		},
		"unicode host": func(u string) *http.Request {
			r := testkit.NewRequest(t, "GET", u, nil)
			r.Host = "bücher.example"
			return r
		},
		"credentials": func(u string) *http.Request {
			return testkit.With(testkit.NewRequest(t, "GET", u, nil), "Authorization: Basic eDp5")
		},
		"odd names": func(u string) *http.Request {
			r := testkit.NewRequest(t, "GET", u, nil)
			r.Header["x-lower"] = []string{"1"}
			return r
		},
		"line end": func(u string) *http.Request {
			return testkit.With(testkit.NewRequest(t, "GET", u, nil), "X-A:  spaced\t")
		},
		"own length": func(u string) *http.Request {
			return testkit.With(testkit.NewRequest(t, "POST", u, strings.NewReader("abc")), "Content-Length: 9")
		},
		"own coding": func(u string) *http.Request {
			return testkit.With(testkit.NewRequest(t, "POST", u, strings.NewReader("abc")), "Transfer-Encoding: x")
		},
		"POST": func(u string) *http.Request { return testkit.NewRequest(t, "POST", u, strings.NewReader("abc")) },
		"chunked": func(u string) *http.Request {
			return testkit.NewRequest(t, "PUT", u, io.MultiReader(strings.NewReader("abc")))
		},
		"forced chunked": func(u string) *http.Request {
			r := testkit.NewRequest(t, "PUT", u, strings.NewReader("abc"))
			r.TransferEncoding = []string{"chunked"}
			return r
		},
		"request trailer": func(u string) *http.Request {
			r := testkit.NewRequest(t, "PUT", u, io.MultiReader(strings.NewReader("abc")))
			r.Trailer = http.Header{"X-B": {"2"}, "X-A": {"1"}}
			return r
		},
	} {
		t.Run(name, func(t *testing.T) {
			wire := httptestutil.NewWire(t, echoHead)
			got, want := exchangeHead(t, ours, make(wire.URL())), exchangeHead(t, theirs, make(wire.URL()))
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// echoHead answers a request with its own bytes, up to half a read: enough for a head and a short body.
func echoHead(c *httptestutil.WireConn) {
	var text strings.Builder
	buf := make([]byte, 4096)
	for !strings.Contains(text.String(), "\r\n\r\n") || !bodyWhole(text.String()) {
		n, err := c.Conn().Read(buf)
		text.Write(buf[:n])
		if err != nil {
			return
		}
	}
	c.Write(httptestutil.ResponseWith(200, text.String(), "Connection: close"))
}

func bodyWhole(request string) bool {
	head, body, _ := strings.Cut(request, "\r\n\r\n")
	switch {
	case strings.Contains(head, "Transfer-Encoding: chunked"):
		return strings.HasSuffix(body, "\r\n\r\n")
	case strings.Contains(head, "Content-Length: 3"):
		return body == "abc"
	}
	return true
}

func exchangeHead(t *testing.T, rt http.RoundTripper, req *http.Request) string {
	t.Helper()
	resp, err := rt.RoundTrip(req)
	if err != nil {
		t.Fatalf("%T: %v", rt, err)
	}
	return testkit.ReadBody(t, resp)
}

func TestARequestThatCannotBeSentFailsAsWithNetHTTP(t *testing.T) {
	httptestutil.CheckLeaks(t)
	silent := httptestutil.NewWire(t, func(c *httptestutil.WireConn) { c.WaitClosed() })
	ours, theirs := testkit.Beside(t)
	for name, spoil := range map[string]func(*http.Request){
		"no URL":                 func(r *http.Request) { r.URL = nil },
		"no header":              func(r *http.Request) { r.Header = nil },
		"no scheme":              func(r *http.Request) { r.URL.Scheme = "" },
		"unknown scheme":         func(r *http.Request) { r.URL.Scheme = "gopher" },
		"no host":                func(r *http.Request) { r.URL.Host = "" },
		"bad method":             func(r *http.Request) { r.Method = "GET /" },
		"method with a line end": func(r *http.Request) { r.Method = "GET\r\n" },
		"bad field name":         func(r *http.Request) { r.Header["Bad Name"] = []string{"x"} },
		"empty field name":       func(r *http.Request) { r.Header[""] = []string{"x"} },
		"line end in a value":    func(r *http.Request) { r.Header["X-A"] = []string{"secret\r\nX-B: 1"} },
		"NUL in a value":         func(r *http.Request) { r.Header["X-A"] = []string{"secret\x00"} },
		"bad trailer name":       func(r *http.Request) { r.Trailer = http.Header{"Bad Name": nil} },
		"bad trailer value":      func(r *http.Request) { r.Trailer = http.Header{"X-A": {"secret\n"}} },
		"control in the target":  func(r *http.Request) { r.URL.Opaque = "/a\nb" },
		"length without a body":  func(r *http.Request) { r.Body, r.GetBody, r.ContentLength = nil, nil, 5 },
		"forbidden trailer":      func(r *http.Request) { r.ContentLength, r.Trailer = -1, http.Header{"Content-Length": nil} },
	} {
		t.Run(name, func(t *testing.T) {
			attempt := func(rt http.RoundTripper) (*testkit.TrackedBody, error) {
				body := testkit.TrackBody(strings.NewReader("body"))
				req := testkit.NewRequest(t, http.MethodPost, silent.URL(), body)
				req.ContentLength = 4
				spoil(req)
				resp, err := rt.RoundTrip(req)
				if err == nil {
					resp.Body.Close()
				}
				if req.Body == nil {
					body.Close()
				}
				return body, err
			}
			body, got := attempt(ours)
			want := verdictOf(func() error { _, err := attempt(theirs); return err })
			if got == nil || want == nil || got.Error() != want.Error() {
				t.Errorf("got  %v\nwant %v", got, want)
			}
			if got != nil && strings.Contains(got.Error(), "secret") {
				t.Errorf("a value is shown: %v", got)
			}
			body.WantClosed(t)
		})
	}
	if retries := ours.Stats().Retries; retries != (peerpool.Retries{}) {
		t.Errorf("a request that cannot be sent was sent again: %+v", retries)
	}
}

func TestAHostThatNoProxyCanReadFailsAsWithNetHTTP(t *testing.T) {
	proxy := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
	ours, theirs := testkit.Beside(t)
	ours.Proxy, theirs.Proxy = http.ProxyURL(proxy.URL()), http.ProxyURL(proxy.URL())
	attempt := func(rt http.RoundTripper, host string) error {
		req := testkit.NewRequest(t, http.MethodGet, "http://example.test", nil)
		req.Host = host
		resp, err := rt.RoundTrip(req)
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	for _, host := range []string{"two words", "line\nend", "a/b", "ünï\x00"} {
		got, want := attempt(ours, host), verdictOf(func() error { return attempt(theirs, host) })
		if got == nil || want == nil || got.Error() != want.Error() {
			t.Errorf("%q: got %v, want %v", host, got, want)
		}
	}
}

// verdictOf sends the request through net/http until it returns the error that says what is wrong. While net/http closes
// the connection because of that error, its reading goroutine may notice the close first and return another one.
func verdictOf(attempt func() error) error {
	for {
		if err := attempt(); !errors.Is(err, net.ErrClosed) {
			return err
		}
	}
}

func TestAClientAddsWhatItAlwaysDid(t *testing.T) {
	wire := httptestutil.NewWire(t, httptestutil.ReplyThenClose("garbage\r\n\r\n"))
	s := testkit.Observe(t, &peerpool.Transport{})
	_, err := (&http.Client{Transport: s}).Get(wire.URL())
	var wrapped *url.Error
	if !errors.As(err, &wrapped) {
		t.Fatalf("%T %v", err, err)
	}
	if want := `Get "` + wire.URL() + `": ` + testkit.Broken + `malformed HTTP response "garbage"`; err.Error() != want {
		t.Errorf("got  %v\nwant %v", err, want)
	}
}
