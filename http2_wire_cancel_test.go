package peerpool_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool"
	"golang.org/x/net/http2"
)

// changesMind cancels a call, which must end at once.
func (c *call) changesMind(cancel context.CancelCauseFunc) {
	c.t.Helper()
	c.pending()
	start := time.Now()
	cancel(errChangedMind)
	// The cause is told only where the request has no connection yet, as with net/http.
	if c.ended(); c.err != context.Canceled && c.err != errChangedMind {
		c.t.Errorf("%T %v, want that the context was canceled", c.err, c.err)
	}
	if took := time.Since(start); took != 0 {
		c.t.Errorf("it took %v", took)
	}
}

func TestARequestCanBeCanceledWhileItWaitsForAStream(t *testing.T) {
	for name, strict := range map[string]bool{"in the pool": false, "in the connection": true} {
		t.Run(name, func(t *testing.T) {
			tr := &peerpool.Transport{
				MaxConnsPerHost: 1, HTTP2: &http.HTTP2Config{StrictMaxConcurrentRequests: strict},
			}
			frameTest(t, tr, func(h *framed) {
				first := h.fetch("first")
				p := h.accept()
				p.MaxStreams(1)
				p.answer()
				first.gets("/first")

				holder := h.fetch("holder")
				held := p.request()
				req, cancel := h.cancelable("canceled")
				body := trackBody(strings.NewReader("body"))
				req.Method, req.Body, req.ContentLength = "POST", body, 4
				canceled := h.start(req)
				synctest.Wait()
				next := h.fetch("next")
				canceled.changesMind(cancel)
				synctest.Wait()
				if n := body.closings(); n != 1 {
					t.Errorf("the body was closed %d times", n)
				}
				p.Respond(held.Stream, 200, "held")
				holder.gets("held")
				if got := p.answer(); got.Path != "/next" {
					t.Errorf("%s was sent", got.Path)
				}
				next.gets("/next")
				h.works(p)
				h.dials(1)
			})
		})
	}
}

func TestARequestCanBeCanceledBeforeItsHead(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		req, cancel := h.cancelable("x")
		call := h.start(req)
		synctest.Wait()
		other := h.fetch("other")
		p := h.welcome()
		streams := map[string]uint32{}
		for range 2 {
			req := p.request()
			streams[req.Path] = req.Stream
		}
		call.changesMind(cancel)
		p.reset(streams["/x"], http2.ErrCodeCancel)
		p.Respond(streams["/other"], 200, "other")
		other.gets("other")
		h.works(p)
		h.events.wantRetries(t)
		h.dials(1)
	})
}

func TestARequestCanBeCanceledWithinItsResponse(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		req, cancel := h.cancelable("x")
		call := h.start(req)
		p := h.welcome()
		stream := p.request().Stream
		p.Head(stream, 200, false)
		p.Data(stream, "half", false)
		call.changesMind(cancel)
		if !call.headed || call.body != "half" {
			t.Errorf("%q", call.body)
		}
		p.reset(stream, http2.ErrCodeCancel)
		p.Data(stream, "late", true)
		h.works(p)
		h.dials(1)
	})
}

func TestARequestCanBeCanceledWithinItsBody(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		req, cancel := h.cancelable("x")
		body, w := pipeBody()
		req.Method, req.Body, req.ContentLength = "POST", body, -1
		call := h.start(req)
		p := h.welcome()
		stream := p.request().Stream
		if _, err := io.WriteString(w, "some"); err != nil {
			t.Fatal(err)
		}
		call.pending()
		start := time.Now()
		cancel(errChangedMind)
		if call.ended(); call.err != context.Canceled {
			t.Errorf("%T %v, want that the context was canceled", call.err, call.err)
		}
		if took := time.Since(start); took > readWait { // which the Read that blocks is given
			t.Errorf("it took %v", took)
		}
		p.reset(stream, http2.ErrCodeCancel)
		synctest.Wait()
		if n := body.closings(); n != 1 {
			t.Errorf("the body was closed %d times", n)
		}
		h.works(p)
		h.dials(1)
	})
}

