package fault_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/testkit"
)

func eachReadLimit(t *testing.T, limit time.Duration, test func(t *testing.T, tr *peerpool.Transport)) {
	eachWay(t, func(tr *peerpool.Transport) *time.Duration { return &tr.BodyReadTimeout },
		func(o *peerpool.PeerOptions, d *time.Duration) { o.BodyReadTimeout = d }, limit, test)
}

// stalls answers with the beginning of a body, and goes on when its client is gone. A request for /empty gets an answer
// without a body.
func stalls(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/empty" {
		return
	}
	if r.URL.Path == "/length" {
		w.Header().Set("Content-Length", "100")
	}
	io.WriteString(w, "beginning")
	testkit.Flush(w)
	<-r.Context().Done()
}

func TestAResponseBodyThatPausesTooLongEnds(t *testing.T) {
	for _, path := range []string{"/length", "/chunked"} {
		for how, read := range map[string]func(io.Reader) error{
			"Read":    func(r io.Reader) error { _, err := io.ReadAll(struct{ io.Reader }{r}); return err },
			"Copy":    func(r io.Reader) error { _, err := io.Copy(new(strings.Builder), r); return err },
			"Discard": func(r io.Reader) error { _, err := io.Copy(io.Discard, r); return err },
			"to a file": func(r io.Reader) error {
				f, err := os.Create(filepath.Join(t.TempDir(), "body"))
				if err == nil {
					defer f.Close()
					_, err = io.Copy(f, r)
				}
				return err
			},
		} {
			t.Run(path+" "+how, func(t *testing.T) {
				eachReadLimit(t, soon, func(t *testing.T, tr *peerpool.Transport) {
					eachServer(t, stalls, tr, func(t *testing.T, s *testkit.Subject, url string) {
						resp, err := s.RoundTrip(testkit.NewRequest(t, "GET", url+path, nil))
						if err != nil {
							t.Fatal(err)
						}
						wantLimit(t, read(resp.Body), peerpool.ErrBodyReadTimeout)
						_, again := resp.Body.Read(make([]byte, 1))
						wantLimit(t, again, peerpool.ErrBodyReadTimeout)
						resp.Body.Close()
						if resp.ProtoMajor == 1 {
							s.Closes("timeout", 1)
						}
						s.Get(url + "/empty") // is served
					})
				})
			})
		}
	}
}

func TestTheLimitOfAReadIsGoneWithItsBody(t *testing.T) {
	t.Parallel()
	slow := func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(longer) // the head may take as long as it likes
		testkit.Flush(w)
		time.Sleep(soon / 10) // so that the body is waited for
		io.WriteString(w, "whole")
	}
	eachReadLimit(t, kept, func(t *testing.T, tr *peerpool.Transport) {
		eachServer(t, slow, tr, func(t *testing.T, s *testkit.Subject, url string) {
			t.Parallel()
			for range 2 {
				if got := s.Get(url); got != "whole" {
					t.Errorf("got %q", got)
				}
			}
			if n := s.Stats().Opened; n != 1 {
				t.Errorf("%d connections were opened, want 1", n)
			}
		})
	})
}

func TestACallerThatPausesBetweenReadsIsNotOutOfTime(t *testing.T) {
	t.Parallel()
	whole := func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, 64<<10)) }
	eachReadLimit(t, kept, func(t *testing.T, tr *peerpool.Transport) {
		eachServer(t, whole, tr, func(t *testing.T, s *testkit.Subject, url string) {
			t.Parallel()
			resp, err := s.RoundTrip(testkit.NewRequest(t, "GET", url, nil))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if _, err := io.ReadFull(resp.Body, make([]byte, 10)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(longer)
			if n, err := io.Copy(io.Discard, resp.Body); n != 64<<10-10 || err != nil {
				t.Errorf("%d bytes, %v", n, err)
			}
		})
	})
}

func TestABodyThatKeepsComingIsNotOutOfTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := httptestutil.NewListener(1 << 10)
		httptestutil.NewOrigin(t, httptestutil.OriginOptions{Listener: ln, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for range 20 {
				io.WriteString(w, "more ")
				testkit.Flush(w)
				time.Sleep(9 * time.Second)
			}
		})})
		s := testkit.Observe(t, &peerpool.Transport{DialContext: ln.Dial, BodyReadTimeout: 10 * time.Second})
		if got := s.Get("http://a.test/"); got != strings.Repeat("more ", 20) {
			t.Errorf("got %q", got)
		}
	})
}
