package fault_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
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

// soon is a time limit for what never happens. later is longer, and what it is for happens.
const (
	soon  = 20 * time.Millisecond
	later = 5 * soon
)

// wantLimit checks that the error is the one of a limit, and says so to whoever asks.
func wantLimit(t *testing.T, err, want error) {
	t.Helper()
	if err != want {
		t.Fatalf("error is %v (%T), want %v", err, err, want)
	}
	if timeout, ok := err.(net.Error); !ok || !timeout.Timeout() {
		t.Errorf("%v is no timeout", err)
	}
}

// eachWay tries the ways to set a limit: the Transport's, or that of a peer, which takes precedence.
func eachWay(t *testing.T, field func(*peerpool.Transport) *time.Duration, own func(*peerpool.PeerOptions, *time.Duration),
	limit time.Duration, test func(t *testing.T, tr *peerpool.Transport)) {
	t.Run("of the Transport", func(t *testing.T) {
		tr := &peerpool.Transport{}
		*field(tr) = limit
		test(t, tr)
	})
	t.Run("of the peer", func(t *testing.T) {
		var opts peerpool.PeerOptions
		own(&opts, &limit)
		peer, err := peerpool.NewPeer(opts)
		if err != nil {
			t.Fatal(err)
		}
		tr := &peerpool.Transport{PeerFor: func(*http.Request) (*peerpool.Peer, error) { return peer, nil }}
		*field(tr) = time.Hour
		test(t, tr)
	})
}

func eachReadLimit(t *testing.T, limit time.Duration, test func(t *testing.T, tr *peerpool.Transport)) {
	eachWay(t, func(tr *peerpool.Transport) *time.Duration { return &tr.BodyReadTimeout },
		func(o *peerpool.PeerOptions, d *time.Duration) { o.BodyReadTimeout = d }, limit, test)
}

func eachWriteLimit(t *testing.T, limit time.Duration, test func(t *testing.T, tr *peerpool.Transport)) {
	eachWay(t, func(tr *peerpool.Transport) *time.Duration { return &tr.BodyWriteTimeout },
		func(o *peerpool.PeerOptions, d *time.Duration) { o.BodyWriteTimeout = d }, limit, test)
}

// eachServer runs the test with a server of each protocol, which calls handler.
func eachServer(t *testing.T, handler http.HandlerFunc, tr *peerpool.Transport, test func(t *testing.T, s *testkit.Subject, url string)) {
	for name, protocols := range map[string]*http.Protocols{
		"HTTP/1.1":          testkit.Versions(testkit.OverHTTP1),
		"HTTP/1.1 with TLS": testkit.Versions(testkit.OverHTTP1),
		"HTTP/2":            testkit.Versions(testkit.OverHTTP2),
		"hidden socket":     testkit.Versions(testkit.OverHTTP1),
	} {
		t.Run(name, func(t *testing.T) {
			opts := httptestutil.OriginOptions{Handler: handler, Protocols: protocols}
			mine := tr.Clone()
			if name == "HTTP/2" || name == "HTTP/1.1 with TLS" {
				opts.CA = httptestutil.NewCA(t)
			}
			o := httptestutil.NewOrigin(t, opts)
			if opts.CA != nil {
				mine.TLSClientConfig, mine.ForceAttemptHTTP2 = o.ClientTLS(), name == "HTTP/2"
			}
			if name == "hidden socket" {
				mine.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					nc, err := new(net.Dialer).DialContext(ctx, network, addr)
					return struct{ net.Conn }{nc}, err
				}
			}
			test(t, testkit.Observe(t, mine), o.URL())
		})
	}
}

// stalls answers with the beginning of a body, and goes on when its client is gone. A request for /whole is answered.
func stalls(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/whole" {
		io.WriteString(w, "whole")
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
						if got := s.Get(url + "/whole"); got != "whole" {
							t.Errorf("the next request got %q", got)
						}
					})
				})
			})
		}
	}
}

