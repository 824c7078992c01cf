package http2_test

import (
	"io"
	"math"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/peerpool/peerpool/internal/testkit"

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
		{"POST with GetBody", "POST", testkit.Again("body"), "/xbody"},
		{"PATCH with GetBody", "PATCH", testkit.Again("body"), "/xbody"},
	} {
		t.Run(c.name, func(t *testing.T) {
			testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
				call := h.Start(h.Request(c.method, "x", c.body))
				old := h.Welcome()
				req := old.Request()
				old.ReadBody(req.Stream)
				old.GoAway(0, http2.ErrCodeNo)
				old.HungUp()
				h.Welcome().Answer()
				call.Gets(c.want)
				h.Events.WantRetries(t, "refused")
				h.Closes("goaway", 1)
				if st := h.Stats().Retries; st != (peerpool.Retries{Refused: 1, Saved: 1}) {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

func TestABodyThatIsGoneIsNotSentAfterAGoAway(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		body := testkit.TrackBody(strings.NewReader("body"))
		call := h.Start(h.Request("POST", "", body))
		p := h.Welcome()
		req := p.Request()
		p.ReadBody(req.Stream)
		p.GoAway(0, http2.ErrCodeNo)
		if err := call.Breaks(); !err.Wrote || err.Started || err.Reused {
			t.Errorf("%+v", err)
		}
		p.HungUp()
		h.Events.WantRetries(t)
		h.Dials(1)
		if n := body.Closings(); n != 1 {
			t.Errorf("the body was closed %d times", n)
		}
	})
}

func TestAGoAwayLetsTheStreamsBelowItFinish(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		calls := h.Starts("POST", "1", "3", "5")
		old := h.Welcome()
		if got := old.Requests(3); got[0] != 1 || got[1] != 3 || got[2] != 5 {
			t.Fatalf("streams %v", got)
		}
		old.Head(1, 200, false)
		old.Data(1, "fir", false)
		old.GoAway(1, http2.ErrCodeNo)
		fresh := h.Welcome()
		fresh.Answer()
		fresh.Answer()
		calls[1].Gets("/3")
		calls[2].Gets("/5")
		calls[0].Pending()
		if st := h.Stats(); st.Closes["goaway"] != 0 {
			t.Errorf("closed under a stream: %+v", st)
		}
		old.Data(1, "st", true)
		calls[0].Gets("first")
		old.HungUp()
		h.Closes("goaway", 1)
		h.Events.WantRetries(t, "refused", "refused")
		h.Works(fresh)
		h.Dials(2)
	})
}

func TestASecondGoAwayLowersTheFirst(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		calls, old := h.Serving("POST", "1", "3")
		old.GoAway(math.MaxInt32, http2.ErrCodeNo)
		calls[0].Pending()
		calls[1].Pending()
		next := h.Fetch("next") // not on the old one
		fresh := h.Welcome()
		fresh.Answer()
		next.Gets("/next")
		old.GoAway(1, http2.ErrCodeNo)
		fresh.Answer()
		calls[1].Gets("/3")
		old.Respond(1, 200, "first")
		calls[0].Gets("first")
		old.HungUp()
		h.Events.WantRetries(t, "refused")
		h.Closes("goaway", 1)
	})
}

// A server must not raise the number of the last stream (RFC 9113 section 6.8). If one does, what it has said first holds.
func TestASecondGoAwayDoesNotRaiseTheFirst(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		calls, old := h.Serving("POST", "1", "3")
		old.GoAway(1, http2.ErrCodeNo)
		old.GoAway(3, http2.ErrCodeNo)
		fresh := h.Welcome()
		fresh.Answer()
		calls[1].Gets("/3")
		old.Respond(1, 200, "first")
		calls[0].Gets("first")
		old.HungUp()
		h.Events.WantRetries(t, "refused")
	})
}

func TestAnErrorForTheFirstStreamIsNotAskedForAgain(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		calls, old := h.Serving("GET", "1", "3")
		old.GoAway(0, http2.ErrCodeEnhanceYourCalm)
		err := calls[0].Breaks()
		if !strings.Contains(err.Error(), "ENHANCE_YOUR_CALM") || !err.Wrote || err.Started {
			t.Errorf("%+v", err)
		}
		fresh := h.Welcome()
		fresh.Answer()
		calls[1].Gets("/3") // the server has not processed it, so the new connection serves it
		old.HungUp()
		h.Events.WantRetries(t, "refused")
	})
}

func TestAGoAwayRetiresAConnectionThatIdlesAtOnce(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		old := h.Used()
		old.GoAway(1, http2.ErrCodeNo)
		synctest.Wait()
		if st := h.Stats(); st.Idle != 0 || st.Active != 0 || st.Closes["goaway"] != 1 {
			t.Errorf("%+v", st)
		}
		old.HungUp()
		call := h.Fetch("2")
		h.Welcome().Answer()
		call.Gets("/2")
		h.Events.WantRetries(t)
	})
}

func TestAGoAwayAfterTheHeadOfItsResponseIsNotRetried(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		calls, p := h.Serving("GET", "1", "3")
		p.Head(3, 200, false)
		p.Data(3, "half", false)
		synctest.Wait()
		p.GoAway(1, http2.ErrCodeNo)
		calls[1].Ended()
		if calls[1].Err == nil || !calls[1].Headed || calls[1].Body != "half" {
			t.Errorf("%q, %v", calls[1].Body, calls[1].Err)
		}
		p.Respond(1, 200, "first")
		calls[0].Gets("first")
		p.HungUp()
		h.Events.WantRetries(t)
		h.Dials(1)
	})
}

func TestAServerThatAlwaysGoesAwayIsGivenUp(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		call := h.Fetch("x")
		for range 3 {
			p := h.Welcome()
			p.Request()
			p.GoAway(0, http2.ErrCodeNo)
			p.HungUp()
		}
		if err := call.Breaks(); err.Reused || err.Started {
			t.Errorf("%+v", err)
		}
		h.Dials(3)
		h.Closes("goaway", 3)
		if st := h.Stats().Retries; st != (peerpool.Retries{Refused: 2, Failed: 1}) {
			t.Errorf("%+v", st)
		}
	})
}

func TestAGoAwayAheadOfEverythingIsAnError(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		call := h.Fetch("x")
		p := h.Accept()
		p.GoAway(0, http2.ErrCodeNo) // no SETTINGS
		p.HungUp()
		if err := call.Breaks(); !strings.Contains(err.Error(), "PROTOCOL_ERROR") {
			t.Error(err)
		}
		h.Dials(1)
		h.Events.WantRetries(t)
		h.Closes("protocol", 1)
	})
}
