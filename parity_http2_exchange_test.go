package peerpool_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	xhttp2 "golang.org/x/net/http2"
)

// overHTTP2 starts an origin that speaks HTTP/2 alone, and a Transport that speaks it too.
func (s *scene) overHTTP2(config *http.Transport, handler http.HandlerFunc) (transport, *httptestutil.Origin) {
	s.Helper()
	o := httptestutil.NewOrigin(s, httptestutil.OriginOptions{Handler: handler, CA: httptestutil.NewCA(s), Protocols: versions(overHTTP2)})
	config.TLSClientConfig, config.ForceAttemptHTTP2 = o.ClientTLS(), true
	return s.use(config), o
}

// streamFault notes what programs ask of an error of a stream besides what fault does.
func (s *scene) streamFault(err error) {
	s.Helper()
	s.fault("error", err)
	var stream xhttp2.StreamError
	if errors.As(err, &stream) {
		s.note("stream error %v", stream.Code)
	}
}

func TestAResponseOverHTTP2LooksAsNetHTTPWouldHaveIt(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"text": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") },
		"flushed": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "hel")
			flush(w)
			_, _ = io.WriteString(w, "lo")
		},
		"nothing":     func(http.ResponseWriter, *http.Request) {},
		"no content":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
		"early hints": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); _, _ = io.WriteString(w, "late") },
		"odd status":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(599) },
		"request":     digest,
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
				sideBySide(t, func(s *scene) {
					tr, o := s.overHTTP2(&http.Transport{}, handler)
					var body io.Reader
					if method == http.MethodPost {
						body = io.MultiReader(strings.NewReader("some text"))
					}
					req := newRequest(s, method, o.URL(), body)
					resp, err := tr.RoundTrip(req)
					if err != nil {
						s.streamFault(err)
						return
					}
					s.note("%s %d.%d, TLS %v, uncompressed %v, close %v, the caller's request %v, coding %v", resp.Proto, resp.ProtoMajor,
						resp.ProtoMinor, resp.TLS != nil, resp.Uncompressed, resp.Close, resp.Request == req, resp.TransferEncoding)
					resp.Header.Del("Date")
					resp.Header.Del(httptestutil.HeaderOrigin)
					s.note("%v, %v", resp.Header, resp.Trailer)
					s.response(resp, nil)
					s.note("trailer %v", resp.Trailer)
				})
			})
		}
	}
}

func flush(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }

func TestAnExchangeOverHTTP2FailsAsWithNetHTTP(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"aborted at once": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"aborted within the body": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "some")
			flush(w)
			panic(http.ErrAbortHandler)
		},
		"closed within the body": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "some")
			flush(w)
			closeBelow(r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			sideBySide(t, func(s *scene) {
				tr, o := s.overHTTP2(&http.Transport{MaxResponseHeaderBytes: 10000}, handler)
				resp, err := tr.RoundTrip(newRequest(s, http.MethodPost, o.URL(), nil))
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				s.streamFault(err)
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
			sideBySide(t, func(s *scene) {
				tr, o := s.overHTTP2(&http.Transport{}, func(_ http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
				})
				body := trackBody(c.body())
				req := newRequest(s, http.MethodPost, o.URL(), body)
				req.ContentLength = c.length
				s.do(tr, req)
				body.wantClosed(s)
			})
		})
	}
}

func TestARequestOverHTTP2IsInterruptedAsWithNetHTTP(t *testing.T) {
	stall := map[string]http.HandlerFunc{
		"head": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"body": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "some")
			flush(w)
			<-r.Context().Done()
		},
	}
	for where, handler := range stall {
		t.Run(where+", cancel", func(t *testing.T) {
			sideBySide(t, func(s *scene) {
				tr, o := s.overHTTP2(&http.Transport{}, handler)
				ctx, cancel := context.WithCancel(s.Context())
				go func() { o.WaitRequests(1); cancel() }()
				resp, err := tr.RoundTrip(newRequest(s, http.MethodGet, o.URL(), nil).WithContext(ctx))
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				s.fault("error", err)
				o.WaitOpenConns(1) // it is as good as before
				s.note("%d connections", o.Conns())
			})
		})
	}
	t.Run("ResponseHeaderTimeout", func(t *testing.T) {
		sideBySide(t, func(s *scene) {
			tr, o := s.overHTTP2(&http.Transport{ResponseHeaderTimeout: 50 * time.Millisecond}, stall["head"])
			s.get(tr, o.URL())
		})
	})
}
