package upload_test

//lint:file-ignore SA1019 programs still use what is deprecated, so it is tested

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	"golang.org/x/net/http2"
)

// sharedFile is what the bodies of all attempts read from, with one offset, as an SDK's do: its GetBody rewinds the file.
type sharedFile struct {
	data   []byte
	takes  time.Duration // a Read, which then moves the offset
	offset atomic.Int64
	latest *watchedBody
}

func (f *sharedFile) body() *watchedBody {
	f.latest = &watchedBody{read: func(p []byte) (int, error) {
		time.Sleep(f.takes)
		n := copy(p[:min(len(p), 1<<10)], f.data[f.offset.Load():])
		f.offset.Add(int64(n))
		if n == 0 {
			return 0, io.EOF
		}
		return n, nil
	}}
	return f.latest
}

// again is a GetBody that checks whether the previous body is no longer in use.
func (f *sharedFile) again(t *testing.T) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		if pending := f.latest.take(); pending > 0 || f.latest.closings() != 1 {
			t.Errorf("GetBody is called with %d Reads of the last body under way, and %d Closes", pending, f.latest.closings())
		}
		f.offset.Store(0)
		return f.body(), nil
	}
}

func (b *watchedBody) closings() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closes
}

// failsOnce serves requests by digest, but for the first one with a body, of which it reads a little, and a second later
// fails.
func failsOnce(fail http.HandlerFunc) http.HandlerFunc {
	var failed atomic.Bool
	return func(w http.ResponseWriter, req *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		if req.ContentLength != 0 && !failed.Swap(true) {
			drainUpTo(req, 4)
			time.Sleep(time.Second)
			fail(w, req)
			return
		}
		body, _ := io.ReadAll(req.Body)
		io.WriteString(w, testkit.DigestOf(string(body), 0))
	}
}

func misdirected(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusMisdirectedRequest)
}

// failures are the ways in which a request fails that is then sent again.
var failures = map[string]http.HandlerFunc{"stale": leaves, "misdirected": misdirected}

// TestABodyIsHadAgainOnlyWhenNobodyReadsItAnyMore checks that the Transport calls GetBody only after the last Read of the
// previous body has returned, however long that takes. Otherwise the server would get a body with a hole.
func TestABodyIsHadAgainOnlyWhenNobodyReadsItAnyMore(t *testing.T) {
	for _, p := range []protocol{inHTTP1, inHTTP2} {
		for why, fail := range failures {
			for _, takes := range []time.Duration{20 * time.Millisecond, 10 * time.Second} {
				t.Run(p.name+"/"+why+"/"+takes.String(), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						s := testkit.Observe(t, p.bubbleServer(t, failsOnce(fail)))
						s.Get("http://example.test/")
						f := &sharedFile{data: bytes.Repeat([]byte("0123456789abcdef"), 1<<10), takes: takes}
						req := testkit.NewRequest(t, http.MethodPut, "http://example.test/", f.body())
						req.GetBody = f.again(t)
						if got := s.Ok(req); got != testkit.DigestOf(string(f.data), 0) {
							t.Error("the server got another body")
						}
						s.Events.WantRetries(t, why)
					})
				})
			}
		}
	}
}

// TestARequestIsNotSentAgainWhileItsBodyIsInUse checks that the request fails when its context ends, and that its error
// says why.
func TestARequestIsNotSentAgainWhileItsBodyIsInUse(t *testing.T) {
	for _, p := range []protocol{inHTTP1, inHTTP2} {
		for why, fail := range failures {
			for what, hold := range map[string]func(b *watchedBody, release chan struct{}){
				"Read": func(b *watchedBody, release chan struct{}) {
					b.read = func(p []byte) (int, error) {
						if b.reads > 1 {
							<-release
						}
						return copy(p, "some"), nil
					}
				},
				"Close": func(b *watchedBody, release chan struct{}) {
					b.read, b.close = kibs(time.Millisecond), func() error { <-release; return nil }
				},
			} {
				for how, end := range map[string]struct {
					arm     func(*peerpool.Transport, *http.Request) any
					timeout bool
				}{
					"canceled": {arm: canceledAfter(time.Minute)},
					"out of time": {timeout: true, arm: func(_ *peerpool.Transport, req *http.Request) any {
						ctx, cancel := context.WithTimeout(req.Context(), time.Minute)
						time.AfterFunc(time.Hour, cancel)
						return req.WithContext(ctx)
					}},
					"canceled by CancelRequest": {arm: func(tr *peerpool.Transport, req *http.Request) any {
						time.AfterFunc(time.Minute, func() { tr.CancelRequest(req) })
						return req
					}},
					"out of its client's time": {timeout: true, arm: func(tr *peerpool.Transport, req *http.Request) any {
						return &http.Client{Transport: tr, Timeout: time.Minute}
					}},
				} {
					t.Run(p.name+"/"+why+"/"+what+"/"+how, func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							s := testkit.Observe(t, p.bubbleServer(t, failsOnce(fail)))
							s.Get("http://example.test/")
							b, release := new(watchedBody), make(chan struct{})
							defer close(release)
							hold(b, release)
							req := testkit.NewRequest(t, http.MethodPut, "http://example.test/", b)
							req.GetBody = func() (io.ReadCloser, error) {
								t.Error("GetBody is called")
								return nil, io.ErrUnexpectedEOF
							}
							start, send := time.Now(), s.RoundTrip
							switch armed := end.arm(s.Transport, req).(type) {
							case *http.Request:
								req = armed
							case *http.Client:
								send = armed.Do
							}
							_, err := send(req)
							if took := time.Since(start); took != time.Minute {
								t.Errorf("failed after %v", took)
							}
							if err == nil || !strings.Contains(err.Error(), "not sent again") {
								t.Fatalf("failed with %v", err)
							}
							var timeout interface{ Timeout() bool }
							if is := errors.As(err, &timeout) && timeout.Timeout(); is != end.timeout {
								t.Errorf("%v: a timeout is %v", err, is)
							}
						})
					})
				}
			}
		}
	}
}

