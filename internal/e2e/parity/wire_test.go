package parity_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool/internal/testkit"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// recorder is the far end of the connections of a Transport, in memory: it notes all that it is sent and says what it is
// told to.
type recorder struct {
	mu    sync.Mutex // guards what follows
	conns []*httptestutil.PipeConn
	sent  []*bytes.Buffer
}

func (r *recorder) dial(context.Context, string, string) (net.Conn, error) {
	near, far := httptestutil.Pipe(0)
	r.mu.Lock()
	defer r.mu.Unlock()
	sent := new(bytes.Buffer)
	r.conns, r.sent = append(r.conns, far), append(r.sent, sent)
	go func() { // ends with the connection
		p := make([]byte, 4096)
		for {
			n, err := far.Read(p)
			r.mu.Lock()
			sent.Write(p[:n])
			r.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return near, nil
}

// text returns what the n-th connection has been sent, the fields of the head in the order of their names.
func (r *recorder) text(n int) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	head, rest, whole := strings.Cut(r.sent[n].String(), "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	slices.Sort(lines[1:])
	head = strings.Join(lines, "\r\n")
	if whole {
		head += "\r\n\r\n"
	}
	return head + rest
}

func (r *recorder) say(n int, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	io.WriteString(r.conns[n], text)
}

func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.conns)
}

func (r *recorder) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		c.Close()
	}
}

// wireCase is a request and its answer. Both Transports must send the same bytes and return the same response or error,
// unless docs/differences.md has the words in differs: then they must not.
type wireCase struct {
	name    string
	req     func(t testing.TB) *http.Request // nil: a GET
	answer  string                           // "": a good one
	at      time.Duration                    // when the answer comes; 0: after a second; negative: when the request begins to arrive
	differs string
}

const goodAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// tell notes the bytes that a request sends, and what its caller gets.
func (c wireCase) tell(s *testkit.Scene) {
	s.Helper()
	req, answer := testkit.NewRequest(s, http.MethodGet, "http://example.test/", nil), goodAnswer
	if c.req != nil {
		req = c.req(s)
	}
	if c.answer != "" {
		answer = c.answer
	}
	r := new(recorder)
	defer r.close()
	tr := s.Take(&http.Transport{DialContext: r.dial})
	defer tr.CloseIdleConnections()
	ended := make(chan struct{})
	var resp *http.Response
	var err error
	go func() {
		defer close(ended)
		resp, err = tr.RoundTrip(req)
	}()
	if c.at >= 0 {
		time.Sleep(time.Second + c.at)
	}
	synctest.Wait()
	if r.count() > 0 {
		s.Note("sent %q", r.text(0))
		r.say(0, answer)
		synctest.Wait()
	}
	defer time.AfterFunc(10*time.Second, r.close).Stop()
	<-ended
	if err != nil {
		s.Note("error %v", err)
		return
	}
	body, berr := io.ReadAll(resp.Body)
	resp.Body.Close()
	s.Note("%s %s, header %q, trailer %q, length %d, coding %q, body %.50q %v",
		resp.Proto, resp.Status, resp.Header, resp.Trailer, resp.ContentLength, resp.TransferEncoding, body, berr)
	synctest.Wait()
}

func (c wireCase) run(t *testing.T, documented string) {
	theirs, ours := &testkit.Scene{}, &testkit.Scene{Ours: true}
	synctest.Test(t, func(t *testing.T) { theirs.T = t; c.tell(theirs) })
	synctest.Test(t, func(t *testing.T) { ours.T = t; c.tell(ours) })
	same := slices.Equal(theirs.Notes, ours.Notes)
	switch {
	case c.differs == "" && !same:
		t.Errorf("net/http %s\n\tpeerpool %s", strings.Join(theirs.Notes, "\n\t         "), strings.Join(ours.Notes, "\n\t         "))
	case c.differs != "" && same:
		t.Errorf("there is no difference to net/http: both %s", strings.Join(ours.Notes, "\n\t"))
	case c.differs != "" && !strings.Contains(documented, c.differs):
		t.Errorf("docs/differences.md does not say %q", c.differs)
	}
}

// TestTheWireIsAsWithNetHTTPUnlessDocumented asks both Transports, and docs/differences.md.
func TestTheWireIsAsWithNetHTTPUnlessDocumented(t *testing.T) {
	log.SetOutput(io.Discard) // net/http logs what servers do wrong
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	documented, err := os.ReadFile("../../../docs/differences.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range slices.Concat(codingCases(), fieldCases(), targetCases(), lengthCases(), headCases, framingCases, trailerCases) {
		t.Run(c.name, func(t *testing.T) { c.run(t, string(documented)) })
	}
}

// bodyKinds are the ways in which a request may have a body.
var bodyKinds = map[string]func() io.Reader{
	"no body":             func() io.Reader { return nil },
	"NoBody":              func() io.Reader { return http.NoBody },
	"a known length":      func() io.Reader { return strings.NewReader("abc") },
	"an unknown length":   func() io.Reader { return io.MultiReader(strings.NewReader("abc")) },
	"an unknown length 0": func() io.Reader { return io.MultiReader(strings.NewReader("")) },
}

