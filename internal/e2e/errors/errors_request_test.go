package errors_test

//lint:file-ignore SA1019 programs still use what is deprecated, so it is tested

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

func TestARequestThatCannotBeSentFailsAsWithNetHTTP(t *testing.T) {
	table := failures{}
	for name, change := range map[string]func(*http.Request){
		"no URL":                   func(r *http.Request) { r.URL = nil },
		"no header":                func(r *http.Request) { r.Header = nil },
		"another scheme":           func(r *http.Request) { r.URL.Scheme = "ftp" },
		"no scheme":                func(r *http.Request) { r.URL.Scheme = "" },
		"an odd method":            func(r *http.Request) { r.Method = "A B" },
		"no host":                  func(r *http.Request) { r.URL.Host = "" },
		"an odd field name":        func(r *http.Request) { r.Header = http.Header{"a b": {"c"}} },
		"an empty field name":      func(r *http.Request) { r.Header = http.Header{"": {"c"}} },
		"an odd field value":       func(r *http.Request) { r.Header = http.Header{"A": {"b\r\nc"}} },
		"an odd trailer name":      func(r *http.Request) { r.Trailer = http.Header{"a b": {"c"}} },
		"an odd trailer value":     func(r *http.Request) { r.Trailer = http.Header{"A": {"b\x00"}} },
		"a length without a body":  func(r *http.Request) { r.ContentLength = 5 },
		"a line end in the target": func(r *http.Request) { r.URL = &url.URL{Scheme: "http", Host: r.URL.Host, Opaque: "//x/\r\n"} },
		"a forbidden trailer": func(r *http.Request) {
			r.Body, r.ContentLength, r.Trailer = body("x"), -1, http.Header{"Content-Length": {"1"}}
		},
		"a canceled context":      func(r *http.Request) { *r = *r.WithContext(canceled(nil)) },
		"a context with a cause":  func(r *http.Request) { *r = *r.WithContext(canceled(errOfTheCaller)) },
		"a closed Cancel channel": func(r *http.Request) { c := make(chan struct{}); close(c); r.Cancel = c },
		"a body and no length":    func(r *http.Request) { r.Body, r.ContentLength = failing("", errOfTheBody), 0 },
	} {
		table[name] = func(p *performance) {
			o := httptestutil.NewOrigin(p, httptestutil.OriginOptions{Handler: saying})
			req := p.request(http.MethodPost, o.URL(), nil)
			change(req)
			resp, err := p.use(&http.Transport{}).RoundTrip(req)
			p.outcome(resp, err)
		}
	}
	table["a registered scheme"] = func(p *performance) {
		tr := p.use(&http.Transport{})
		tr.RegisterProtocol("nothing", refusing{})
		p.get(tr, "nothing://x")
	}
	table["a client whose Timeout is over"] = func(p *performance) { // as after a redirect that took long
		p.with(&http.Client{Transport: p.use(&http.Transport{}), Timeout: 1}, p.request(http.MethodGet, "http://127.0.0.1:1", nil))
	}
	compare(t, table)
}

type refusing struct{}

func (refusing) RoundTrip(*http.Request) (*http.Response, error) { return nil, errOfTheCaller }

func body(text string) io.ReadCloser { return io.NopCloser(strings.NewReader(text)) }

func canceled(cause error) context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(cause)
	return ctx
}

// failing returns a body that yields text, and then fails.
func failing(text string, err error) io.ReadCloser {
	return io.NopCloser(io.MultiReader(strings.NewReader(text), iotestErr{err}))
}

type iotestErr struct{ err error }

func (r iotestErr) Read([]byte) (int, error) { return 0, r.err }

