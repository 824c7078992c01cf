package http2_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// exchangeCase is an exchange that both Transports must have alike.
type exchangeCase struct {
	patient bool // ExpectContinueTimeout is an hour
	handler http.HandlerFunc
	client  func(s *testkit.Scene, tr testkit.Transport, o *httptestutil.Origin)
	only    int // major version of HTTP; 0: both
}

// exchangeCases are about what goes on during an exchange; parity_http2_exchange_test.go is about its result.
var exchangeCases = map[string]exchangeCase{
	"full duplex": {
		handler: func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).EnableFullDuplex() // HTTP/2 always has it
			testkit.Flush(w)
			for lines := bufio.NewScanner(r.Body); lines.Scan(); {
				fmt.Fprintf(w, "heard %s\n", lines.Text())
				testkit.Flush(w)
			}
		},
		client: func(s *testkit.Scene, tr testkit.Transport, o *httptestutil.Origin) {
			body, mouth := io.Pipe()
			resp, err := tr.RoundTrip(testkit.NewRequest(s, http.MethodPost, o.URL(), body))
			if err != nil {
				s.Fault("no response", err)
				return
			}
			ear := bufio.NewReader(resp.Body)
			for _, word := range []string{"one", "two", "three"} {
				fmt.Fprintln(mouth, word)
				answer, err := ear.ReadString('\n')
				s.Note("%q %v", answer, err)
			}
			mouth.Close()
			s.Response(resp, nil)
		},
	},
	"large bodies both ways": {
		handler: func(w http.ResponseWriter, r *http.Request) {
			text, err := io.ReadAll(r.Body)
			w.Header().Set("X-Error", fmt.Sprint(err))
			_, _ = w.Write(text)
		},
		client: func(s *testkit.Scene, tr testkit.Transport, o *httptestutil.Origin) {
			text := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // 4 MiB: many windows
			resp, err := tr.RoundTrip(testkit.NewRequest(s, http.MethodPut, o.URL(), bytes.NewReader(text)))
			if err != nil {
				s.Fault("no response", err)
				return
			}
			defer resp.Body.Close()
			h := sha256.New()
			n, err := io.Copy(h, resp.Body)
			s.Note("%d bytes, %x, %v, %v", n, h.Sum(nil), err, resp.Header["X-Error"])
		},
	},
	"trailers both ways": {
		handler: func(w http.ResponseWriter, r *http.Request) {
			text, err := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %v %v", text, err, r.Trailer)
			w.Header().Set(http.TrailerPrefix+"X-After", "all")
		},
		client: func(s *testkit.Scene, tr testkit.Transport, o *httptestutil.Origin) {
			req := testkit.NewRequest(s, http.MethodPost, o.URL(), io.MultiReader(strings.NewReader("text")))
			req.Trailer = http.Header{"X-Sum": nil}
			req.Body = io.NopCloser(io.MultiReader(req.Body, testkit.AtEnd(func() { req.Trailer.Set("X-Sum", "4") })))
			resp, err := tr.RoundTrip(req)
			s.Response(resp, err)
			s.Note("%v", resp.Trailer)
		},
	},
	"a body that the server asks for": {
		patient: true,
		handler: testkit.Digest,
		client: func(s *testkit.Scene, tr testkit.Transport, o *httptestutil.Origin) {
			s.Do(tr, testkit.With(testkit.NewRequest(s, http.MethodPost, o.URL(), strings.NewReader("text")), "Expect: 100-continue"))
		},
	},
	"a body that the server does not want": {
		patient: true,
		handler: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusExpectationFailed) },
		client: func(s *testkit.Scene, tr testkit.Transport, o *httptestutil.Origin) {
			body := testkit.TrackBody(testkit.AtEnd(func() { s.Error("the body was read") }))
			req := testkit.With(testkit.NewRequest(s, http.MethodPost, o.URL(), body), "Expect: 100-continue")
			req.ContentLength = 4
			s.Do(tr, req)
			body.WantClosed(s)
		},
	},
	"an early refusal": {
		only: 2, // over HTTP/1.1 it depends on who is faster
		handler: func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "too much", http.StatusRequestEntityTooLarge)
		},
		client: func(s *testkit.Scene, tr testkit.Transport, o *httptestutil.Origin) {
			body := testkit.TrackBody(testkit.Zeros{})
			s.Do(tr, testkit.NewRequest(s, http.MethodPost, o.URL(), body))
			body.WantClosed(s)
			s.Get(tr, o.URL())
			s.Note("%d connections", o.Conns())
		},
	},
	"a slow head": {
		only:    2, // over HTTP/1.1 the server may take the end of the connection for the end of the wait
		handler: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		client: func(s *testkit.Scene, tr testkit.Transport, o *httptestutil.Origin) {
			_, err := getWithin(50*time.Millisecond, s, tr, o)
			s.Fault("http.Client", err)
		},
	},
	"a slow body": {
		only: 2, // over HTTP/1.1 the server may take the end of the connection for the end of the wait
		handler: func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "some")
			testkit.Flush(w)
			<-r.Context().Done()
		},
		client: func(s *testkit.Scene, tr testkit.Transport, o *httptestutil.Origin) {
			s.Response(getWithin(2*time.Second, s, tr, o))
		},
	},
	"Request.Cancel": {
		handler: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		client: func(s *testkit.Scene, tr testkit.Transport, o *httptestutil.Origin) {
			cancel := make(chan struct{})
			req := testkit.NewRequest(s, http.MethodGet, o.URL(), nil)
			//lint:ignore SA1019 callers may still set it
			req.Cancel = cancel
			go func() { o.WaitRequests(1); close(cancel) }()
			_, err := tr.RoundTrip(req)
			s.Note("%v, timeout %v", err, testkit.SaysTimeout(err))
		},
	},
	"a closed body": {
		handler: func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write(make([]byte, 1<<20))
			<-r.Context().Done()
		},
		client: func(s *testkit.Scene, tr testkit.Transport, o *httptestutil.Origin) {
			resp, err := tr.RoundTrip(testkit.NewRequest(s, http.MethodGet, o.URL(), nil))
			if err != nil {
				s.Fault("no response", err)
				return
			}
			n, err := io.ReadFull(resp.Body, make([]byte, 100))
			s.Note("%d, %v, %v, %v", n, err, resp.Body.Close(), resp.Body.Close())
			n, err = resp.Body.Read(make([]byte, 100))
			s.Note("%d, read after close fails: %v", n, err != nil && err != io.EOF)
		},
	},
	"an answer to HEAD": {
		handler: func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Length", "100") },
		client:  nothingToRead(http.MethodHead),
	},
	// Over HTTP/2 net/http calls the body of a 304 that has a length cut off (RFC 9110 section 8.6).
	"a 304 with a length": {
		only: 1,
		handler: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(http.StatusNotModified)
		},
		client: nothingToRead(http.MethodGet),
	},
}