// TestABodyThatNobodyHasReadIsSentAgainWithoutGetBody checks that the Transport sends an unread body again. The body has
// not changed, so the Transport does not close it between the attempts.
func TestABodyThatNobodyHasReadIsSentAgainWithoutGetBody(t *testing.T) {
	for _, p := range []protocol{inHTTP1, inHTTP2} {
		t.Run(p.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var gone atomic.Bool
				tr := p.bubbleServer(t, func(w http.ResponseWriter, req *http.Request) {
					if req.ContentLength != 0 && !gone.Swap(true) {
						leaves(w, req)
					}
					body, _ := io.ReadAll(req.Body)
					io.WriteString(w, testkit.DigestOf(string(body), 0))
				})
				tr.ExpectContinueTimeout = time.Hour
				s := testkit.Observe(t, tr)
				s.Get("http://example.test/")
				f := &sharedFile{data: bytes.Repeat([]byte("0123456789abcdef"), 1<<10)}
				req := testkit.With(testkit.NewRequest(t, http.MethodPut, "http://example.test/", f.body()), "Expect: 100-continue")
				if got := s.Ok(req); got != testkit.DigestOf(string(f.data), 0) {
					t.Error("the server got another body")
				}
				s.Events.WantRetries(t, "stale")
				if n := f.latest.closings(); n != 1 {
					t.Errorf("closed %d times", n)
				}
			})
		})
	}
}

// TestARegisteredProtocolThatHasReadABodyHasStoppedBeforeItIsHadAgain checks the same for a registered RoundTripper that
// returns while a goroutine of its own still reads the body.
func TestARegisteredProtocolThatHasReadABodyHasStoppedBeforeItIsHadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := inHTTP1.bubbleServer(t, failsOnce(misdirected))
		tr.RegisterProtocol("http", testkit.RoundTripperFunc(func(req *http.Request) (*http.Response, error) {
			go io.Copy(io.Discard, req.Body)
			time.Sleep(time.Second)
			return nil, http.ErrSkipAltProtocol
		}))
		s := testkit.Observe(t, tr)
		f := &sharedFile{data: bytes.Repeat([]byte("0123456789abcdef"), 1<<10), takes: 10 * time.Second}
		req := testkit.NewRequest(t, http.MethodPut, "http://example.test/", f.body())
		req.GetBody = f.again(t)
		resp, err := s.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	})
}

// TestABodyIsHadAgainAfterARefusalOnlyWhenNobodyReadsItAnyMore lets the server refuse the stream, or send GOAWAY, while the
// Transport is reading the body.
func TestABodyIsHadAgainAfterARefusalOnlyWhenNobodyReadsItAnyMore(t *testing.T) {
	for name, refuse := range map[string]func(p *testkit.Peer, stream uint32){
		"REFUSED_STREAM": func(p *testkit.Peer, stream uint32) { p.Reset(stream, http2.ErrCodeRefusedStream) },
		"GOAWAY":         func(p *testkit.Peer, stream uint32) { p.GoAway(stream-2, http2.ErrCodeNo) },
	} {
		t.Run(name, func(t *testing.T) {
			testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
				p := h.Used()
				f := &sharedFile{data: bytes.Repeat([]byte("0123456789abcdef"), 1<<8), takes: 2 * time.Second}
				req := h.Request(http.MethodPost, "x", f.body())
				req.GetBody = f.again(t)
				call := h.Start(req)
				stream := p.Request().Stream
				synctest.Wait()
				refuse(p, stream)
				if name == "GOAWAY" {
					time.Sleep(3 * time.Second) // the Read that is under way
					p = h.Welcome()
				}
				again := p.Request()
				if body, ok := p.ReadBody(again.Stream); !ok || body != string(f.data) {
					t.Errorf("the server got %d bytes of another body", len(body))
				}
				p.Respond(again.Stream, 200, "done")
				call.Gets("done")
				h.Events.WantRetries(t, "refused")
			})
		})
	}
}
