package parity_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/peerpool/peerpool/internal/testkit"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// brokenBody is a body that returns some text and then an error.
func brokenBody(text string, err error) io.Reader {
	return io.MultiReader(strings.NewReader(text), iotest.ErrReader(err))
}

func TestABodyThatCannotBeSentFailsAsWithNetHTTP(t *testing.T) {
	errBody := errors.New("the disk is gone")
	for name, c := range map[string]struct {
		body   func() io.Reader
		length int64
	}{
		"fails at once":            {func() io.Reader { return brokenBody("", errBody) }, -1},
		"fails in between":         {func() io.Reader { return brokenBody("some", errBody) }, -1},
		"fails beyond a buffer":    {func() io.Reader { return brokenBody(strings.Repeat("x", 10000), errBody) }, -1},
		"ends unexpectedly":        {func() io.Reader { return brokenBody("some", io.ErrUnexpectedEOF) }, -1},
		"shorter than its length":  {func() io.Reader { return io.MultiReader(strings.NewReader("some")) }, 9},
		"longer than its length":   {func() io.Reader { return io.MultiReader(strings.NewReader("some more")) }, 4},
		"empty but for its length": {func() io.Reader { return io.MultiReader(strings.NewReader("")) }, 9},
	} {
		t.Run(name, func(t *testing.T) {
			testkit.SideBySide(t, func(s *testkit.Scene) {
				w := httptestutil.NewWire(s, func(c *httptestutil.WireConn) { c.WaitClosed() })
				body := testkit.TrackBody(c.body())
				req := testkit.NewRequest(s, http.MethodPost, w.URL(), body)
				req.ContentLength = c.length
				s.Do(s.Use(nil), req)
				body.WantClosed(s)
			})
		})
	}
}

// TestTheErrorOfABodyComesBackAsItWas checks that RoundTrip returns the error of the body itself, because programs look for
// their own errors.
func TestTheErrorOfABodyComesBackAsItWas(t *testing.T) {
	errBody := errors.New("the disk is gone")
	testkit.SideBySide(t, func(s *testkit.Scene) {
		w := httptestutil.NewWire(s, func(c *httptestutil.WireConn) { c.WaitClosed() })
		req := testkit.NewRequest(s, http.MethodPost, w.URL(), brokenBody("some", errBody))
		_, err := s.Use(nil).RoundTrip(req)
		s.Note("the very error: %v", err == errBody) //nolint:errorlint // identity is what is asked
	})
}

func TestAServerThatAnswersEarlyIsHeardAsWithNetHTTP(t *testing.T) {
	testkit.SideBySide(t, func(s *testkit.Scene) {
		w := httptestutil.NewWire(s, func(c *httptestutil.WireConn) {
			c.ReadHead()
			c.Write("HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
			c.WaitClosed()
		})
		body, more := io.Pipe()
		defer more.Close()
		req := testkit.NewRequest(s, http.MethodPost, w.URL(), body)
		s.Do(s.Use(nil), req)
	})
}

// zipped is a response whose body is gzip, as far as it goes.
func zipped(text string, cut int) string {
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	io.WriteString(zw, text)
	zw.Close()
	b.Truncate(b.Len() - cut)
	return httptestutil.ResponseWith(200, b.String(), "Content-Encoding: gzip")
}

func TestCompressionIsUndoneAsWithNetHTTP(t *testing.T) {
	for name, c := range map[string]struct {
		response string
		method   string
		fields   []string
		config   *http.Transport
	}{
		"gzip":                      {response: zipped("hello", 0)},
		"gzip in capitals":          {response: strings.Replace(zipped("hello", 0), "gzip", "GZIP", 1)},
		"gzip that ends early":      {response: zipped(strings.Repeat("hello", 100), 12)},
		"gzip without its checksum": {response: zipped("hello", 4)},
		"gzip that is none":         {response: httptestutil.ResponseWith(200, "plain as day, and long enough", "Content-Encoding: gzip")},
		"gzip of nothing":           {response: httptestutil.ResponseWith(200, "", "Content-Encoding: gzip")},
		"gzip twice":                {response: httptestutil.ResponseWith(200, "hello", "Content-Encoding: gzip, gzip")},
		"deflate":                   {response: httptestutil.ResponseWith(200, "hello", "Content-Encoding: deflate")},
		"gzip asked for":            {response: zipped("hello", 0), fields: []string{"Accept-Encoding: gzip"}},
		"identity asked for":        {response: zipped("hello", 0), fields: []string{"Accept-Encoding: identity"}},
		"nothing asked for":         {response: zipped("hello", 0), fields: []string{"Accept-Encoding: "}},
		"range":                     {response: zipped("hello", 0), fields: []string{"Range: bytes=0-1"}},
		"HEAD":                      {response: "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 30\r\n\r\n", method: http.MethodHead},
		"not modified":              {response: "HTTP/1.1 304 Not Modified\r\nContent-Encoding: gzip\r\n\r\n"},
		"turned off":                {response: zipped("hello", 0), config: &http.Transport{DisableCompression: true}},
	} {
		t.Run(name, func(t *testing.T) {
			testkit.SideBySide(t, func(s *testkit.Scene) {
				w := httptestutil.NewWire(s, func(conn *httptestutil.WireConn) {
					if req := conn.ReadRequest(); req != nil {
						s.Note("asks for %q", req.Header["Accept-Encoding"])
						conn.Write(c.response)
						conn.WaitClosed()
					}
				})
				tr := s.Use(c.config)
				method := c.method
				if method == "" {
					method = http.MethodGet
				}
				resp, err := tr.RoundTrip(testkit.With(testkit.NewRequest(s, method, w.URL(), nil), c.fields...))
				if err != nil {
					s.Fatal(err)
				}
				s.Note("uncompressed %v, length %d, fields %q", resp.Uncompressed, resp.ContentLength, fmt.Sprint(resp.Header))
				s.Response(resp, nil)
			})
		})
	}
}
