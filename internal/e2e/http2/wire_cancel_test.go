package http2_test

//lint:file-ignore SA1019 programs still use what is deprecated, so it is tested

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	"golang.org/x/net/http2"
)

func TestARequestCanBeCanceledWhileItWaitsForAStream(t *testing.T) {
	for name, strict := range map[string]bool{"in the pool": false, "in the connection": true} {
		t.Run(name, func(t *testing.T) {
			tr := &peerpool.Transport{
				MaxConnsPerHost: 1, HTTP2: &http.HTTP2Config{StrictMaxConcurrentRequests: strict},
			}
			testkit.FrameTest(t, tr, func(h *testkit.Framed) {
				first := h.Fetch("first")
				p := h.Accept()
				p.MaxStreams(1)
				p.Answer()
				first.Gets("/first")

				holder := h.Fetch("holder")
				held := p.Request()
				req, cancel := h.Cancelable("canceled")
				body := testkit.TrackBody(strings.NewReader("body"))
				req.Method, req.Body, req.ContentLength = "POST", body, 4
				canceled := h.Start(req)
				synctest.Wait()
				next := h.Fetch("next")
				canceled.ChangesMind(cancel)
				synctest.Wait()
				if n := body.Closings(); n != 1 {
					t.Errorf("the body was closed %d times", n)
				}
				p.Respond(held.Stream, 200, "held")
				holder.Gets("held")
				if got := p.Answer(); got.Path != "/next" {
					t.Errorf("%s was sent", got.Path)
				}
				next.Gets("/next")
				h.Works(p)
				h.Dials(1)
			})
		})
	}
}

func TestARequestCanBeCanceledBeforeItsHead(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		req, cancel := h.Cancelable("x")
		call := h.Start(req)
		synctest.Wait()
		other := h.Fetch("other")
		p := h.Welcome()
		streams := map[string]uint32{}
		for range 2 {
			req := p.Request()
			streams[req.Path] = req.Stream
		}
		call.ChangesMind(cancel)
		p.ResetWith(streams["/x"], http2.ErrCodeCancel)
		p.Respond(streams["/other"], 200, "other")
		other.Gets("other")
		h.Works(p)
		h.Events.WantRetries(t)
		h.Dials(1)
	})
}

func TestARequestCanBeCanceledWithinItsResponse(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		req, cancel := h.Cancelable("x")
		call := h.Start(req)
		p := h.Welcome()
		stream := p.Request().Stream
		p.Head(stream, 200, false)
		p.Data(stream, "half", false)
		call.ChangesMind(cancel)
		if !call.Headed || call.Body != "half" {
			t.Errorf("%q", call.Body)
		}
		p.ResetWith(stream, http2.ErrCodeCancel)
		p.Data(stream, "late", true)
		h.Works(p)
		h.Dials(1)
	})
}

func TestARequestCanBeCanceledWithinItsBody(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		req, cancel := h.Cancelable("x")
		body, w := pipeBody()
		req.Method, req.Body, req.ContentLength = "POST", body, -1
		call := h.Start(req)
		p := h.Welcome()
		stream := p.Request().Stream
		if _, err := io.WriteString(w, "some"); err != nil {
			t.Fatal(err)
		}
		call.Pending()
		start := time.Now()
		cancel(testkit.ErrChangedMind)
		if call.Ended(); call.Err != context.Canceled {
			t.Errorf("%T %v, want that the context was canceled", call.Err, call.Err)
		}
		if took := time.Since(start); took > testkit.ReadWait { // which the Read that blocks is given
			t.Errorf("it took %v", took)
		}
		p.ResetWith(stream, http2.ErrCodeCancel)
		synctest.Wait()
		if n := body.Closings(); n != 1 {
			t.Errorf("the body was closed %d times", n)
		}
		h.Works(p)
		h.Dials(1)
	})
}

