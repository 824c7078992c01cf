package http2_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	"golang.org/x/net/http2"
)

func TestRequestsFailOverFromABlackHole(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		hole := h.Used()
		h.DialSlowly()
		start := time.Now()
		calls := h.Starts("GET", "1", "2", "3")
		posts := h.Starts("POST", "4")
		time.Sleep(30*time.Second - 1)
		calls[0].Pending()
		time.Sleep(time.Nanosecond)
		if err := posts[0].Breaks(); err.Error() != "http2: client connection lost" || !err.Reused || !err.Wrote || err.Started {
			t.Errorf("%+v", err)
		}
		time.Sleep(testkit.Slowly)
		fresh := h.Welcome() // for all of them
		for range calls {
			fresh.Answer()
		}
		for i, path := range []string{"/1", "/2", "/3"} {
			calls[i].Gets(path)
		}
		if took := time.Since(start); took != 30*time.Second+testkit.Slowly {
			t.Errorf("it took %v", took)
		}
		hole.HungUp()
		h.Closes("ping_timeout", 1)
		h.Events.WantRetries(t, "lost", "lost", "lost")
		if st := h.Stats().Retries; st != (peerpool.Retries{Lost: 3, Saved: 3}) {
			t.Errorf("%+v", st)
		}
		h.Dials(2)
	})
}

func TestThePingTimesAreTheCallersToSet(t *testing.T) {
	tr := &peerpool.Transport{HTTP2: &http.HTTP2Config{SendPingTimeout: 3 * time.Second, PingTimeout: time.Second}}
	testkit.FrameTest(t, tr, func(h *testkit.Framed) {
		h.Used()
		start := time.Now()
		post := h.Starts("POST", "x")[0]
		post.Breaks()
		if took := time.Since(start); took != 4*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestABlackHoleIsNotNoticedWithoutPings(t *testing.T) {
	tr := &peerpool.Transport{HTTP2: &http.HTTP2Config{SendPingTimeout: -1}}
	testkit.FrameTest(t, tr, func(h *testkit.Framed) {
		hole := h.Used()
		call := h.Fetch("x")
		req := hole.Request()
		time.Sleep(24 * time.Hour)
		call.Pending()
		hole.Respond(req.Stream, 200, "late")
		call.Gets("late")
		h.Works(hole) // not even a reuse is checked
	})
}

func TestABlackHoleWithinAResponseIsAnErrorOfItsBody(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		calls, hole := h.Serving("GET", "1", "2")
		hole.Head(1, 200, false)
		hole.Data(1, "half", false)
		fresh := func() *testkit.Peer {
			calls[0].Ended()
			if err := calls[0].Err; err == nil || err.Error() != "http2: client connection lost" || calls[0].Body != "half" {
				t.Errorf("%q, %v", calls[0].Body, err)
			}
			return h.Welcome()
		}()
		fresh.Answer()
		calls[1].Gets("/2")
		h.Closes("ping_timeout", 1)
		h.Events.WantRetries(t, "lost")
		hole.HungUp()
	})
}

func TestASlowServerThatAnswersPingsIsWaitedFor(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		call := h.Fetch("x")
		p := h.Welcome()
		req := p.Request()
		start := time.Now()
		for range 20 {
			p.Probe()
		}
		if took := time.Since(start); took != 20*15*time.Second {
			t.Errorf("20 probes in %v", took)
		}
		p.Respond(req.Stream, 200, "late")
		call.Gets("late")
		h.Events.WantRetries(t)
	})
}

func TestAServerThatTalksIsNotPinged(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		call := h.Fetch("x")
		p := h.Welcome()
		req := p.Request()
		p.Head(req.Stream, 200, false)
		for range 100 {
			time.Sleep(10 * time.Second)
			p.Data(req.Stream, "x", false)
		}
		p.Data(req.Stream, "", true)
		call.Gets(strings.Repeat("x", 100))
		p.Close()
		synctest.Wait()
		for f := p.Next(); f != nil; f = p.Next() {
			if f.Type == http2.FramePing {
				t.Error("pinged")
			}
		}
	})
}

