package http2_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/h2server"
	"github.com/peerpool/peerpool/internal/nettest"
	"github.com/peerpool/peerpool/internal/testkit"
	"golang.org/x/net/http2"
)

// These tests concern a caller that is alone on its connection, and reads from it by itself.

// callersReadHTTP2 reports whether a caller reads from an HTTP/2 connection, and no other goroutine does.
func callersReadHTTP2() bool {
	buf := make([]byte, 1<<20)
	stacks := string(buf[:runtime.Stack(buf, true)])
	return strings.Contains(stacks, "internal/http2.(*Conn).readArriving(") && !strings.Contains(stacks, "internal/http2.(*Conn).readAll(")
}

// alone is a connection whose only caller reads by itself, and its server.
type alone struct {
	*testkit.Subject
	*httptestutil.Wire
	// requests are those that the server has got since, and answer tells it what to do next.
	requests chan *h2server.FrameRequest
	answer   chan func(*h2server.FrameConn)
}

// aloneOn runs a test with a caller that is alone on its connection, without TLS and with it.
func aloneOn(t *testing.T, test func(a *alone)) {
	for name, cfg := range map[string]*tls.Config{"plain": nil, "TLS": {NextProtos: []string{"h2"}}} {
		t.Run(name, func(t *testing.T) {
			httptestutil.CheckLeaks(t)
			a := &alone{requests: make(chan *h2server.FrameRequest, 16), answer: make(chan func(*h2server.FrameConn))}
			wire := httptestutil.NewWireWith(t, httptestutil.WireOptions{TLS: cfg}, func(c *httptestutil.WireConn) {
				f := h2server.FramesOn(c.Conn(), c)
				f.Settings()
				for req := f.ReadRequest(); req != nil; req = f.ReadRequest() {
					switch req.Path {
					case "/warm":
						f.Respond(req.Stream, http.StatusOK, "")
						continue
					case "/who":
						body := "others read"
						if callersReadHTTP2() {
							body = "the caller reads"
						}
						f.Respond(req.Stream, http.StatusOK, body)
						continue
					}
					a.requests <- req
					for act := range a.answer {
						if act == nil {
							break
						}
						act(f)
					}
				}
			})
			rt := &peerpool.Transport{}
			if cfg == nil {
				rt.Protocols = testkit.PriorKnowledge()
			} else {
				rt.TLSClientConfig, rt.ForceAttemptHTTP2 = wire.ClientTLS(), true
			}
			a.Wire, a.Subject = wire, testkit.Observe(t, rt)
			a.becomeAlone()
			test(a)
		})
	}
}

// becomeAlone sends requests until their caller reads by itself. The Transport expects some requests one soon after the other
// before that, so most of them ask for nothing that takes long.
func (a *alone) becomeAlone() {
	a.T.Helper()
	nettest.Eventually(a.T, "the caller reads", func() bool {
		for range 30 {
			a.Get(a.URL() + "/warm")
		}
		return a.Get(a.URL()+"/who") == "the caller reads"
	})
}

// result is the outcome of a request.
type result struct {
	body string
	err  error
}

// begin sends a request on another goroutine, and returns once the server has got it.
func (a *alone) begin(req *http.Request) (*h2server.FrameRequest, <-chan result) {
	a.T.Helper()
	done := make(chan result, 1)
	go func() {
		body, err := a.Try(req)
		done <- result{body, err}
	}()
	return <-a.requests, done
}

func (a *alone) request(ctx context.Context, path string) *http.Request {
	return testkit.NewRequest(a.T, http.MethodGet, a.URL()+path, nil).WithContext(ctx)
}

// servedBy checks how many connections there have been.
func (a *alone) servedBy(conns int) {
	a.T.Helper()
	if n := a.Conns(); n != conns {
		a.T.Errorf("%d connections, want %d", n, conns)
	}
}

func TestACallerThatReadsCanBeCanceled(t *testing.T) {
	aloneOn(t, func(a *alone) {
		ctx, cancel := context.WithCancel(t.Context())
		req, done := a.begin(a.request(ctx, "/slow"))
		cancel()
		if r := <-done; !errors.Is(r.err, context.Canceled) {
			t.Errorf("got %+v", r)
		}
		a.answer <- func(f *h2server.FrameConn) {
			if code, ok := f.AwaitReset(req.Stream); !ok || code != http2.ErrCodeCancel {
				t.Errorf("the stream was reset with %v, %v", code, ok)
			}
		}
		a.answer <- nil
		a.becomeAlone()
		a.servedBy(1)
	})
}

func TestACallerThatReadsHeedsItsTimeLimits(t *testing.T) {
	aloneOn(t, func(a *alone) {
		a.SetLimits(peerpool.Limits{ResponseHeaderTimeout: 20 * time.Millisecond})
		_, done := a.begin(a.request(t.Context(), "/slow"))
		var timeout interface{ Timeout() bool }
		if r := <-done; !errors.As(r.err, &timeout) || !timeout.Timeout() {
			t.Errorf("got %+v", r)
		}
		a.SetLimits(peerpool.Limits{}) // the requests that are answered may take any time
		a.answer <- nil
		a.becomeAlone()
		a.servedBy(1)
	})
}

