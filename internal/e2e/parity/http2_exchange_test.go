package parity_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/peerpool/peerpool/internal/testkit"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

func TestAResponseOverHTTP2LooksAsNetHTTPWouldHaveIt(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"text": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") },
		"flushed": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "hel")
			testkit.Flush(w)
			_, _ = io.WriteString(w, "lo")
		},
		"nothing":     func(http.ResponseWriter, *http.Request) {},
		"no content":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
		"early hints": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); _, _ = io.WriteString(w, "late") },
		"odd status":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(599) },
		"request":     testkit.Digest,
		"gzip": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, body, _ := strings.Cut(zipped("hello", 0), "\r\n\r\n")
			_, _ = io.WriteString(w, body)
		},
		"bad gzip": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, "none, really none")
		},
		"trailer": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "X-Announced")
			_, _ = io.WriteString(w, "hello")
			w.Header().Set("X-Announced", "1")
			w.Header().Set(http.TrailerPrefix+"X-More", "2")
		},
		"too short": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9")
			_, _ = io.WriteString(w, "hello")
		},
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
			t.Run(name+", "+method, func(t *testing.T) {
				testkit.SideBySide(t, func(s *testkit.Scene) {
					tr, o := s.OverHTTP2(&http.Transport{}, handler)
					var body io.Reader
					if method == http.MethodPost {
						body = io.MultiReader(strings.NewReader("some text"))
					}
					req := testkit.NewRequest(s, method, o.URL(), body)
					resp, err := tr.RoundTrip(req)
					if err != nil {
						s.StreamFault(err)
						return
					}
					s.Note("%s %d.%d, TLS %v, uncompressed %v, close %v, the caller's request %v, coding %v", resp.Proto, resp.ProtoMajor,
						resp.ProtoMinor, resp.TLS != nil, resp.Uncompressed, resp.Close, resp.Request == req, resp.TransferEncoding)
					resp.Header.Del("Date")
					resp.Header.Del(httptestutil.HeaderOrigin)
					s.Note("%v, %v", resp.Header, resp.Trailer)
					s.Response(resp, nil)
					s.Note("trailer %v", resp.Trailer)
				})
			})
		}
	}
}

func TestAnExchangeOverHTTP2FailsAsWithNetHTTP(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"aborted at once": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"aborted within the body": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "some")
			testkit.Flush(w)
			panic(http.ErrAbortHandler)
		},
		"closed within the body": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "some")
			testkit.Flush(w)
			closeBelow(r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			testkit.SideBySide(t, func(s *testkit.Scene) {
				tr, o := s.OverHTTP2(&http.Transport{MaxResponseHeaderBytes: 10000}, handler)
				resp, err := tr.RoundTrip(testkit.NewRequest(s, http.MethodPost, o.URL(), nil))
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				s.StreamFault(err)
			})
		})
	}
}

// closeBelow closes the connection that a request has come on.
func closeBelow(r *http.Request) {
	if o, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok {
		o.Close()
	}
	<-r.Context().Done()
}

func TestABodyOverHTTP2ThatCannotBeSentFailsAsWithNetHTTP(t *testing.T) {
	errBody := errors.New("the disk is gone")
	for name, c := range map[string]struct {
		body   func() io.Reader
		length int64
	}{
		"fails at once":           {func() io.Reader { return brokenBody("", errBody) }, -1},
		"fails in between":        {func() io.Reader { return brokenBody("some", errBody) }, -1},
		"shorter than its length": {func() io.Reader { return io.MultiReader(strings.NewReader("some")) }, 9},
		"longer than its length":  {func() io.Reader { return io.MultiReader(strings.NewReader("some more")) }, 4},
	} {
		t.Run(name, func(t *testing.T) {
			testkit.SideBySide(t, func(s *testkit.Scene) {
				tr, o := s.OverHTTP2(&http.Transport{}, func(_ http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
				})
				body := testkit.TrackBody(c.body())
				req := testkit.NewRequest(s, http.MethodPost, o.URL(), body)
				req.ContentLength = c.length
				s.Do(tr, req)
				body.WantClosed(s)
			})
		})
	}
}

func TestARequestOverHTTP2IsInterruptedAsWithNetHTTP(t *testing.T) {
	stall := map[string]http.HandlerFunc{
		"head": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"body": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "some")
			testkit.Flush(w)
			<-r.Context().Done()
		},
	}
	for where, handler := range stall {
		t.Run(where+", cancel", func(t *testing.T) {
			testkit.SideBySide(t, func(s *testkit.Scene) {
				tr, o := s.OverHTTP2(&http.Transport{}, handler)
				ctx, cancel := context.WithCancel(s.Context())
				go func() { o.WaitRequests(1); cancel() }()
				resp, err := tr.RoundTrip(testkit.NewRequest(s, http.MethodGet, o.URL(), nil).WithContext(ctx))
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				s.Fault("error", err)
				o.WaitOpenConns(1) // it is as good as before
				s.Note("%d connections", o.Conns())
			})
		})
	}
	t.Run("ResponseHeaderTimeout", func(t *testing.T) {
		testkit.SideBySide(t, func(s *testkit.Scene) {
			tr, o := s.OverHTTP2(&http.Transport{ResponseHeaderTimeout: 50 * time.Millisecond}, stall["head"])
			s.Get(tr, o.URL())
		})
	})
}
