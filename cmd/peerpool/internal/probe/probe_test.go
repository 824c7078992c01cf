package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/nettest"
	"golang.org/x/net/http2"
)

func answerX(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") }

// foundInBubble probes a server in simulated time, so that each limit is found exactly. serve starts the server.
func foundInBubble(t *testing.T, target string, o Options, serve func(t *testing.T, ln net.Listener)) *Report {
	t.Helper()
	r := new(Report)
	synctest.Test(t, func(t *testing.T) {
		ln := httptestutil.NewListener(1 << 10)
		serve(t, ln)
		o.Dial = ln.Dial
		r = found(t, target, o)
	})
	return r
}

func TestTheProbeFindsWhatGosServerIsSetTo(t *testing.T) {
	t.Parallel()
	r := foundInBubble(t, "https://127.0.0.1/", Options{TLS: &tls.Config{InsecureSkipVerify: true}}, func(t *testing.T, ln net.Listener) {
		s := httptest.NewUnstartedServer(http.HandlerFunc(answerX))
		s.Listener.Close()
		s.Listener = ln
		s.Config.ErrorLog = log.New(io.Discard, "", 0) // it would report handshakes without a request
		s.EnableHTTP2 = true
		s.Config.IdleTimeout = 1500 * time.Millisecond
		s.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 7}
		s.StartTLS()
		t.Cleanup(s.Close)
	})
	if r.TLS.Version != "TLS 1.3" || !r.TLS.Resumes || !slices.Equal(r.TLS.Protocols, []string{"http/1.1", "h2"}) {
		t.Errorf("%+v", r.TLS)
	}
	if h := r.HTTP2; h.Status != 200 || h.MaxStreams != 7 || !h.PingsTolerated || h.Idle.Seconds != 1.5 {
		t.Errorf("%+v, %+v", h, h.Idle)
	}
	if r.HTTP1.Idle != nil {
		t.Errorf("HTTP/1.1 was measured too, for nobody: %+v", r.HTTP1.Idle)
	}
}

// plainServer returns a function that starts Go's server without TLS, with the given idle limit.
func plainServer(idle time.Duration) func(t *testing.T, ln net.Listener) {
	return func(t *testing.T, ln net.Listener) {
		s := &http.Server{Handler: http.HandlerFunc(answerX), IdleTimeout: idle}
		go s.Serve(ln) // ends with Close
		t.Cleanup(func() { s.Close() })
	}
}

func TestTheIdleLimitOfAnHTTP1ServerIsFound(t *testing.T) {
	t.Parallel()
	r := foundInBubble(t, "http://127.0.0.1/", Options{}, plainServer(2*time.Second))
	if i := r.HTTP1.Idle; i.End != "FIN" || i.Seconds != 2 {
		t.Errorf("%+v", i)
	}
}

func TestALimitBeyondWhatWasWaitedIsReportedAsSuch(t *testing.T) {
	t.Parallel()
	r := foundInBubble(t, "http://127.0.0.1/", Options{MaxWait: 300 * time.Millisecond}, plainServer(0))
	if i := r.HTTP1.Idle; i.End != "" || i.Seconds != 0 || i.Waited != 0.3 {
		t.Errorf("%+v", i)
	}
	if got := settingsOf(r)["IdleConnTimeout"]; got != "300 * time.Millisecond" {
		t.Errorf("IdleConnTimeout = %s", got)
	}
}

// forgetful answers on a connection until it has idled for longer than limit. Then the next request gets no answer, as behind
// a device that has forgotten the connection.
func forgetful(limit time.Duration) func(t *testing.T, ln net.Listener) {
	return func(t *testing.T, ln net.Listener) {
		httptestutil.NewWireWith(t, httptestutil.WireOptions{Listener: ln}, func(c *httptestutil.WireConn) {
			for last := time.Now(); c.ReadRequest() != nil && time.Since(last) <= limit; last = time.Now() {
				c.Write(httptestutil.Response("x"))
			}
			c.Reset()
		})
	}
}

func TestAConnectionThatIsForgottenInSilenceIsFoundByDoublingAndHalving(t *testing.T) {
	t.Parallel()
	const limit = 1300 * time.Millisecond
	r := foundInBubble(t, "http://127.0.0.1/", Options{MaxWait: 3 * time.Second}, forgetful(limit))
	if i := r.HTTP1.Idle; i.End != silence || i.Seconds > limit.Seconds() || i.Seconds < 0.9*limit.Seconds() {
		t.Errorf("%+v", i)
	}
}