func TestACallerThatReadsServesThoseWhoComeLater(t *testing.T) {
	aloneOn(t, func(a *alone) {
		first, slow := a.begin(a.request(t.Context(), "/slow"))
		quick := make(chan result, 1)
		go func() {
			body, err := a.Try(a.request(t.Context(), "/quick"))
			quick <- result{body, err}
		}()
		a.answer <- func(f *h2server.FrameConn) { f.Respond(f.ReadRequest().Stream, http.StatusOK, "quick") }
		if r := <-quick; r.body != "quick" {
			t.Errorf("got %+v", r)
		}
		a.answer <- func(f *h2server.FrameConn) { f.Respond(first.Stream, http.StatusOK, "slow") }
		a.answer <- nil
		if r := <-slow; r.body != "slow" {
			t.Errorf("got %+v", r)
		}
		a.servedBy(1)
	})
}

func TestOthersAreServedWhenACallerThatReadsGivesUp(t *testing.T) {
	aloneOn(t, func(a *alone) {
		ctx, cancel := context.WithCancel(t.Context())
		_, first := a.begin(a.request(ctx, "/first"))
		second := make(chan result, 1)
		go func() {
			body, err := a.Try(a.request(t.Context(), "/second"))
			second <- result{body, err}
		}()
		stream := make(chan uint32, 1)
		a.answer <- func(f *h2server.FrameConn) { stream <- f.ReadRequest().Stream }
		cancel()
		if r := <-first; !errors.Is(r.err, context.Canceled) {
			t.Errorf("got %+v", r)
		}
		a.answer <- func(f *h2server.FrameConn) { f.Respond(<-stream, http.StatusOK, "second") }
		a.answer <- nil
		if r := <-second; r.body != "second" {
			t.Errorf("got %+v", r)
		}
		a.servedBy(1)
	})
}

// Nobody reads between the requests of a caller that reads by itself. So the Transport looks at what has arrived before it
// sends the next request: the server may have ended the connection, and a POST is not sent again.
func TestNoRequestIsSentOnAConnectionThatEndedWhileNobodyRead(t *testing.T) {
	for name, end := range map[string]func(f *h2server.FrameConn, stream uint32){
		"close":  func(f *h2server.FrameConn, stream uint32) { f.Close() },
		"goaway": func(f *h2server.FrameConn, stream uint32) { f.GoAway(stream, http2.ErrCodeNo) },
	} {
		t.Run(name, func(t *testing.T) {
			aloneOn(t, func(a *alone) {
				req, done := a.begin(a.request(t.Context(), "/last"))
				a.answer <- func(f *h2server.FrameConn) { f.Respond(req.Stream, http.StatusOK, "last") }
				if r := <-done; r.body != "last" {
					t.Fatalf("got %+v", r)
				}
				a.answer <- func(f *h2server.FrameConn) { end(f, req.Stream) }
				a.answer <- nil
				post := testkit.NewRequest(t, http.MethodPost, a.URL()+"/warm", strings.NewReader("once"))
				post.GetBody = nil
				if _, err := a.Try(post); err != nil {
					t.Error(err)
				}
				a.servedBy(2)
			})
		})
	}
}

func TestACallerThatReadsGetsALongBody(t *testing.T) {
	aloneOn(t, func(a *alone) {
		req, done := a.begin(a.request(t.Context(), "/long"))
		parts := []string{strings.Repeat("a", 16<<10), strings.Repeat("b", 3), strings.Repeat("c", 9<<10)}
		a.answer <- func(f *h2server.FrameConn) {
			f.Head(req.Stream, http.StatusOK, false)
			for i, part := range parts {
				f.Data(req.Stream, part, i == len(parts)-1)
			}
		}
		a.answer <- nil
		if r := <-done; r.body != strings.Join(parts, "") || r.err != nil {
			t.Errorf("got %d bytes, %v", len(r.body), r.err)
		}
		a.servedBy(1)
	})
}

// A caller may take its time with a response. The Transport still answers the server meanwhile.
func TestAPingIsAnsweredWhileACallerDoesNotReadItsBody(t *testing.T) {
	aloneOn(t, func(a *alone) {
		got := make(chan *http.Response, 1)
		go func() {
			resp, err := a.RoundTrip(a.request(t.Context(), "/slow"))
			if err != nil {
				t.Error(err)
			}
			got <- resp
		}()
		req := <-a.requests
		a.answer <- func(f *h2server.FrameConn) { f.Head(req.Stream, http.StatusOK, false) }
		resp := <-got
		a.answer <- func(f *h2server.FrameConn) {
			f.Raw(http2.FramePing, 0, 0, []byte("are you?"))
			if f.Await(http2.FramePing, 0) == nil {
				t.Error("no answer")
			}
			f.Data(req.Stream, "body", true)
		}
		a.answer <- nil
		if body := testkit.ReadBody(t, resp); body != "body" {
			t.Errorf("got %q", body)
		}
		a.servedBy(1)
	})
}
