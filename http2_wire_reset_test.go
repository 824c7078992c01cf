package peerpool_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool"
	"golang.org/x/net/http2"
)

func TestARefusedStreamIsAskedForAgainWhateverTheMethod(t *testing.T) {
	for _, c := range []struct {
		name, method string
		body         func(string) io.Reader
		want         string
	}{
		{"GET", "GET", none, "/x"},
		{"POST", "POST", none, "/x"},
		{"POST with GetBody", "POST", again, "/xbody"},
		{"PUT with GetBody", "PUT", again, "/xbody"},
	} {
		t.Run(c.name, func(t *testing.T) {
			frameTest(t, &peerpool.Transport{}, func(h *framed) {
				call := h.start(h.request(c.method, "x", c.body("body")))
				p := h.welcome()
				p.Reset(p.request().Stream, http2.ErrCodeRefusedStream)
				p.answer()
				call.gets(c.want)
				h.events.wantRetries(t, "refused")
				h.works(p)
				h.dials(1) // the server is well, and has said what it has room for
			})
		})
	}
}

func TestAServerThatRefusesEveryStreamIsGivenUp(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		call := h.fetch("x")
		p := h.welcome()
		const turns = 8
		for range turns - 1 {
			p.Reset(p.request().Stream, http2.ErrCodeRefusedStream)
		}
		time.Sleep(5 * time.Second) // longer than any pause
		last := h.welcome()         // the last attempt is made elsewhere
		last.Reset(last.request().Stream, http2.ErrCodeRefusedStream)
		if err := call.breaks(); !strings.Contains(err.Error(), "REFUSED_STREAM") || err.Started {
			t.Errorf("%+v", err)
		}
		h.events.wantRetries(t, slices.Repeat([]string{"refused"}, turns-1)...)
		h.dials(2)
	})
}

func TestARequestThatWaitsForRoomHeedsItsContext(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		req, cancel := h.cancelable("x")
		call := h.start(req)
		p := h.welcome()
		for range 4 {
			p.Reset(p.request().Stream, http2.ErrCodeRefusedStream)
		}
		synctest.Wait()
		start := time.Now()
		cancel(errChangedMind)
		if call.ended(); call.err != errChangedMind || time.Since(start) > 0 {
			t.Errorf("%v after %v", call.err, time.Since(start))
		}
		h.works(p)
	})
}

func TestARefusedBodyThatIsGoneIsNotSentAgain(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		body := trackBody(strings.NewReader("body"))
		call := h.start(h.request("POST", "x", body))
		p := h.welcome()
		req := p.request()
		p.ReadBody(req.Stream)
		p.Reset(req.Stream, http2.ErrCodeRefusedStream)
		call.breaks()
		h.events.wantRetries(t)
		h.works(p)
		if n := body.closings(); n != 1 {
			t.Errorf("the body was closed %d times", n)
		}
	})
}

func TestARefusedBodyThatIsUntouchedIsSent(t *testing.T) {
	frameTest(t, &peerpool.Transport{ExpectContinueTimeout: time.Hour}, func(h *framed) {
		body := trackBody(strings.NewReader("body"))
		call := h.start(with(h.request("POST", "x", body), "Expect: 100-continue"))
		p := h.welcome()
		p.Reset(p.request().Stream, http2.ErrCodeRefusedStream)
		req := p.request()
		p.Head(req.Stream, 100, false)
		if got, ok := p.ReadBody(req.Stream); got != "body" || !ok {
			t.Errorf("%q, %v", got, ok)
		}
		p.Respond(req.Stream, 200, "done")
		call.gets("done")
		h.events.wantRetries(t, "refused")
		synctest.Wait()
		if n := body.closings(); n != 1 {
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
			frameTest(t, &peerpool.Transport{}, func(h *framed) {
				first := h.fetch("1")
				p := h.welcome()
				p.answer()
				first.gets("/1")
				calls := h.starts("GET", "2", "3") // on a connection that is reused
				p.Reset(p.requests(2)[0], code)
				err := calls[0].breaks()
				reset, ok := errors.AsType[http2.StreamError](err)
				if !ok || reset.Code != code || !err.Reused || !err.Wrote || err.Started {
					t.Errorf("%+v", err)
				}
				p.Respond(5, 200, "third")
				calls[1].gets("third")
				h.events.wantRetries(t)
				h.works(p)
				h.dials(1)
			})
		})
	}
}

