package peerpool_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"golang.org/x/net/http2"
)

// used returns a Transport with a connection that has served one request.
func (h *framed) used() *peer {
	h.t.Helper()
	call := h.fetch("first")
	p := h.welcome()
	p.answer()
	call.gets("/first")
	return p
}

const slowly = time.Millisecond

// dialSlowly has dials take some time, as they do in life: requests that fail together ask for connections together.
func (h *framed) dialSlowly() {
	h.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		time.Sleep(slowly)
		return h.ln.Dial(ctx, network, addr)
	}
}

func TestRequestsFailOverFromABlackHole(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		hole := h.used()
		h.dialSlowly()
		start := time.Now()
		calls := h.starts("GET", "1", "2", "3")
		posts := h.starts("POST", "4")
		time.Sleep(30*time.Second - 1)
		calls[0].pending()
		time.Sleep(time.Nanosecond)
		if err := posts[0].breaks(); err.Error() != "http2: client connection lost" || !err.Reused || !err.Wrote || err.Started {
			t.Errorf("%+v", err)
		}
		time.Sleep(slowly)
		fresh := h.welcome() // for all of them
		for range calls {
			fresh.answer()
		}
		for i, path := range []string{"/1", "/2", "/3"} {
			calls[i].gets(path)
		}
		if took := time.Since(start); took != 30*time.Second+slowly {
			t.Errorf("it took %v", took)
		}
		hole.hungUp()
		h.closes("ping_timeout", 1)
		h.events.wantRetries(t, "lost", "lost", "lost")
		if st := h.Stats().Retries; st != (peerpool.Retries{Lost: 3, Saved: 3}) {
			t.Errorf("%+v", st)
		}
		h.dials(2)
	})
}

func TestThePingTimesAreTheCallersToSet(t *testing.T) {
	tr := &peerpool.Transport{HTTP2: &http.HTTP2Config{SendPingTimeout: 3 * time.Second, PingTimeout: time.Second}}
	frameTest(t, tr, func(h *framed) {
		h.used()
		start := time.Now()
		post := h.starts("POST", "x")[0]
		post.breaks()
		if took := time.Since(start); took != 4*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestABlackHoleIsNotNoticedWithoutPings(t *testing.T) {
	tr := &peerpool.Transport{HTTP2: &http.HTTP2Config{SendPingTimeout: -1}}
	frameTest(t, tr, func(h *framed) {
		hole := h.used()
		call := h.fetch("x")
		req := hole.request()
		time.Sleep(24 * time.Hour)
		call.pending()
		hole.Respond(req.Stream, 200, "late")
		call.gets("late")
		h.works(hole) // not even a reuse is checked
	})
}

func TestABlackHoleWithinAResponseIsAnErrorOfItsBody(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		calls := h.starts("GET", "1", "2")
		hole := h.welcome()
		hole.requests(2)
		hole.Head(1, 200, false)
		hole.Data(1, "half", false)
		fresh := func() *peer {
			calls[0].ended()
			if err := calls[0].err; err == nil || err.Error() != "http2: client connection lost" || calls[0].body != "half" {
				t.Errorf("%q, %v", calls[0].body, err)
			}
			return h.welcome()
		}()
		fresh.answer()
		calls[1].gets("/2")
		h.closes("ping_timeout", 1)
		h.events.wantRetries(t, "lost")
		hole.hungUp()
	})
}

// probe waits until the client asks whether the server is still there: by a PING, or by SETTINGS that set nothing.
func (p *peer) probe() *httptestutil.Frame {
	p.t.Helper()
	for f := p.Next(); f != nil; f = p.Next() {
		if f.Type == http2.FramePing || f.Type == http2.FrameSettings && !f.Flags.Has(http2.FlagSettingsAck) {
			return f
		}
	}
	p.t.Fatalf("no probe: %v", p.Err())
	return nil
}

func TestASlowServerThatAnswersPingsIsWaitedFor(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		call := h.fetch("x")
		p := h.welcome()
		req := p.request()
		start := time.Now()
		for range 20 {
			p.probe()
		}
		if took := time.Since(start); took != 20*15*time.Second {
			t.Errorf("20 probes in %v", took)
		}
		p.Respond(req.Stream, 200, "late")
		call.gets("late")
		h.events.wantRetries(t)
	})
}