func TestAServerThatKeepsNoConnectionIsKnown(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(answerX))
	s.Config.SetKeepAlivesEnabled(false)
	s.Start()
	defer s.Close()
	r := found(t, s.URL, Options{})
	if r.HTTP1.KeepsAlive || r.HTTP1.MaxRequests != 1 || settingsOf(r)["DisableKeepAlives"] != "true" {
		t.Errorf("%+v, %v", r.HTTP1, r.Settings)
	}
}

// If the probe has not seen a connection end after one request, it does not say so: a body may be long, or the bytes behind an
// answer may be none.
func TestAConnectionThatWasNotTriedTwiceDoesNotCountAsClosed(t *testing.T) {
	t.Parallel()
	answer := httptestutil.Response("x")
	for name, script := range map[string]httptestutil.Script{
		"bytes behind each answer": httptestutil.Replies(answer+"more", answer+"more"),
		"no second answer":         httptestutil.ReplyThenStall(answer),
		"a body without an end":    httptestutil.ReplyThenStall("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"),
		"one request asked for":    httptestutil.Replies(answer),
	} {
		t.Run(name, func(t *testing.T) {
			r := new(Report)
			synctest.Test(t, func(t *testing.T) {
				ln := httptestutil.NewListener(1 << 10)
				httptestutil.NewWireWith(t, httptestutil.WireOptions{Listener: ln, Bound: time.Hour}, script)
				o := Options{URL: &url.URL{Scheme: "http", Host: "127.0.0.1"}, MaxWait: time.Second, MaxRequests: 10, Dial: ln.Dial}
				if name == "one request asked for" {
					o.MaxRequests = 1
				}
				r, _ = Run(t.Context(), o) // some of these stop the probe
			})
			if h := r.HTTP1; h == nil || h.MaxRequests != 0 || settingsOf(r)["DisableKeepAlives"] != "" {
				t.Errorf("%+v, %v", h, r.Settings)
			}
		})
	}
}

// probing runs a probe that is expected to stop.
func probing(t *testing.T, target string, o Options) (*Report, error) {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	o.URL, o.MaxWait, o.MaxRequests = u, time.Second, 10
	return Run(t.Context(), o)
}

func TestTheProbeStopsWhereItIsUnwelcome(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]int{"429": 429, "403 after an answer": 403} {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int32
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !strings.HasPrefix(r.UserAgent(), "peerpool-probe") || r.Method != "GET" {
					t.Errorf("%s from %s", r.Method, r.UserAgent())
				}
				if requests.Add(1) > 3 {
					w.WriteHeader(status)
				}
			}))
			defer s.Close()
			r, err := probing(t, s.URL, Options{})
			if !errors.Is(err, ErrUnwelcome) || r.Stopped == "" || requests.Load() != 4 || r.Requests != 4 {
				t.Errorf("%v after %d requests, %+v", err, requests.Load(), r)
			}
		})
	}
}

func TestASiteThatIsForbiddenThroughoutCanBeMeasured(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }))
	defer s.Close()
	if r, err := probing(t, s.URL, Options{}); err != nil || !r.HTTP1.KeepsAlive {
		t.Errorf("%v, %+v", err, r)
	}
}

func TestABodyWithoutAnEndIsNotReadToItsEndAndAskedForOnce(t *testing.T) {
	t.Parallel()
	var gets, heads atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			heads.Add(1)
			return
		}
		gets.Add(1)
		for err := error(nil); err == nil; {
			_, err = w.Write(make([]byte, 32<<10))
		}
	}))
	defer s.Close()
	r, err := probing(t, s.URL, Options{})
	if err != nil || !r.HTTP1.KeepsAlive || r.HTTP1.Tried != 10 || r.HTTP1.Idle == nil {
		t.Errorf("%v, %+v", err, r.HTTP1)
	}
	if gets.Load() != 1 || heads.Load() == 0 {
		t.Errorf("%d GET and %d HEAD requests", gets.Load(), heads.Load())
	}
}