func TestAProtocolErrorRetiresTheConnection(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		calls := h.starts("GET", "1", "3")
		p := h.welcome()
		p.requests(2)
		p.Reset(1, http2.ErrCodeProtocol)
		calls[0].breaks()
		next := h.fetch("next")
		fresh := h.welcome()
		fresh.answer()
		next.gets("/next")
		calls[1].pending()
		p.Respond(3, 200, "third")
		calls[1].gets("third")
		p.hungUp()
		h.closes("protocol", 1)
		h.events.wantRetries(t)
	})
}

func TestAResponseStandsThoughItsUploadIsCutShort(t *testing.T) {
	for name, ended := range map[string]bool{"before the reset": true, "by the reset": false} {
		t.Run("ended "+name, func(t *testing.T) {
			frameTest(t, &peerpool.Transport{}, func(h *framed) {
				body, pw := pipeBody()
				call := h.start(h.request("POST", "x", body))
				p := h.welcome()
				req := p.request()
				if _, err := io.WriteString(pw, "some"); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				p.Head(req.Stream, 200, false)
				p.Data(req.Stream, "enough", ended)
				p.Reset(req.Stream, http2.ErrCodeNo)
				call.ended()
				if ended && (call.err != nil || call.body != "enough") {
					t.Errorf("%q, %v", call.body, call.err)
				}
				if !ended && (!call.headed || call.err == nil) {
					t.Errorf("a response without an end: %q, %v", call.body, call.err)
				}
				synctest.Wait()
				if n := body.closings(); n != 1 {
					t.Errorf("the body was closed %d times", n)
				}
				h.events.wantRetries(t)
				h.works(p)
				h.dials(1)
			})
		})
	}
}

func TestAResetWithinAResponseIsAnErrorOfItsBody(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		calls := h.starts("GET", "1", "3")
		p := h.welcome()
		p.requests(2)
		p.Head(1, 200, false)
		p.Data(1, "half", false)
		synctest.Wait()
		p.Reset(1, http2.ErrCodeRefusedStream) // which is a lie by now
		calls[0].ended()
		if reset, ok := errors.AsType[http2.StreamError](calls[0].err); !ok || reset.StreamID != 1 || calls[0].body != "half" {
			t.Errorf("%q, %v", calls[0].body, calls[0].err)
		}
		p.Respond(3, 200, "third")
		calls[1].gets("third")
		h.events.wantRetries(t)
		h.works(p)
		h.dials(1)
	})
}

func TestA421IsAskedForAgainOnAConnectionOfItsOwn(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		call := h.fetch("1")
		p := h.welcome()
		p.answer()
		call.gets("/1")
		call = h.start(h.request("POST", "2", again("body")))
		p.Respond(p.request().Stream, 421, "not here")
		own := h.welcome()
		own.answer()
		call.gets("/2body")
		h.events.wantRetries(t, "misdirected")
		h.dials(2)
	})
}

func TestASecond421IsTheAnswerOverHTTP2(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		call := h.fetch("1")
		p := h.welcome()
		p.answer()
		call.gets("/1")
		call = h.fetch("2")
		p.Respond(p.request().Stream, 421, "not here")
		own := h.welcome()
		own.Respond(own.request().Stream, 421, "nor here")
		call.gets("nor here")
		if call.resp.StatusCode != 421 {
			t.Errorf("%s", call.resp.Status)
		}
		h.events.wantRetries(t, "misdirected")
	})
}
