package parity_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool/internal/testkit"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// parting returns a script for a first connection that answers one request and fails the second, and for others
// that answer all with the request's body.
func parting(s *testkit.Scene, failure func(*httptestutil.WireConn)) httptestutil.Script {
	echo := func(c *httptestutil.WireConn) bool {
		req := c.ReadRequest()
		if req == nil {
			return false
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			s.Error(err)
		}
		return c.Write(httptestutil.Response(req.Method + " " + string(body)))
	}
	return httptestutil.PerConn(func(c *httptestutil.WireConn) {
		if echo(c) {
			failure(c)
		}
	}, func(c *httptestutil.WireConn) {
		for echo(c) {
		}
	})
}

// TestARequestOnALostConnectionIsRepeatedAsWithNetHTTP loses the connection after the request has reached it.
func TestARequestOnALostConnectionIsRepeatedAsWithNetHTTP(t *testing.T) {
	const text = "body"
	replayable := func() io.Reader { return strings.NewReader(text) }
	once := func() io.Reader { return io.MultiReader(strings.NewReader(text)) }
	for name, c := range map[string]struct {
		method string
		body   func() io.Reader
		fields []string
	}{
		"GET":                           {method: "GET"},
		"HEAD":                          {method: "HEAD"},
		"OPTIONS":                       {method: "OPTIONS"},
		"GET with a body":               {method: "GET", body: replayable},
		"GET with a body of the moment": {method: "GET", body: once},
		"POST":                          {method: "POST", body: replayable},
		"POST without a body":           {method: "POST"},
		"PATCH":                         {method: "PATCH", body: replayable},
		"POST with a key":               {method: "POST", body: replayable, fields: []string{"Idempotency-Key: 1"}},
		"POST with another key":         {method: "POST", body: replayable, fields: []string{"X-Idempotency-Key: 1"}},
		"POST with a key, once":         {method: "POST", body: once, fields: []string{"Idempotency-Key: 1"}},
	} {
		for how, failure := range map[string]func(*httptestutil.WireConn){
			"closed": func(c *httptestutil.WireConn) { c.ReadRequest(); c.Close() },
			"reset":  func(c *httptestutil.WireConn) { c.ReadRequest(); c.Reset() },
			"answered in part": func(c *httptestutil.WireConn) {
				c.ReadRequest()
				c.Write("HTTP/1.1 200")
				c.Close()
			},
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				sideBySideInBubble(t, func(s *testkit.Scene) {
					ln := httptestutil.NewListener(0)
					w := httptestutil.NewWireWith(s, httptestutil.WireOptions{Listener: ln, Bound: time.Hour}, parting(s, failure))
					tr := s.Use(&http.Transport{DialContext: ln.Dial})
					s.Get(tr, anywhere)
					synctest.Wait()
					var body io.Reader
					if c.body != nil {
						body = c.body()
					}
					s.Do(tr, testkit.With(testkit.NewRequest(s, c.method, anywhere, body), c.fields...))
					s.Note("%d connections, %d requests", w.Conns(), w.Requests())
				})
			})
		}
	}
}

// TestAConnectionThatEndsWhileItIdlesIsNotUsedAsWithNetHTTP checks that no part of any request is sent on a connection that
// has ended while it was idle.
func TestAConnectionThatEndsWhileItIdlesIsNotUsedAsWithNetHTTP(t *testing.T) {
	for how, failure := range map[string]func(*httptestutil.WireConn){
		"closed": func(c *httptestutil.WireConn) { c.Close() },
		"reset":  func(c *httptestutil.WireConn) { c.Reset() },
		"408": func(c *httptestutil.WireConn) {
			c.Write(httptestutil.ResponseWith(408, "late", "Connection: close"))
			c.Close()
		},
		"an answer too many": func(c *httptestutil.WireConn) { c.Write(httptestutil.Response("stray")); c.WaitClosed() },
	} {
		t.Run(how, func(t *testing.T) {
			sideBySideInBubble(t, func(s *testkit.Scene) {
				ln := httptestutil.NewListener(0)
				w := httptestutil.NewWireWith(s, httptestutil.WireOptions{Listener: ln, Bound: time.Hour}, parting(s, failure))
				tr := s.Use(&http.Transport{DialContext: ln.Dial})
				s.Get(tr, anywhere)
				synctest.Wait()
				s.Do(tr, testkit.NewRequest(s, http.MethodPost, anywhere, io.MultiReader(strings.NewReader("body"))))
				s.Note("%d connections, %d requests", w.Conns(), w.Requests())
			})
		})
	}
}

func TestABodyThatCannotBeHadAgainFailsAsWithNetHTTP(t *testing.T) {
	errAgain := errors.New("only once")
	sideBySideInBubble(t, func(s *testkit.Scene) {
		ln := httptestutil.NewListener(0)
		w := httptestutil.NewWireWith(s, httptestutil.WireOptions{Listener: ln, Bound: time.Hour},
			parting(s, func(c *httptestutil.WireConn) { c.ReadRequest(); c.Close() }))
		tr := s.Use(&http.Transport{DialContext: ln.Dial})
		s.Get(tr, anywhere)
		synctest.Wait()
		body := testkit.TrackBody(strings.NewReader("body"))
		req := testkit.With(testkit.NewRequest(s, http.MethodPost, anywhere, body), "Idempotency-Key: 1")
		req.GetBody = func() (io.ReadCloser, error) { return nil, errAgain }
		_, err := tr.RoundTrip(req)
		s.Note("the very error: %v", err == errAgain) //nolint:errorlint // identity is what is asked
		body.WantClosed(s)
		s.Note("%d connections, %d requests", w.Conns(), w.Requests())
	})
}

// TestABodyThatIsHadAgainIsHeldToItsLength checks a GetBody that returns NoBody. That is an empty body, and its length
// differs from the Content-Length that the caller gave. It does not turn the request into one without a body.
func TestABodyThatIsHadAgainIsHeldToItsLength(t *testing.T) {
	for name, length := range map[string]int64{"a length": 4, "no length": -1} {
		t.Run(name, func(t *testing.T) {
			sideBySideInBubble(t, func(s *testkit.Scene) {
				ln := httptestutil.NewListener(0)
				httptestutil.NewWireWith(s, httptestutil.WireOptions{Listener: ln, Bound: time.Hour}, httptestutil.PerConn(
					func(c *httptestutil.WireConn) {
						c.ReadRequest()
						c.Write(httptestutil.Response("first"))
						c.ReadRequest()
						c.Close()
					}, func(c *httptestutil.WireConn) {
						req := c.ReadHead()
						if req == nil {
							return
						}
						body, err := io.ReadAll(req.Body)
						if err == nil {
							c.Write(httptestutil.Response(string(body)))
						}
					}))
				tr := s.Use(&http.Transport{DialContext: ln.Dial})
				s.Get(tr, anywhere)
				synctest.Wait()
				req := testkit.With(testkit.NewRequest(s, http.MethodPut, anywhere, strings.NewReader("body")), "Idempotency-Key: 1")
				req.ContentLength = length
				req.GetBody = func() (io.ReadCloser, error) { return http.NoBody, nil }
				s.Do(tr, req)
			})
		})
	}
}
