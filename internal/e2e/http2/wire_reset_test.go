package http2_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	"golang.org/x/net/http2"
)

func TestARefusedStreamIsAskedForAgainWhateverTheMethod(t *testing.T) {
	for _, c := range []struct {
		name, method string
		body         func(string) io.Reader
		want         string
	}{
		{"GET", "GET", testkit.None, "/x"},
		{"POST", "POST", testkit.None, "/x"},
		{"POST with GetBody", "POST", testkit.Again, "/xbody"},
		{"PUT with GetBody", "PUT", testkit.Again, "/xbody"},
	} {
		t.Run(c.name, func(t *testing.T) {
			testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
				call := h.Start(h.Request(c.method, "x", c.body("body")))
				p := h.Welcome()
				p.Reset(p.Request().Stream, http2.ErrCodeRefusedStream)
				p.Answer()
				call.Gets(c.want)
				h.Events.WantRetries(t, "refused")
				h.Works(p)
				h.Dials(1) // the server is well, and has said what it has room for
			})
		})
	}
}

func TestAServerThatRefusesEveryStreamIsGivenUp(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		call := h.Fetch("x")
		p := h.Welcome()
		const turns = 8
		for range turns - 1 {
			p.Reset(p.Request().Stream, http2.ErrCodeRefusedStream)
		}
		time.Sleep(5 * time.Second) // longer than any pause
		last := h.Welcome()         // the last attempt is made elsewhere
		last.Reset(last.Request().Stream, http2.ErrCodeRefusedStream)
		if err := call.Breaks(); !strings.Contains(err.Error(), "REFUSED_STREAM") || err.Started {
			t.Errorf("%+v", err)
		}
		h.Events.WantRetries(t, slices.Repeat([]string{"refused"}, turns-1)...)
		h.Dials(2)
	})
}

func TestARequestThatWaitsForRoomHeedsItsContext(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		req, cancel := h.Cancelable("x")
		call := h.Start(req)
		p := h.Welcome()
		for range 4 {
			p.Reset(p.Request().Stream, http2.ErrCodeRefusedStream)
		}
		synctest.Wait()
		start := time.Now()
		cancel(testkit.ErrChangedMind)
		if call.Ended(); call.Err != testkit.ErrChangedMind || time.Since(start) > 0 {
			t.Errorf("%v after %v", call.Err, time.Since(start))
		}
		h.Works(p)
	})
}

func TestARefusedBodyThatIsGoneIsNotSentAgain(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		body := testkit.TrackBody(strings.NewReader("body"))
		call := h.Start(h.Request("POST", "x", body))
		p := h.Welcome()
		req := p.Request()
		p.ReadBody(req.Stream)
		p.Reset(req.Stream, http2.ErrCodeRefusedStream)
		call.Breaks()
		h.Events.WantRetries(t)
		h.Works(p)
		if n := body.Closings(); n != 1 {
			t.Errorf("the body was closed %d times", n)
		}
	})
}

func TestARefusedBodyThatIsUntouchedIsSent(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{ExpectContinueTimeout: time.Hour}, func(h *testkit.Framed) {
		body := testkit.TrackBody(strings.NewReader("body"))
		call := h.Start(testkit.With(h.Request("POST", "x", body), "Expect: 100-continue"))
		p := h.Welcome()
		p.Reset(p.Request().Stream, http2.ErrCodeRefusedStream)
		req := p.Request()
		p.Head(req.Stream, 100, false)
		if got, ok := p.ReadBody(req.Stream); got != "body" || !ok {
			t.Errorf("%q, %v", got, ok)
		}
		p.Respond(req.Stream, 200, "done")
		call.Gets("done")
		h.Events.WantRetries(t, "refused")
		synctest.Wait()
		if n := body.Closings(); n != 1 {
			t.Errorf("the body was closed %d times", n)
		}
	})
}