func TestARequestCanBeCanceledInTheOldWays(t *testing.T) {
	for name, arrange := range map[string]func(h *framed, req *http.Request) (cancel func()){
		"by CancelRequest": func(h *framed, req *http.Request) func() {
			return func() { h.CancelRequest(req) }
		},
		"by Request.Cancel": func(_ *framed, req *http.Request) func() {
			done := make(chan struct{})
			//lint:ignore SA1019 callers may still set it, and http.Client does
			req.Cancel = done
			return func() { close(done) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			frameTest(t, &peerpool.Transport{}, func(h *framed) {
				for _, headed := range []bool{false, true} {
					req := h.request("GET", "x", nil)
					cancel := arrange(h, req)
					call := h.start(req)
					var p *peer
					if headed {
						p = h.peers[0]
					} else {
						p = h.welcome()
					}
					stream := p.request().Stream
					if headed {
						p.Head(stream, 200, false)
					}
					call.pending()
					cancel()
					if call.ended(); call.err == nil || call.err.Error() != "net/http: request canceled" || call.headed != headed {
						t.Errorf("head: %v: %v", headed, call.err)
					}
					p.reset(stream, http2.ErrCodeCancel)
					h.works(p)
				}
				h.dials(1)
			})
		})
	}
}

func TestADeadlineEndsTheRequestAndNotTheConnection(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		ctx, cancel := context.WithTimeout(h.t.Context(), time.Second)
		defer cancel()
		call := h.start(h.request("GET", "x", nil).WithContext(ctx))
		p := h.welcome()
		stream := p.request().Stream
		if call.ended(); call.err != context.DeadlineExceeded {
			t.Errorf("%v", call.err)
		}
		p.reset(stream, http2.ErrCodeCancel)
		h.works(p)
		h.dials(1)
	})
}

func TestTheResponseHeaderTimeoutEndsTheRequestAndNotTheConnection(t *testing.T) {
	frameTest(t, &peerpool.Transport{ResponseHeaderTimeout: time.Second}, func(h *framed) {
		call := h.fetch("x")
		p := h.welcome()
		stream := p.request().Stream
		if err := call.breaks(); !err.Timeout() || err.Started || !err.Wrote {
			t.Errorf("%+v", err)
		}
		p.reset(stream, http2.ErrCodeCancel)
		h.works(p)
		h.events.wantRetries(t)
		h.dials(1)
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
				frameTest(t, &peerpool.Transport{}, func(h *framed) {
					body := trackBody(breaking{strings.NewReader("some"), errDisk})
					req := h.request(method, "x", body)
					req.ContentLength = length
					req.GetBody = func() (io.ReadCloser, error) { return body, nil } // it is no use
					call := h.start(req)
					p := h.welcome()
					stream := p.request().Stream
					if call.ended(); call.err != errDisk {
						t.Errorf("%T %v", call.err, call.err)
					}
					p.reset(stream, http2.ErrCodeCancel)
					synctest.Wait()
					if n := body.closings(); n != 1 {
						t.Errorf("the body was closed %d times", n)
					}
					h.works(p)
					h.events.wantRetries(t)
					h.dials(1)
				})
			})
		}
	}
}

func TestABodyThatLiesOverHTTP2FailsItsRequestAlone(t *testing.T) {
	for _, lie := range lies {
		if lie.length > 0 && lie.is == nil {
			continue // what is shorter or longer than said is x/net's to tell
		}
		t.Run(lie.name, func(t *testing.T) {
			frameTest(t, &peerpool.Transport{}, func(h *framed) {
				body := trackBody(lie.body())
				req := h.request("PUT", "x", body)
				req.ContentLength = lie.length
				call := h.start(req)
				p := h.welcome()
				stream := p.request().Stream
				if _, whole := p.ReadBody(stream); whole {
					t.Error("the server takes the body for whole")
				}
				if call.ended(); call.headed || call.err == nil || call.err.Error() != lie.text || lie.is != nil && call.err != lie.is {
					t.Errorf("%q, %T %v, want %s", call.body, call.err, call.err, lie.text)
				}
				synctest.Wait()
				if n := body.closings(); n != 1 {
					t.Errorf("the body was closed %d times", n)
				}
				h.works(p)
				h.events.wantRetries(t)
				h.dials(1)
			})
		})
	}
}
