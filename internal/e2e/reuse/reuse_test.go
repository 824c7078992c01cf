package reuse_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// reuseCase is one exchange, and what it leaves of its connection.
type reuseCase struct {
	name    string
	reply   string
	method  string              // "": GET
	fields  []string            // of the request
	spoil   func(*http.Request) // or anything else about it
	options func(*peerpool.Transport)
	reason  peerpool.CloseReason // "": the connection is reused
}

var reuseCases = []reuseCase{
	{name: "a length", reply: testkit.Ok},
	{name: "a length of zero", reply: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
	{name: "chunks", reply: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"},
	{name: "chunks and a trailer", reply: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-A: 1\r\n\r\n"},
	{name: "no content", reply: "HTTP/1.1 204 No Content\r\n\r\n"},
	{name: "not modified, of a length", reply: "HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n"},
	{name: "HEAD, of a length", method: "HEAD", reply: "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"},
	{name: "HTTP/1.0 that keeps alive", reply: "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"},
	{name: "an error status", reply: "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno"},
	{name: "an interim response first", reply: "HTTP/1.1 103 Early Hints\r\n\r\n" + testkit.Ok},

	{name: "the server says close", reason: "connection_close",
		reply: "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"},
	{name: "the server says close among others", reason: "connection_close",
		reply: "HTTP/1.1 200 OK\r\nConnection: keep-alive, Close\r\nContent-Length: 2\r\n\r\nok"},
	{name: "the server says close on a second line", reason: "connection_close",
		reply: "HTTP/1.1 200 OK\r\nConnection: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"},
	{name: "HTTP/1.0", reason: "connection_close", reply: "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"},
	{name: "the request's Close", reply: testkit.Ok, reason: "connection_close", spoil: func(r *http.Request) { r.Close = true }},
	{name: "close in the request's header", reply: testkit.Ok, reason: "connection_close", fields: []string{"Connection: close"}},
	{name: "DisableKeepAlives", reply: testkit.Ok, reason: "connection_close",
		options: func(tr *peerpool.Transport) { tr.DisableKeepAlives = true }},
	{name: "a length said twice", reason: "ambiguous_framing",
		reply: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok"},
	{name: "a length and chunks", reason: "ambiguous_framing",
		reply: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"},
	{name: "no content, of a length", reason: "ambiguous_framing", reply: "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n"},
	{name: "one byte too many", reply: testkit.Ok + "x", reason: "unexpected_data"},
	{name: "a line end too many", reply: testkit.Ok + "\r\n", reason: "unexpected_data"},
	{name: "a second response", reply: testkit.Ok + testkit.Ok, reason: "unexpected_data"},
	{name: "HEAD with a body", method: "HEAD", reply: testkit.Ok, reason: "unexpected_data"},
	{name: "not modified with a body", reply: "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\nok", reason: "unexpected_data"},
	{name: "CONNECT refused", method: "CONNECT", reply: "HTTP/1.1 405 No\r\nContent-Length: 2\r\n\r\nno", reason: "tunnel"},
	{name: "an upgrade refused", reply: testkit.Ok, reason: "tunnel", fields: []string{"Connection: Upgrade", "Upgrade: websocket"}},
	{name: "a body of the wrong chunks", reason: "error",
		reply: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokx0\r\n\r\n"},
	{name: "NTLM in the request", reply: testkit.Ok, reason: "connection_auth", fields: []string{"Authorization: NTLM TlRMTVNTUAAB"}},
	{name: "a challenge for Negotiate", reason: "connection_auth",
		reply: "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=x, negotiate\r\nContent-Length: 2\r\n\r\nno"},
	{name: "Basic credentials", reply: testkit.Ok, fields: []string{"Authorization: Basic eDp5"}},
}

func TestAConnectionIsReusedIfAndOnlyIfItsStateIsKnown(t *testing.T) {
	for _, c := range reuseCases {
		t.Run(c.name, func(t *testing.T) {
			httptestutil.CheckLeaks(t)
			wire := httptestutil.NewWire(t, httptestutil.PerConn(httptestutil.Replies(c.reply, testkit.Ok), httptestutil.Replies(testkit.Ok)))
			s := testkit.Observe(t, &peerpool.Transport{})
			if c.options != nil {
				c.options(s.Transport)
			}
			resp, err := s.RoundTrip(c.request(t, wire.URL()))
			if err != nil {
				t.Fatal(err)
			}
			_, bodyErr := io.ReadAll(resp.Body)
			resp.Body.Close()
			if (bodyErr != nil) != (c.reason == "error") {
				t.Errorf("the body ended with %v", bodyErr)
			}
			if c.reason == "" {
				s.Get(wire.URL())
				if n := wire.Conns(); n != 1 {
					t.Errorf("%d connections, want 1; closes %v", n, s.Stats().Closes)
				}
				return
			}
			s.Closes(c.reason, 1)
			if end := s.Events.Ends()[0]; end.Close != c.reason || end.Status != resp.StatusCode {
				t.Errorf("the observer was told %+v", end)
			}
			wire.WaitClientClosed(1)
			s.Get(wire.URL())
		})
	}
}

func (c reuseCase) request(t *testing.T, url string) *http.Request {
	t.Helper()
	method := c.method
	if method == "" {
		method = http.MethodGet
	}
	req := testkit.With(testkit.NewRequest(t, method, url, nil), c.fields...)
	if c.spoil != nil {
		c.spoil(req)
	}
	return req
}

func TestNothingIsReusedWhileTheRequestIsStillBeingSent(t *testing.T) {
	httptestutil.CheckLeaks(t)
	wire := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
		c.ReadHead()
		c.Write(testkit.Ok)
		c.WaitClosed()
	})
	s := testkit.Observe(t, &peerpool.Transport{})
	body := testkit.NewHeldBody(testkit.Never{})
	if got := s.Ok(testkit.NewRequest(t, http.MethodPost, wire.URL(), body)); got != "ok" {
		t.Errorf("got %q", got)
	}
	body.WantClosed(t)
	wire.WaitClientClosed(1)
	s.Closes("request_unsent", 1)
}

// In simulated time the rest of the body is never too late.
func TestAnUploadThatEndsWithTheResponseKeepsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		head := make(chan struct{})
		wire, tr := testkit.InMemory(t, func(c *httptestutil.WireConn) {
			for req := c.ReadHead(); req != nil; req = c.ReadHead() {
				c.Write(testkit.Ok) // before the body is there
				head <- struct{}{}
				io.Copy(io.Discard, req.Body)
			}
			c.WaitClosed()
		})
		s := testkit.Observe(t, tr)
		for range 3 {
			body := io.MultiReader(strings.NewReader("some, "), testkit.AtEnd(func() { <-head }), strings.NewReader("and the rest"))
			if got := s.Ok(testkit.NewRequest(t, http.MethodPost, wire.URL(), body)); got != "ok" {
				t.Errorf("got %q", got)
			}
		}
		if n := wire.Conns(); n != 1 {
			t.Errorf("%d connections, want 1; closes %v", n, s.Stats().Closes)
		}
	})
}

func TestDiscardGivesAConnectionUp(t *testing.T) {
	for name, get := range map[string]func(*testkit.Subject, string) (*http.Response, error){
		"of RoundTrip": func(s *testkit.Subject, url string) (*http.Response, error) {
			return s.RoundTrip(testkit.NewRequest(s.T, "GET", url, nil))
		},
		"of a Client": func(s *testkit.Subject, url string) (*http.Response, error) {
			return (&http.Client{Transport: s}).Get(url)
		},
		"of a Client with a Timeout": func(s *testkit.Subject, url string) (*http.Response, error) {
			return (&http.Client{Transport: s, Timeout: httptestutil.Bound}).Get(url)
		},
		"of a Client, and compressed": func(s *testkit.Subject, url string) (*http.Response, error) {
			return (&http.Client{Transport: s, Timeout: httptestutil.Bound}).Get(url + "/gzip")
		},
	} {
		t.Run(name, func(t *testing.T) {
			httptestutil.CheckLeaks(t)
			origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Handler: http.HandlerFunc(maybeGzip)})
			s := testkit.Observe(t, &peerpool.Transport{})
			for range 2 {
				resp, err := get(s, origin.URL())
				if err != nil {
					t.Fatal(err)
				}
				peerpool.DiscardConn(resp)
				if body := testkit.ReadBody(t, resp); body != "text" {
					t.Errorf("body %q", body)
				}
			}
			if n := origin.Conns(); n != 2 {
				t.Errorf("%d connections, want 2", n)
			}
			s.Closes("discarded", 2)
		})
	}
}

func TestDiscardBeforeAnEarlyCloseDrainsNothing(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	s := testkit.Observe(t, &peerpool.Transport{})
	resp := s.Open(origin.URL(), 1)
	peerpool.DiscardConn(resp)
	resp.Body.Close()
	s.Closes("discarded", 1)
}

func TestDiscardLeavesOtherResponsesAlone(t *testing.T) {
	peerpool.DiscardConn(nil)
	peerpool.DiscardConn(&http.Response{})
	peerpool.DiscardConn(&http.Response{Body: http.NoBody})
	foreign := &http.Response{Body: io.NopCloser(strings.NewReader("text"))}
	peerpool.DiscardConn(foreign)
	if body := testkit.ReadBody(t, foreign); body != "text" {
		t.Errorf("body %q", body)
	}
}

// maybeGzip answers with the same text either way.
func maybeGzip(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/gzip" {
		io.WriteString(w, "text")
		return
	}
	w.Header().Set("Content-Encoding", "gzip")
	zw := gzip.NewWriter(w)
	io.WriteString(zw, "text")
	zw.Close()
}