func TestAStreamThatIsResetIsNotAskedForAgain(t *testing.T) {
	for _, code := range []http2.ErrCode{
		http2.ErrCodeNo, http2.ErrCodeInternal, http2.ErrCodeFlowControl, http2.ErrCodeStreamClosed, http2.ErrCodeFrameSize,
		http2.ErrCodeCancel, http2.ErrCodeEnhanceYourCalm, http2.ErrCodeInadequateSecurity, 0xdead,
	} {
		t.Run(code.String(), func(t *testing.T) {
			testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
				p := h.Used()
				calls := h.Starts("GET", "2", "3") // on a connection that is reused
				p.Reset(p.Requests(2)[0], code)
				err := calls[0].Breaks()
				reset, ok := errors.AsType[http2.StreamError](err)
				if !ok || reset.Code != code || !err.Reused || !err.Wrote || err.Started {
					t.Errorf("%+v", err)
				}
				p.Respond(5, 200, "third")
				calls[1].Gets("third")
				h.Events.WantRetries(t)
				h.Works(p)
				h.Dials(1)
			})
		})
	}
}

func TestAProtocolErrorRetiresTheConnection(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		calls, p := h.Serving("GET", "1", "3")
		p.Reset(1, http2.ErrCodeProtocol)
		calls[0].Breaks()
		next := h.Fetch("next")
		fresh := h.Welcome()
		fresh.Answer()
		next.Gets("/next")
		calls[1].Pending()
		p.Respond(3, 200, "third")
		calls[1].Gets("third")
		p.HungUp()
		h.Closes("protocol", 1)
		h.Events.WantRetries(t)
	})
}

func TestAResponseStandsThoughItsUploadIsCutShort(t *testing.T) {
	for name, ended := range map[string]bool{"before the reset": true, "by the reset": false} {
		t.Run("ended "+name, func(t *testing.T) {
			testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
				body, pw := pipeBody()
				call := h.Start(h.Request("POST", "x", body))
				p := h.Welcome()
				req := p.Request()
				if _, err := io.WriteString(pw, "some"); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				p.Head(req.Stream, 200, false)
				p.Data(req.Stream, "enough", ended)
				p.Reset(req.Stream, http2.ErrCodeNo)
				call.Ended()
				if ended && (call.Err != nil || call.Body != "enough") {
					t.Errorf("%q, %v", call.Body, call.Err)
				}
				if !ended && (!call.Headed || call.Err == nil) {
					t.Errorf("a response without an end: %q, %v", call.Body, call.Err)
				}
				synctest.Wait()
				if n := body.Closings(); n != 1 {
					t.Errorf("the body was closed %d times", n)
				}
				h.Events.WantRetries(t)
				h.Works(p)
				h.Dials(1)
			})
		})
	}
}

func TestAResetWithinAResponseIsAnErrorOfItsBody(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		calls, p := h.Serving("GET", "1", "3")
		p.Head(1, 200, false)
		p.Data(1, "half", false)
		synctest.Wait()
		p.Reset(1, http2.ErrCodeRefusedStream) // which is a lie by now
		calls[0].Ended()
		if reset, ok := errors.AsType[http2.StreamError](calls[0].Err); !ok || reset.StreamID != 1 || calls[0].Body != "half" {
			t.Errorf("%q, %v", calls[0].Body, calls[0].Err)
		}
		p.Respond(3, 200, "third")
		calls[1].Gets("third")
		h.Events.WantRetries(t)
		h.Works(p)
		h.Dials(1)
	})
}

func TestA421IsAskedForAgainOnAConnectionOfItsOwn(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		p := h.Used()
		call := h.Start(h.Request("POST", "2", testkit.Again("body")))
		p.Respond(p.Request().Stream, 421, "not here")
		own := h.Welcome()
		own.Answer()
		call.Gets("/2body")
		h.Events.WantRetries(t, "misdirected")
		h.Dials(2)
	})
}

func TestASecond421IsTheAnswerOverHTTP2(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		p := h.Used()
		call := h.Fetch("2")
		p.Respond(p.Request().Stream, 421, "not here")
		own := h.Welcome()
		own.Respond(own.Request().Stream, 421, "nor here")
		call.Gets("nor here")
		if call.Resp.StatusCode != 421 {
			t.Errorf("%s", call.Resp.Status)
		}
		h.Events.WantRetries(t, "misdirected")
	})
}