func TestARequestCanBeCanceledInTheOldWays(t *testing.T) {
	for name, arrange := range map[string]func(h *testkit.Framed, req *http.Request) (cancel func()){
		"by CancelRequest": func(h *testkit.Framed, req *http.Request) func() {
			return func() { h.CancelRequest(req) }
		},
		"by Request.Cancel": func(_ *testkit.Framed, req *http.Request) func() {
			done := make(chan struct{})
			req.Cancel = done
			return func() { close(done) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
				for _, headed := range []bool{false, true} {
					req := h.Request("GET", "x", nil)
					cancel := arrange(h, req)
					call := h.Start(req)
					var p *testkit.Peer
					if headed {
						p = h.Peers[0]
					} else {
						p = h.Welcome()
					}
					stream := p.Request().Stream
					if headed {
						p.Head(stream, 200, false)
					}
					call.Pending()
					cancel()
					if call.Ended(); call.Err == nil || call.Err.Error() != "net/http: request canceled" || call.Headed != headed {
						t.Errorf("head: %v: %v", headed, call.Err)
					}
					p.ResetWith(stream, http2.ErrCodeCancel)
					h.Works(p)
				}
				h.Dials(1)
			})
		})
	}
}

func TestADeadlineEndsTheRequestAndNotTheConnection(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		ctx, cancel := context.WithTimeout(h.T.Context(), time.Second)
		defer cancel()
		call := h.Start(h.Request("GET", "x", nil).WithContext(ctx))
		p := h.Welcome()
		stream := p.Request().Stream
		if call.Ended(); call.Err != context.DeadlineExceeded {
			t.Errorf("%v", call.Err)
		}
		p.ResetWith(stream, http2.ErrCodeCancel)
		h.Works(p)
		h.Dials(1)
	})
}

func TestTheResponseHeaderTimeoutEndsTheRequestAndNotTheConnection(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{ResponseHeaderTimeout: time.Second}, func(h *testkit.Framed) {
		call := h.Fetch("x")
		p := h.Welcome()
		stream := p.Request().Stream
		if err := call.Breaks(); !err.Timeout() || err.Started || !err.Wrote {
			t.Errorf("%+v", err)
		}
		p.ResetWith(stream, http2.ErrCodeCancel)
		h.Works(p)
		h.Events.WantRetries(t)
		h.Dials(1)
	})
}

// breaking is a body that fails after some bytes.
type breaking struct {
	io.Reader
	err error
}

func (b breaking) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		err = b.err
	}
	return n, err
}

func TestABodyThatFailsOverHTTP2IsTheCallersOwnError(t *testing.T) {
	errDisk := errors.New("the disk is on fire")
	for _, method := range []string{"POST", "PUT"} {
		for name, length := range map[string]int64{"of a length": 9, "without a length": -1} {
			t.Run(method+", "+name, func(t *testing.T) {
				testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
					body := testkit.TrackBody(breaking{strings.NewReader("some"), errDisk})
					req := h.Request(method, "x", body)
					req.ContentLength = length
					req.GetBody = func() (io.ReadCloser, error) { return body, nil } // returns the body that has failed
					call := h.Start(req)
					p := h.Welcome()
					stream := p.Request().Stream
					if call.Ended(); call.Err != errDisk {
						t.Errorf("%T %v", call.Err, call.Err)
					}
					p.ResetWith(stream, http2.ErrCodeCancel)
					synctest.Wait()
					if n := body.Closings(); n != 1 {
						t.Errorf("the body was closed %d times", n)
					}
					h.Works(p)
					h.Events.WantRetries(t)
					h.Dials(1)
				})
			})
		}
	}
}

func TestABodyThatLiesOverHTTP2FailsItsRequestAlone(t *testing.T) {
	for _, lie := range testkit.Lies {
		if lie.Length > 0 && lie.Is == nil {
			continue // what is shorter or longer than said is x/net's to tell
		}
		t.Run(lie.Name, func(t *testing.T) {
			testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
				body := testkit.TrackBody(lie.Body())
				req := h.Request("PUT", "x", body)
				req.ContentLength = lie.Length
				call := h.Start(req)
				p := h.Welcome()
				stream := p.Request().Stream
				if _, whole := p.ReadBody(stream); whole {
					t.Error("the server takes the body for whole")
				}
				if call.Ended(); call.Headed || call.Err == nil || call.Err.Error() != lie.Text || lie.Is != nil && call.Err != lie.Is {
					t.Errorf("%q, %T %v, want %s", call.Body, call.Err, call.Err, lie.Text)
				}
				synctest.Wait()
				if n := body.Closings(); n != 1 {
					t.Errorf("the body was closed %d times", n)
				}
				h.Works(p)
				h.Events.WantRetries(t)
				h.Dials(1)
			})
		})
	}
}
