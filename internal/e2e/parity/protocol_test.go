package parity_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/peerpool/peerpool/internal/testkit"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

func TestFilesAreServedAsWithNetHTTP(t *testing.T) {
	testkit.SideBySide(t, func(s *testkit.Scene) {
		tr := s.Use(nil)
		tr.RegisterProtocol("file", http.NewFileTransportFS(fstest.MapFS{
			"dir/greeting.txt": {Data: []byte("hello")}, "dir/page.html": {Data: []byte("<p>")},
		}))
		for _, target := range []string{
			"file:///dir/greeting.txt", "file:///dir/page.html", "file:///dir", "file:///dir/", "file:///none", "file://host/dir/page.html",
			"FILE:///dir/page.html", "other:///x", "file:dir/greeting.txt",
		} {
			s.Get(tr, target)
		}
		req := testkit.With(testkit.NewRequest(s, http.MethodGet, "file:///dir/greeting.txt", nil), "Range: bytes=1-2")
		s.Do(tr, req)
		req = testkit.NewRequest(s, http.MethodGet, "file:///dir/greeting.txt", nil)
		req.Header["Bad Name"] = []string{"which only http minds"}
		s.Do(tr, req)
	})
}

// answering is a RoundTripper with an answer for everything, which notes what it is asked.
type answering struct {
	s   *testkit.Scene
	use func(*http.Request) // what it does to a request first
	err error
}

func (a *answering) RoundTrip(req *http.Request) (*http.Response, error) {
	a.s.Note("asked for %s %s", req.Method, req.URL)
	if a.use != nil {
		a.use(req)
	}
	if a.err != nil {
		return nil, a.err
	}
	return &http.Response{
		Status: "299 Fine", StatusCode: 299, Proto: "other/1", ContentLength: 4, Header: http.Header{}, Request: req,
		Body: io.NopCloser(strings.NewReader("mine")),
	}, nil
}

func TestARegisteredProtocolIsAskedAsWithNetHTTP(t *testing.T) {
	for name, spoil := range map[string]func(*http.Request){
		"a good request":  func(*http.Request) {},
		"no URL":          func(r *http.Request) { r.URL = nil },
		"no header":       func(r *http.Request) { r.Header = nil },
		"bad field name":  func(r *http.Request) { r.Header["Bad Name"] = []string{"x"} },
		"bad field value": func(r *http.Request) { r.Header["X-A"] = []string{"x\n"} },
		"bad trailer":     func(r *http.Request) { r.Trailer = http.Header{"X A": nil} },
		"bad method":      func(r *http.Request) { r.Method = "NOT GOOD" },
		"no host":         func(r *http.Request) { r.URL.Host = "" },
		"WebSocket": func(r *http.Request) {
			r.Header = http.Header{"Connection": {"keep-alive, Upgrade"}, "Upgrade": {"WebSocket"}}
		},
		"another upgrade": func(r *http.Request) { r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"other"}} },
	} {
		for _, scheme := range []string{"http", "https", "mine"} {
			t.Run(name+", "+scheme, func(t *testing.T) {
				testkit.SideBySide(t, func(s *testkit.Scene) {
					tr := s.Use(&http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
						return nil, errors.New("left to the Transport")
					}})
					tr.RegisterProtocol(scheme, &answering{s: s})
					body := testkit.TrackBody(strings.NewReader("body"))
					req := testkit.NewRequest(s, http.MethodPost, scheme+"://example.test", body)
					spoil(req)
					s.Response(tr.RoundTrip(req))
				})
			})
		}
	}
}

// TestARegisteredProtocolMayLeaveARequestAsWithNetHTTP lets a registered RoundTripper read or close the body before it
// returns ErrSkipAltProtocol. What the Transport does next depends on that.
func TestARegisteredProtocolMayLeaveARequestAsWithNetHTTP(t *testing.T) {
	errAgain := errors.New("only once")
	uses := map[string]func(*http.Request){
		"untouched": nil,
		"read":      func(r *http.Request) { _, _ = r.Body.Read(make([]byte, 2)) },
		"closed":    func(r *http.Request) { r.Body.Close() },
	}
	agains := map[string]func(*http.Request){
		"replayable": func(*http.Request) {},
		"once":       func(r *http.Request) { r.GetBody = nil },
		"broken":     func(r *http.Request) { r.GetBody = func() (io.ReadCloser, error) { return nil, errAgain } },
	}
	for used, use := range uses {
		for how, prepare := range agains {
			t.Run(used+", "+how, func(t *testing.T) {
				testkit.SideBySide(t, func(s *testkit.Scene) {
					o := httptestutil.NewOrigin(s, httptestutil.OriginOptions{Handler: http.HandlerFunc(testkit.Digest)})
					tr := s.Use(nil)
					tr.RegisterProtocol("http", &answering{s: s, use: use, err: http.ErrSkipAltProtocol})
					body := testkit.TrackBody(strings.NewReader("body"))
					req := testkit.NewRequest(s, http.MethodPost, o.URL(), body)
					req.ContentLength = 4
					req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("body")), nil }
					prepare(req)
					resp, err := tr.RoundTrip(req)
					if err == nil {
						s.Note("the response is of the caller's request: %v", resp.Request == req)
					}
					s.Response(resp, err)
					body.WantClosed(s)
				})
			})
		}
	}
}