func codingCases() (cases []wireCase) {
	for _, coding := range [][]string{
		nil, {"identity"}, {"gzip"}, {"CHUNKED"}, {"chunked"}, {"chunked", "gzip"}, {"gzip", "chunked"}, {"identity", "chunked"}, {""},
	} {
		for kind, body := range bodyKinds {
			for _, method := range []string{"GET", "POST", "DELETE", "CONNECT"} {
				for _, trailer := range []http.Header{nil, {"X-T": {"1"}}} {
					c := wireCase{
						name: fmt.Sprintf("%s with %s of %q, trailer %v", method, kind, coding, trailer),
						req: func(t testing.TB) *http.Request {
							req := testkit.NewRequest(t, method, "http://example.test/", body())
							req.TransferEncoding, req.Trailer = coding, trailer
							return req
						},
					}
					unframed := len(coding) > 0 && coding[0] != "chunked" && method != "CONNECT"
					empty := kind == "an unknown length 0" && method != "POST"
					if unframed && strings.HasPrefix(kind, "an unknown length") && !empty {
						c.differs = "a request body of unknown length whose `TransferEncoding` is not chunked"
					}
					cases = append(cases, c)
				}
			}
		}
	}
	return cases
}

func fieldCases() (cases []wireCase) {
	for key, differs := range map[string]bool{
		"Host": false, "Content-Length": false, "Transfer-Encoding": false, "Trailer": false, "User-Agent": false,
		"host": true, "HOST": true, "content-length": true, "CONTENT-LENGTH": true, "transfer-encoding": true,
		"TRANSFER-ENCODING": true, "trailer": true, "TRAILER": true,
		"user-agent": false, "connection": false, "CONNECTION": false, "expect": false, "accept-encoding": false, "x-a": false,
	} {
		for _, kind := range []string{"no body", "a known length"} {
			c := wireCase{name: "the field " + key + " with " + kind, req: func(t testing.TB) *http.Request {
				req := testkit.NewRequest(t, "POST", "http://example.test/", bodyKinds[kind]())
				req.Header[key] = []string{"9"}
				return req
			}}
			if differs {
				c.differs = "Host, Content-Length, Transfer-Encoding or Trailer in the header map, in any spelling"
			}
			cases = append(cases, c)
		}
	}
	return cases
}

// changed is a GET that is changed.
func changed(change func(*http.Request)) func(testing.TB) *http.Request {
	return func(t testing.TB) *http.Request {
		req := testkit.NewRequest(t, http.MethodGet, "http://example.test/", nil)
		change(req)
		return req
	}
}

func targetCases() (cases []wireCase) {
	const space = "a space in the query, or in an opaque URL"
	for _, c := range []struct {
		name, differs string
		change        func(*http.Request)
	}{
		{"a space in the query", space, func(r *http.Request) { r.URL.RawQuery = "a b" }},
		{"a space in an opaque URL", space, func(r *http.Request) { r.URL.Opaque = "/a b" }},
		{"a space in the path", "", func(r *http.Request) { r.URL.Path = "/a b" }},
		{"no slash in the beginning", "a path that does not begin with a slash", func(r *http.Request) { r.URL.Path = "a/b" }},
		{"no slash in an opaque URL", "", func(r *http.Request) { r.URL.Opaque = "a/b" }},
		{"an asterisk", "", func(r *http.Request) { r.URL.Path = "*" }},
		{"a control character", "", func(r *http.Request) { r.URL.RawQuery = "a\x01b" }},
		{"DEL", "", func(r *http.Request) { r.URL.RawQuery = "a\x7fb" }},
		{"a tab", "", func(r *http.Request) { r.URL.RawQuery = "a\tb" }},
		{"a byte beyond ASCII", "", func(r *http.Request) { r.URL.RawQuery = "a\xe9b" }},
		{"a number sign", "", func(r *http.Request) { r.URL.RawQuery, r.URL.Fragment = "a#b", "x" }},
		{"a method in lower case", "", func(r *http.Request) { r.Method = "get" }},
	} {
		cases = append(cases, wireCase{name: c.name, req: changed(c.change), differs: c.differs})
	}
	return cases
}

// posting is a POST with a body and another length.
func posting(body string, length int64, memory bool) func(testing.TB) *http.Request {
	return changed(func(r *http.Request) {
		var from io.Reader = strings.NewReader(body)
		if !memory {
			from = io.MultiReader(from)
		}
		r.Method, r.Body, r.ContentLength = http.MethodPost, io.NopCloser(from), length
	})
}

func lengthCases() (cases []wireCase) {
	for _, memory := range []bool{false, true} {
		for _, body := range []string{"", "abc", "abcde", "abcdefgh"} {
			for _, at := range []time.Duration{0, -1} {
				cases = append(cases, wireCase{
					name: fmt.Sprintf("%q with length 5, in memory %v, answered at once %v", body, memory, at < 0),
					req:  posting(body, 5, memory), at: at,
				})
			}
		}
		for _, n := range []int{3000, 5000, 20000} {
			c := wireCase{
				name: fmt.Sprintf("%d bytes with one more said, in memory %v", n, memory),
				req:  posting(strings.Repeat("x", n), int64(n+1), memory),
			}
			if memory && n == 5000 {
				c.differs = "a body of up to 16 KiB in memory that is not as long as said"
			}
			cases = append(cases, c)
		}
	}
	errRefused := errors.New("refused")
	return append(cases,
		wireCase{name: "a length with NoBody", req: changed(func(r *http.Request) { r.Body, r.ContentLength = http.NoBody, 5 })},
		wireCase{name: "a length without a body", req: changed(func(r *http.Request) { r.ContentLength = 5 })},
		wireCase{name: "a negative length", req: posting("abc", -5, false)},
		wireCase{name: "a negative length without a body", req: changed(func(r *http.Request) { r.ContentLength = -5 })},
		wireCase{name: "an interim response that the trace refuses", answer: "HTTP/1.1 103 Hi\r\n\r\n" + goodAnswer,
			req: changed(func(r *http.Request) {
				*r = *r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
					Got1xxResponse: func(int, textproto.MIMEHeader) error { return errRefused },
				}))
			})},
	)
}