// TestAnUploadFailsAsWithNetHTTP sends bodies that fail, and bodies that are not as long as their Content-Length.
func TestAnUploadFailsAsWithNetHTTP(t *testing.T) {
	long := strings.Repeat("x", 100<<10)
	table := failures{}
	for name, change := range map[string]func(*http.Request){
		"fails at once":                  func(r *http.Request) { r.Body, r.ContentLength = failing("", errOfTheBody), 10 },
		"fails at once, chunked":         func(r *http.Request) { r.Body, r.ContentLength = failing("", errOfTheBody), -1 },
		"fails later":                    func(r *http.Request) { r.Body, r.ContentLength = failing(long, errOfTheBody), 200<<10 },
		"fails later, chunked":           func(r *http.Request) { r.Body, r.ContentLength = failing(long, errOfTheBody), -1 },
		"fails soon":                     func(r *http.Request) { r.Body, r.ContentLength = failing("some", errOfTheBody), 10 },
		"fails soon, chunked":            func(r *http.Request) { r.Body, r.ContentLength = failing("some", errOfTheBody), -1 },
		"fails with io.ErrUnexpectedEOF": func(r *http.Request) { r.Body, r.ContentLength = failing("some", io.ErrUnexpectedEOF), 10 },
		"fails with io.ErrClosedPipe":    func(r *http.Request) { r.Body, r.ContentLength = failing("some", io.ErrClosedPipe), -1 },
		"fails with a time-out":          func(r *http.Request) { r.Body, r.ContentLength = failing("some", context.DeadlineExceeded), -1 },
		"fails as canceled":              func(r *http.Request) { r.Body, r.ContentLength = failing("some", context.Canceled), -1 },
		"fails with an OpError": func(r *http.Request) {
			r.Body, r.ContentLength = failing("some", &net.OpError{Op: "read", Net: "tcp", Err: net.ErrClosed}), -1
		},
		"is too short":           func(r *http.Request) { r.Body, r.ContentLength = body("some"), 10 },
		"is empty":               func(r *http.Request) { r.Body, r.ContentLength = body(""), 10 },
		"is too short by much":   func(r *http.Request) { r.Body, r.ContentLength = body(long), 200<<10 },
		"is too long":            func(r *http.Request) { r.Body, r.ContentLength = body("some text"), 4 },
		"is too long by much":    func(r *http.Request) { r.Body, r.ContentLength = body(long), 4 },
		"in memory is too short": func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(bytes.NewReader([]byte("some"))), 10 },
		"in memory is too long":  func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(bytes.NewReader([]byte("some"))), 2 },
	} {
		for kind, protocol := range map[string]func(*performance) (transport, string){"HTTP/1.1": plainOrigin, "HTTP/2": http2Origin} {
			table[kind+": a body that "+name] = func(p *performance) {
				tr, target := protocol(p)
				req := p.request(http.MethodPost, target, nil)
				change(req)
				p.do(tr, req)
			}
			table[kind+", reused: a body that "+name] = func(p *performance) {
				tr, target := protocol(p)
				p.get(tr, target)
				req := p.request(http.MethodPost, target, nil)
				change(req)
				p.do(tr, req)
			}
		}
	}
	for name, err := range map[string]error{
		"a plain error": errOfTheConn, "a reset": &net.OpError{Op: "write", Net: "tcp", Err: errOfTheConn}, "EOF": io.EOF,
		"a time-out": context.DeadlineExceeded, "joined errors": errors.Join(errOfTheConn, io.EOF),
	} {
		for when, n := range map[string]int64{"before the first byte": 0, "within the head": 10, "within the body": 2000} {
			for what, size := range map[string]int64{"a GET": 0, "a POST": 100, "a large POST": 1 << 20} {
				if when == "within the body" && size < 1000 {
					continue
				}
				table["writing "+what+" fails with "+name+" "+when] = func(p *performance) {
					w := httptestutil.NewWire(p, func(c *httptestutil.WireConn) { c.WaitClosed() })
					tr := p.use(dialing(func() (net.Conn, error) {
						nc, e := net.Dial("tcp", w.Addr())
						return &faulty{Conn: nc, writes: err, writable: n}, e
					}))
					req := p.request(http.MethodGet, "http://example.test", nil)
					if size > 0 {
						req = p.upload("http://example.test", size)
					}
					p.do(tr, req)
				}
			}
		}
		table["reading fails with "+name] = func(p *performance) { p.reading(err, "") }
		table["reading the head fails with "+name] = func(p *performance) { p.reading(err, "HTTP/1.1 200 OK\r\nA: b") }
		table["reading the body fails with "+name] = func(p *performance) {
			p.reading(err, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nsome")
		}
		table["reading the body to its end fails with "+name] = func(p *performance) { p.reading(err, "HTTP/1.1 200 OK\r\n\r\nsome") }
		table["reading the chunks fails with "+name] = func(p *performance) {
			p.reading(err, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nsome")
		}
	}
	table["an interim response that the caller refuses"] = func(p *performance) {
		w := httptestutil.NewWire(p, httptestutil.ReplyThenStall("HTTP/1.1 103 Early Hints\r\n\r\n"))
		req := p.request(http.MethodGet, w.URL(), nil)
		p.do(p.use(&http.Transport{}), req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(int, textproto.MIMEHeader) error { return errOfTheCaller },
		})))
	}
	for name, limit := range map[string]int64{"by much": 1000, "by little": 10000} {
		table["a head that is too long "+name] = func(p *performance) {
			w := httptestutil.NewWire(p, httptestutil.Replies(httptestutil.ResponseWith(200, "", "X-Long: "+strings.Repeat("x", 20000))))
			p.get(p.use(&http.Transport{MaxResponseHeaderBytes: limit}), w.URL())
		}
	}
	compare(t, table)
}

// reading has a request's connection yield answer, and then fail.
func (p *performance) reading(err error, answer string) {
	w := httptestutil.NewWire(p, httptestutil.ReplyThenStall(answer))
	p.get(p.use(dialing(func() (net.Conn, error) {
		nc, e := net.Dial("tcp", w.Addr())
		return &faulty{Conn: nc, asked: make(chan struct{}), reads: err, readable: int64(len(answer))}, e
	})), "http://example.test")
}

func plainOrigin(p *performance) (transport, string) {
	o := httptestutil.NewOrigin(p, httptestutil.OriginOptions{Handler: saying})
	return p.use(&http.Transport{}), o.URL()
}

func http2Origin(p *performance) (transport, string) {
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	o := httptestutil.NewOrigin(p, httptestutil.OriginOptions{Handler: saying, CA: httptestutil.NewCA(p), Protocols: protocols})
	return p.use(&http.Transport{TLSClientConfig: o.ClientTLS(), ForceAttemptHTTP2: true}), o.URL()
}