func TestTheLimitOfAReadIsGoneWithItsBody(t *testing.T) {
	slow := func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(later + soon) // the head may take as long as it likes
		testkit.Flush(w)
		time.Sleep(soon / 10) // so that the body is waited for
		io.WriteString(w, "whole")
	}
	eachReadLimit(t, later, func(t *testing.T, tr *peerpool.Transport) {
		eachServer(t, slow, tr, func(t *testing.T, s *testkit.Subject, url string) {
			for range 3 {
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
	whole := func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, 64<<10)) }
	eachReadLimit(t, later, func(t *testing.T, tr *peerpool.Transport) {
		eachServer(t, whole, tr, func(t *testing.T, s *testkit.Subject, url string) {
			resp, err := s.RoundTrip(testkit.NewRequest(t, "GET", url, nil))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if _, err := io.ReadFull(resp.Body, make([]byte, 10)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * later)
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
	eachWriteLimit(t, soon, func(t *testing.T, tr *peerpool.Transport) {
		handler, _ := deaf()
		eachServer(t, handler, tr, func(t *testing.T, s *testkit.Subject, url string) {
			for range 2 {
				steps := 0
				body := testkit.ReaderFunc(func(p []byte) (int, error) {
					if steps++; steps > 3 {
						return 0, io.EOF
					}
					time.Sleep(later)
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
	patient := func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(later)
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "whole")
	}
	eachWriteLimit(t, soon, func(t *testing.T, tr *peerpool.Transport) {
		tr.ExpectContinueTimeout = time.Hour
		eachServer(t, patient, tr, func(t *testing.T, s *testkit.Subject, url string) {
			req := testkit.NewRequest(t, "POST", url, strings.NewReader("hello"))
			req.Header.Set("Expect", "100-continue")
			if got := s.Ok(req); got != "whole" {
				t.Errorf("got %q", got)
			}
		})
	})
}

func TestAResponseThatComesBeforeItsRequestIsSentCanBeRead(t *testing.T) {
	wire := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
		c.ReadHead()
		c.Write("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nearly ")
		time.Sleep(later)
		c.Write("answer")
		c.Stall()
	})
	s := testkit.Observe(t, &peerpool.Transport{BodyWriteTimeout: soon})
	if got := s.Ok(testkit.NewRequest(t, "POST", wire.URL(), testkit.Sized(32<<20))); got != "early answer" {
		t.Errorf("got %q", got)
	}
	s.Closes("request_unsent", 1)
}

func TestAPeersResponseHeaderTimeoutReplacesTheTransports(t *testing.T) {
	silent := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			time.Sleep(later)
			return
		}
		<-r.Context().Done()
	}
	none := time.Duration(0)
	eachServer(t, silent, &peerpool.Transport{ResponseHeaderTimeout: soon}, func(t *testing.T, s *testkit.Subject, url string) {
		_, err := s.RoundTrip(testkit.NewRequest(t, "GET", url+"/", nil))
		if timeout, ok := err.(net.Error); !ok || !timeout.Timeout() || !strings.Contains(err.Error(), "timeout awaiting response headers") {
			t.Errorf("error is %v", err)
		}
		peer, err := peerpool.NewPeer(peerpool.PeerOptions{ResponseHeaderTimeout: &none})
		if err != nil {
			t.Fatal(err)
		}
		req := testkit.NewRequest(t, "GET", url+"/slow", nil)
		s.Ok(req.WithContext(peerpool.WithPeer(req.Context(), peer)))
	})
}

// silentDial returns a Transport whose connections are opened after a while and then say nothing, and how long a
// request to it took to fail.
func silentDial(t *testing.T, tr *peerpool.Transport, opening time.Duration, opts peerpool.PeerOptions) (time.Duration, error) {
	var took time.Duration
	var err error
	synctest.Test(t, func(t *testing.T) {
		ln := httptestutil.NewListener(0)
		httptestutil.NewWireWith(t, httptestutil.WireOptions{Listener: ln}, func(c *httptestutil.WireConn) {
			_, _ = io.Copy(io.Discard, c.Conn())
		})
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			select {
			case <-time.After(opening):
				return ln.Dial(ctx, network, addr)
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		peer, invalid := peerpool.NewPeer(opts)
		if invalid != nil {
			t.Fatal(invalid)
		}
		start := time.Now()
		req := testkit.NewRequest(t, "GET", "https://a.test/", nil)
		_, err = testkit.Observe(t, tr).RoundTrip(req.WithContext(peerpool.WithPeer(req.Context(), peer)))
		took = time.Since(start)
	})
	return took, err
}

func TestEachPartOfADialHasALimit(t *testing.T) {
	limit := func(d time.Duration) *time.Duration { return &d }
	for _, c := range []struct {
		name    string
		tr      *peerpool.Transport
		opening time.Duration
		opts    peerpool.PeerOptions
		want    time.Duration
		err     func(error) bool
	}{
		{"the connect", &peerpool.Transport{}, time.Hour, peerpool.PeerOptions{ConnectTimeout: limit(3 * time.Second)}, 3 * time.Second,
			func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }},
		{"the handshake", &peerpool.Transport{TLSHandshakeTimeout: time.Hour}, 2 * time.Second,
			peerpool.PeerOptions{TLSHandshakeTimeout: limit(3 * time.Second)}, 5 * time.Second,
			func(err error) bool { return err.Error() == "net/http: TLS handshake timeout" }},
		{"all of it", &peerpool.Transport{}, 2 * time.Second, peerpool.PeerOptions{DialTimeout: limit(3 * time.Second)}, 3 * time.Second,
			func(err error) bool { return err == peerpool.ErrDialTimeout }},
		{"all of it, before the connect ends", &peerpool.Transport{}, time.Hour, peerpool.PeerOptions{DialTimeout: limit(3 * time.Second)}, 3 * time.Second,
			func(err error) bool { return err == peerpool.ErrDialTimeout }},
		{"all of it, of the Transport", &peerpool.Transport{DialTimeout: 3 * time.Second}, time.Hour, peerpool.PeerOptions{}, 3 * time.Second,
			func(err error) bool { return err == peerpool.ErrDialTimeout }},
		{"the Transport's are not the peer's", &peerpool.Transport{DialTimeout: time.Second, TLSHandshakeTimeout: time.Second}, 0,
			peerpool.PeerOptions{DialTimeout: limit(0), TLSHandshakeTimeout: limit(4 * time.Second)}, 4 * time.Second,
			func(err error) bool { return err.Error() == "net/http: TLS handshake timeout" }},
		{"more than two minutes", &peerpool.Transport{DialTimeout: 5 * time.Minute}, time.Hour, peerpool.PeerOptions{}, 5 * time.Minute,
			func(err error) bool { return err == peerpool.ErrDialTimeout }},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.tr.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
			took, err := silentDial(t, c.tr, c.opening, c.opts)
			if err == nil || !c.err(err) || took != c.want {
				t.Errorf("%v (%T) after %v, want that after %v", err, err, took, c.want)
			}
			if timeout, ok := err.(net.Error); !ok || !timeout.Timeout() {
				t.Errorf("%v is no timeout", err)
			}
		})
	}
}