func TestAnIdleConnectionIsNotPinged(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		p := h.Used()
		time.Sleep(time.Hour)
		h.CloseIdleConnections()
		for f := p.Next(); f != nil; f = p.Next() {
			if f.Type == http2.FramePing {
				t.Error("pinged")
			}
		}
	})
}

func TestAQuietConnectionIsCheckedBeforeItsReuse(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		p := h.Used()
		time.Sleep(15*time.Second - 1)
		call := h.Fetch("soon")
		if got := p.Answer(); got.Path != "/soon" { // without more ado
			t.Errorf("%+v", got)
		}
		call.Gets("/soon")
		time.Sleep(15 * time.Second)
		start := time.Now()
		calls := h.Starts("POST", "1", "2", "3")
		f := p.Next()
		for f.Type == http2.FrameSettings || f.Type == http2.FrameWindowUpdate {
			f = p.Next()
		}
		if f.Type != http2.FramePing {
			t.Errorf("%+v before the ping", f)
		}
		for range calls {
			p.Answer()
		}
		for i, path := range []string{"/1", "/2", "/3"} {
			calls[i].Gets(path)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("it took %v", took)
		}
		h.Events.WantRetries(t)
		h.Dials(1)
	})
}

func TestAQuietConnectionThatIsGoneCostsTwoSeconds(t *testing.T) {
	for _, method := range []string{"GET", "POST"} {
		t.Run(method, func(t *testing.T) {
			testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
				hole := h.Used()
				h.DialSlowly()
				time.Sleep(time.Minute)
				start := time.Now()
				body := testkit.TrackBody(strings.NewReader("body"))
				calls := []*testkit.Call{h.Start(h.Request(method, "1", body)), h.Start(h.Request(method, "2", nil))}
				time.Sleep(2*time.Second + testkit.Slowly)
				fresh := h.Welcome()
				got := fresh.Answer().Path + fresh.Answer().Path
				if got != "/1/2" && got != "/2/1" {
					t.Errorf("%s", got)
				}
				calls[0].Gets("/1body")
				calls[1].Gets("/2")
				if took := time.Since(start); took != 2*time.Second+testkit.Slowly {
					t.Errorf("it took %v", took)
				}
				hole.HungUp()
				h.Closes("ping_timeout", 1)
				h.Events.WantRetries(t, "unsent", "unsent") // of any method: nothing was written
				h.Dials(2)
			})
		})
	}
}

func TestACallerWhoGivesUpDuringTheCheckLeavesItToTheOthers(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		p := h.Used()
		time.Sleep(time.Minute)
		req, cancel := h.Cancelable("1")
		first, second := h.Start(req), h.Fetch("2")
		synctest.Wait()
		cancel(testkit.ErrChangedMind)
		if first.Ended(); first.Err != context.Canceled {
			t.Errorf("%v", first.Err)
		}
		second.Pending()
		p.Answer()
		second.Gets("/2")
		h.Works(p)
		h.Dials(1)
	})
}

func TestABlackHoleIsNoticedOnAConnectionOnItsWayOut(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		calls, hole := h.Serving("GET", "1", "3")
		hole.Head(1, 200, false)
		hole.GoAway(3, http2.ErrCodeNo)
		calls[0].Ended()
		if err := calls[0].Err; err == nil || err.Error() != "http2: client connection lost" {
			t.Errorf("%v", err)
		}
		h.Welcome().Answer()
		calls[1].Gets("/3")
		hole.HungUp()
		h.Closes("goaway", 1) // that came first
		h.Events.WantRetries(t, "lost")
	})
}

// By default, net/http's Transport sends no ping, so it waits for ever for the same silent server.
func TestNetHTTPWaitsForEverInABlackHole(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		theirs := &http.Transport{DialContext: h.Ln.Dial, Protocols: h.Protocols}
		call := &testkit.Call{T: t, Done: make(chan struct{})}
		go func() {
			defer close(call.Done)
			call.Resp, call.Err = theirs.RoundTrip(h.Request("GET", "x", nil))
		}()
		p := h.Welcome()
		p.Request()
		time.Sleep(24 * time.Hour)
		call.Pending()
		p.Close()
		call.Ended()
	})
}
