package peerpool_test

import (
	"io"
	"math"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/peerpool/peerpool"
	"golang.org/x/net/http2"
)

func TestAGoAwayBeyondARequestHasItSentElsewhere(t *testing.T) {
	for _, c := range []struct {
		name, method string
		body         io.Reader
		want         string
	}{
		{"GET", "GET", nil, "/x"},
		{"POST", "POST", nil, "/x"},
		{"POST with GetBody", "POST", again("body"), "/xbody"},
		{"PATCH with GetBody", "PATCH", again("body"), "/xbody"},
	} {
		t.Run(c.name, func(t *testing.T) {
			frameTest(t, &peerpool.Transport{}, func(h *framed) {
				call := h.start(h.request(c.method, "x", c.body))
				old := h.welcome()
				req := old.request()
				old.ReadBody(req.Stream)
				old.GoAway(0, http2.ErrCodeNo)
				old.hungUp()
				h.welcome().answer()
				call.gets(c.want)
				h.events.wantRetries(t, "refused")
				h.closes("goaway", 1)
				if st := h.Stats().Retries; st != (peerpool.Retries{Refused: 1, Saved: 1}) {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

func TestABodyThatIsGoneIsNotSentAfterAGoAway(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		body := trackBody(strings.NewReader("body"))
		call := h.start(h.request("POST", "", body))
		p := h.welcome()
		req := p.request()
		p.ReadBody(req.Stream)
		p.GoAway(0, http2.ErrCodeNo)
		if err := call.breaks(); !err.Wrote || err.Started || err.Reused {
			t.Errorf("%+v", err)
		}
		p.hungUp()
		h.events.wantRetries(t)
		h.dials(1)
		if n := body.closings(); n != 1 {
			t.Errorf("the body was closed %d times", n)
		}
	})
}

func TestAGoAwayLetsTheStreamsBelowItFinish(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		calls := h.starts("POST", "1", "3", "5")
		old := h.welcome()
		if got := old.requests(3); got[0] != 1 || got[1] != 3 || got[2] != 5 {
			t.Fatalf("streams %v", got)
		}
		old.Head(1, 200, false)
		old.Data(1, "fir", false)
		old.GoAway(1, http2.ErrCodeNo)
		fresh := h.welcome()
		fresh.answer()
		fresh.answer()
		calls[1].gets("/3")
		calls[2].gets("/5")
		calls[0].pending()
		if st := h.Stats(); st.Closes["goaway"] != 0 {
			t.Errorf("closed under a stream: %+v", st)
		}
		old.Data(1, "st", true)
		calls[0].gets("first")
		old.hungUp()
		h.closes("goaway", 1)
		h.events.wantRetries(t, "refused", "refused")
		h.works(fresh)
		h.dials(2)
	})
}

func TestASecondGoAwayLowersTheFirst(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		calls := h.starts("POST", "1", "3")
		old := h.welcome()
		old.requests(2)
		old.GoAway(math.MaxInt32, http2.ErrCodeNo)
		calls[0].pending()
		calls[1].pending()
		next := h.fetch("next") // not on the old one
		fresh := h.welcome()
		fresh.answer()
		next.gets("/next")
		old.GoAway(1, http2.ErrCodeNo)
		fresh.answer()
		calls[1].gets("/3")
		old.Respond(1, 200, "first")
		calls[0].gets("first")
		old.hungUp()
		h.events.wantRetries(t, "refused")
		h.closes("goaway", 1)
	})
}

func TestAnErrorForTheFirstStreamIsNotAskedForAgain(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		calls := h.starts("GET", "1", "3")
		old := h.welcome()
		old.requests(2)
		old.GoAway(0, http2.ErrCodeEnhanceYourCalm)
		err := calls[0].breaks()
		if !strings.Contains(err.Error(), "ENHANCE_YOUR_CALM") || !err.Wrote || err.Started {
			t.Errorf("%+v", err)
		}
		fresh := h.welcome()
		fresh.answer()
		calls[1].gets("/3") // it is no quarrel with that one
		old.hungUp()
		h.events.wantRetries(t, "refused")
	})
}

func TestAGoAwayRetiresAConnectionThatIdlesAtOnce(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		call := h.fetch("1")
		old := h.welcome()
		old.answer()
		call.gets("/1")
		old.GoAway(1, http2.ErrCodeNo)
		synctest.Wait()
		if st := h.Stats(); st.Idle != 0 || st.Active != 0 || st.Closes["goaway"] != 1 {
			t.Errorf("%+v", st)
		}
		old.hungUp()
		call = h.fetch("2")
		h.welcome().answer()
		call.gets("/2")
		h.events.wantRetries(t)
	})
}

func TestAGoAwayAfterTheHeadOfItsResponseIsNotRetried(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		calls := h.starts("GET", "1", "3")
		p := h.welcome()
		p.requests(2)
		p.Head(3, 200, false)
		p.Data(3, "half", false)
		synctest.Wait()
		p.GoAway(1, http2.ErrCodeNo)
		calls[1].ended()
		if calls[1].err == nil || !calls[1].headed || calls[1].body != "half" {
			t.Errorf("%q, %v", calls[1].body, calls[1].err)
		}
		p.Respond(1, 200, "first")
		calls[0].gets("first")
		p.hungUp()
		h.events.wantRetries(t)
		h.dials(1)
	})
}

func TestAServerThatAlwaysGoesAwayIsGivenUp(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		call := h.fetch("x")
		for range 3 {
			p := h.welcome()
			p.request()
			p.GoAway(0, http2.ErrCodeNo)
			p.hungUp()
		}
		if err := call.breaks(); err.Reused || err.Started {
			t.Errorf("%+v", err)
		}
		h.dials(3)
		h.closes("goaway", 3)
		if st := h.Stats().Retries; st != (peerpool.Retries{Refused: 2, Failed: 1}) {
			t.Errorf("%+v", st)
		}
	})
}

func TestAGoAwayAheadOfEverythingIsAnError(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		call := h.fetch("x")
		p := h.accept()
		p.GoAway(0, http2.ErrCodeNo) // no SETTINGS
		p.hungUp()
		if err := call.breaks(); !strings.Contains(err.Error(), "PROTOCOL_ERROR") {
			t.Error(err)
		}
		h.dials(1)
		h.events.wantRetries(t)
		h.closes("protocol", 1)
	})
}