func TestAnInterimResponseIsNotTakenForTheAnswer(t *testing.T) {
	t.Parallel()
	r := foundInBubble(t, "http://127.0.0.1/", Options{}, func(t *testing.T, ln net.Listener) {
		httptestutil.NewWireWith(t, httptestutil.WireOptions{Listener: ln}, func(c *httptestutil.WireConn) {
			for range 4 {
				if c.ReadRequest() == nil {
					return
				}
				c.Write("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + httptestutil.Response("x"))
			}
		})
	})
	if h := r.HTTP1; h.Status != 200 || h.MaxRequests != 4 || r.Stopped != "" {
		t.Errorf("%+v, stopped %q", h, r.Stopped)
	}
}

func TestARequestWithoutAnAnswerCountsAsSent(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer s.Close()
	if r, err := probing(t, s.URL, Options{}); err == nil || r.Requests != 1 {
		t.Errorf("%v, %+v", err, r)
	}
}

func TestALimitTooShortToMeasureIsNotTakenForNone(t *testing.T) {
	for _, limit := range []float64{0, 0.001, 0.01} {
		if d := margin(limit); d <= 0 {
			t.Errorf("IdleConnTimeout is %v for a limit of %v s, which means no limit", d, limit)
		}
	}
}

func TestAnAddressThatDoesNotAnswerIsReported(t *testing.T) {
	t.Parallel()
	r, err := probing(t, "http://"+nettest.RefusingAddr(t), Options{})
	if err == nil || len(r.Addresses) != 1 || r.Addresses[0].Error == "" {
		t.Errorf("%v, %+v", err, r)
	}
}

func TestTheEndOfItsContextEndsAProbe(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(answerX))
	defer s.Close()
	u, _ := url.Parse(s.URL)
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	r, err := Run(ctx, Options{URL: u, MaxWait: time.Hour, MaxRequests: 2, Progress: func(what string, _ time.Duration) {
		if strings.Contains(what, "idle") {
			time.AfterFunc(time.Millisecond, func() { cancel(enough) })
		}
	}})
	if err != enough || r.HTTP1.Tried != 2 || r.Stopped != "enough" {
		t.Errorf("%v, %+v", err, r)
	}
}

// countsPings speaks HTTP/2 and ends a connection with its third ping, as gRPC servers do with clients that ping more often
// than every five minutes.
func countsPings(nc net.Conn) {
	defer nc.Close()
	if _, err := io.ReadFull(nc, make([]byte, len(http2.ClientPreface))); err != nil {
		return // a handshake was all that was wanted
	}
	f := http2.NewFramer(nc, nc)
	_ = f.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 100})
	seen := 0
	for {
		got, err := f.ReadFrame()
		if err != nil {
			return
		}
		switch got := got.(type) {
		case *http2.HeadersFrame:
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: got.StreamID, BlockFragment: []byte{0x88}, EndHeaders: true})
			_ = f.WriteData(got.StreamID, true, nil) // as some servers end the answer to a HEAD
		case *http2.PingFrame:
			if seen++; seen == 3 {
				_ = f.WriteGoAway(1, http2.ErrCodeEnhanceYourCalm, []byte("too_many_pings"))
				return
			}
			_ = f.WritePing(true, got.Data)
		}
	}
}

func TestAServerThatDoesNotTolerateThePingsIsKnown(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(nil)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{NextProtos: []string{"h2"}}
	s.Config.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){
		"h2": func(_ *http.Server, c *tls.Conn, _ http.Handler) { countsPings(c) },
	}
	s.StartTLS()
	defer s.Close()
	r, err := probing(t, s.URL, Options{TLS: &tls.Config{InsecureSkipVerify: true}})
	if err != nil {
		t.Fatal(err)
	}
	if h := r.HTTP2; h.PingsTolerated || h.Pings != 2 || h.GoAway != "ENHANCE_YOUR_CALM" || h.MaxStreams != 100 {
		t.Errorf("%+v", h)
	}
	if got := settingsOf(r)["HTTP2"]; got != "&http.HTTP2Config{SendPingTimeout: 5 * time.Minute}" {
		t.Errorf("HTTP2 = %s", got)
	}
}

func TestHintsAreRead(t *testing.T) {
	for field, want := range map[string][2]int{
		"":                      {-1, -1},
		"timeout=5":             {5, -1},
		"timeout=5, max=100":    {5, 100},
		"max=0,timeout= 7":      {7, 0},
		"timeout=-1, max=x, =3": {-1, -1},
	} {
		if timeout, limit := hints(field); timeout != want[0] || limit != want[1] {
			t.Errorf("%q: %d, %d, want %v", field, timeout, limit, want)
		}
	}
}
