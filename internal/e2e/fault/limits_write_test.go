package fault_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/testkit"
)

func eachWriteLimit(t *testing.T, limit time.Duration, test func(t *testing.T, tr *peerpool.Transport)) {
	eachWay(t, func(tr *peerpool.Transport) *time.Duration { return &tr.BodyWriteTimeout },
		func(o *peerpool.PeerOptions, d *time.Duration) { o.BodyWriteTimeout = d }, limit, test)
}

// deaf returns a handler that answers nothing and reads only a byte of a request's body until it may. A request for /whole is answered.
func deaf() (handler http.HandlerFunc, letGo func()) {
	done := make(chan struct{}, 1)
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/whole" {
			io.Copy(io.Discard, r.Body)
			io.WriteString(w, "whole")
			return
		}
		r.Body.Read(make([]byte, 1)) // then the server says that it wants the body, if it is asked
		<-done
	}, func() { done <- struct{}{} }
}

func TestARequestBodyThatTheServerDoesNotTakeEnds(t *testing.T) {
	big := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(big, make([]byte, 32<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	bodies := map[string]func(t *testing.T, url string) *http.Request{
		"of known length": func(t *testing.T, url string) *http.Request {
			req := testkit.NewRequest(t, "PUT", url, testkit.Sized(32<<20))
			req.ContentLength = 32 << 20
			req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(testkit.Sized(32 << 20)), nil }
			return req
		},
		"chunked": func(t *testing.T, url string) *http.Request {
			return testkit.NewRequest(t, "PUT", url, testkit.Sized(32<<20))
		},
		"a file": func(t *testing.T, url string) *http.Request {
			f, err := os.Open(big)
			if err != nil {
				t.Fatal(err)
			}
			req := testkit.NewRequest(t, "PUT", url, f)
			req.ContentLength = 32 << 20
			return req
		},
		"after 100 Continue": func(t *testing.T, url string) *http.Request {
			req := testkit.NewRequest(t, "PUT", url, testkit.Sized(32<<20))
			req.Header.Set("Expect", "100-continue")
			return req
		},
	}
	for name, request := range bodies {
		t.Run(name, func(t *testing.T) {
			eachWriteLimit(t, soon, func(t *testing.T, tr *peerpool.Transport) {
				tr.ExpectContinueTimeout = time.Hour
				handler, letGo := deaf()
				eachServer(t, handler, tr, func(t *testing.T, s *testkit.Subject, url string) {
					ctx, report := peerpool.WithReport(t.Context())
					_, err := s.RoundTrip(request(t, url).WithContext(ctx))
					letGo()
					wantLimit(t, err, peerpool.ErrBodyWriteTimeout)
					if attempts := report.Attempts(); len(attempts) != 1 || attempts[0].ErrorType != "timeout" {
						t.Errorf("attempts: %+v", attempts)
					}
					if got := s.Get(url + "/whole"); got != "whole" {
						t.Errorf("the next request got %q", got)
					}
				})
			})
		})
	}
}

func TestARequestBodyThatIsSlowItselfIsNotOutOfTime(t *testing.T) {
	t.Parallel()
	eachWriteLimit(t, kept, func(t *testing.T, tr *peerpool.Transport) {
		handler, _ := deaf()
		eachServer(t, handler, tr, func(t *testing.T, s *testkit.Subject, url string) {
			t.Parallel()
			for range 2 {
				steps := 0
				body := testkit.ReaderFunc(func(p []byte) (int, error) {
					if steps++; steps > 2 {
						return 0, io.EOF
					}
					time.Sleep(longer)
					return copy(p, "slow"), nil
				})
				if got := s.Ok(testkit.NewRequest(t, "POST", url+"/whole", body)); got != "whole" {
					t.Errorf("got %q", got)
				}
			}
			if n := s.Stats().Opened; n != 1 {
				t.Errorf("%d connections were opened, want 1", n)
			}
		})
	})
}

func TestTheWaitFor100ContinueIsNoPauseOfTheBody(t *testing.T) {
	t.Parallel()
	patient := func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(longer)
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "whole")
	}
	eachWriteLimit(t, kept, func(t *testing.T, tr *peerpool.Transport) {
		tr.ExpectContinueTimeout = time.Hour
		eachServer(t, patient, tr, func(t *testing.T, s *testkit.Subject, url string) {
			t.Parallel()
			req := testkit.NewRequest(t, "POST", url, strings.NewReader("hello"))
			req.Header.Set("Expect", "100-continue")
			if got := s.Ok(req); got != "whole" {
				t.Errorf("got %q", got)
			}
		})
	})
}

func TestAResponseThatComesBeforeItsRequestIsSentCanBeRead(t *testing.T) {
	t.Parallel()
	wire := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
		c.ReadHead()
		c.Write("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nearly ")
		time.Sleep(longer)
		c.Write("answer")
		c.Stall()
	})
	s := testkit.Observe(t, &peerpool.Transport{BodyWriteTimeout: kept})
	if got := s.Ok(testkit.NewRequest(t, "POST", wire.URL(), testkit.Sized(32<<20))); got != "early answer" {
		t.Errorf("got %q", got)
	}
	s.Closes("request_unsent", 1)
}