// getWithin sends a GET that has a deadline. With a Timeout of the http.Client, the text of the error depends on which of two
// timers the client notices first.
func getWithin(limit time.Duration, s *testkit.Scene, tr testkit.Transport, o *httptestutil.Origin) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(s.Context(), limit)
	s.Cleanup(cancel)
	return (&http.Client{Transport: tr}).Do(testkit.NewRequest(s, http.MethodGet, o.URL(), nil).WithContext(ctx))
}

func nothingToRead(method string) func(s *testkit.Scene, tr testkit.Transport, o *httptestutil.Origin) {
	return func(s *testkit.Scene, tr testkit.Transport, o *httptestutil.Origin) {
		resp, err := tr.RoundTrip(testkit.NewRequest(s, method, o.URL(), nil))
		s.Response(resp, err)
		n, err := resp.Body.Read(make([]byte, 1))
		s.Note("%d %v, body %v", n, err, resp.Body == http.NoBody)
	}
}

func TestAnExchangeGoesAsWithNetHTTPOverBothVersions(t *testing.T) {
	for name, c := range exchangeCases {
		for major := 1; major <= 2; major++ {
			if c.only != 0 && c.only != major {
				continue
			}
			t.Run(fmt.Sprintf("%s, HTTP/%d", name, major), func(t *testing.T) {
				httptestutil.CheckLeaks(t)
				testkit.SideBySide(t, func(s *testkit.Scene) {
					p := testkit.Versions(testkit.OverHTTP1)
					if major == 2 {
						p = testkit.Versions(testkit.OverHTTP2)
					}
					o := httptestutil.NewOrigin(s, httptestutil.OriginOptions{Handler: c.handler, CA: httptestutil.NewCA(s), Protocols: p})
					config := &http.Transport{TLSClientConfig: o.ClientTLS(), Protocols: p}
					if c.patient {
						config.ExpectContinueTimeout = time.Hour
					}
					c.client(s, s.Use(config), o)
				})
			})
		}
	}
}

// TestAContextThatIsCanceledOverHTTP2IsItsErr checks that the error is the context's Err and not its cause, as with
// net/http.
func TestAContextThatIsCanceledOverHTTP2IsItsErr(t *testing.T) {
	cause := errors.New("the user has left")
	for where, head := range map[string]bool{"awaiting the head": false, "within the body": true} {
		t.Run(where, func(t *testing.T) {
			o := testkit.Http2Origin(t, 100, func(w http.ResponseWriter, r *http.Request) {
				if head {
					testkit.Flush(w)
				}
				<-r.Context().Done()
			})
			s := onHTTP2(t, o, &peerpool.Transport{})
			ctx, cancel := context.WithCancelCause(t.Context())
			go func() { o.WaitRequests(1); cancel(cause) }()
			resp, err := s.RoundTrip(testkit.NewRequest(t, http.MethodGet, o.URL(), nil).WithContext(ctx))
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			if err != context.Canceled {
				t.Errorf("%T %v, want context.Canceled itself", err, err)
			}
			if st := s.Stats(); st.Opened != 1 || st.Idle != 1 {
				t.Errorf("the connection is not as good as before: %+v", st)
			}
		})
	}
}