func TestAServerThatTalksIsNotPinged(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		call := h.fetch("x")
		p := h.welcome()
		req := p.request()
		p.Head(req.Stream, 200, false)
		for range 100 {
			time.Sleep(10 * time.Second)
			p.Data(req.Stream, "x", false)
		}
		p.Data(req.Stream, "", true)
		call.gets(strings.Repeat("x", 100))
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
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		p := h.used()
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
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		p := h.used()
		time.Sleep(15*time.Second - 1)
		call := h.fetch("soon")
		if got := p.answer(); got.Path != "/soon" { // without more ado
			t.Errorf("%+v", got)
		}
		call.gets("/soon")
		time.Sleep(15 * time.Second)
		start := time.Now()
		calls := h.starts("POST", "1", "2", "3")
		f := p.Next()
		for f.Type == http2.FrameSettings || f.Type == http2.FrameWindowUpdate {
			f = p.Next()
		}
		if f.Type != http2.FramePing {
			t.Errorf("%+v before the ping", f)
		}
		for range calls {
			p.answer()
		}
		for i, path := range []string{"/1", "/2", "/3"} {
			calls[i].gets(path)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("it took %v", took)
		}
		h.events.wantRetries(t)
		h.dials(1)
	})
}

func TestAQuietConnectionThatIsGoneCostsTwoSeconds(t *testing.T) {
	for _, method := range []string{"GET", "POST"} {
		t.Run(method, func(t *testing.T) {
			frameTest(t, &peerpool.Transport{}, func(h *framed) {
				hole := h.used()
				h.dialSlowly()
				time.Sleep(time.Minute)
				start := time.Now()
				body := trackBody(strings.NewReader("body"))
				calls := []*call{h.start(h.request(method, "1", body)), h.start(h.request(method, "2", nil))}
				time.Sleep(2*time.Second + slowly)
				fresh := h.welcome()
				got := fresh.answer().Path + fresh.answer().Path
				if got != "/1/2" && got != "/2/1" {
					t.Errorf("%s", got)
				}
				calls[0].gets("/1body")
				calls[1].gets("/2")
				if took := time.Since(start); took != 2*time.Second+slowly {
					t.Errorf("it took %v", took)
				}
				hole.hungUp()
				h.closes("ping_timeout", 1)
				h.events.wantRetries(t, "unsent", "unsent") // of any method: nothing was written
				h.dials(2)
			})
		})
	}
}

func TestACallerWhoGivesUpDuringTheCheckLeavesItToTheOthers(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		p := h.used()
		time.Sleep(time.Minute)
		req, cancel := h.cancelable("1")
		first, second := h.start(req), h.fetch("2")
		synctest.Wait()
		cancel(errChangedMind)
		if first.ended(); first.err != context.Canceled {
			t.Errorf("%v", first.err)
		}
		second.pending()
		p.answer()
		second.gets("/2")
		h.works(p)
		h.dials(1)
	})
}

func TestABlackHoleIsNoticedOnAConnectionOnItsWayOut(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		calls := h.starts("GET", "1", "3")
		hole := h.welcome()
		hole.requests(2)
		hole.Head(1, 200, false)
		hole.GoAway(3, http2.ErrCodeNo)
		calls[0].ended()
		if err := calls[0].err; err == nil || err.Error() != "http2: client connection lost" {
			t.Errorf("%v", err)
		}
		h.welcome().answer()
		calls[1].gets("/3")
		hole.hungUp()
		h.closes("goaway", 1) // that came first
		h.events.wantRetries(t, "lost")
	})
}

// net/http's Transport, by default, does not look: the same black hole has it wait for ever.
func TestNetHTTPWaitsForEverInABlackHole(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		theirs := &http.Transport{DialContext: h.ln.Dial, Protocols: h.Protocols}
		call := &call{t: t, done: make(chan struct{})}
		go func() {
			defer close(call.done)
			call.resp, call.err = theirs.RoundTrip(h.request("GET", "x", nil))
		}()
		p := h.welcome()
		p.request()
		time.Sleep(24 * time.Hour)
		call.pending()
		p.Close()
		call.ended()
	})
}
