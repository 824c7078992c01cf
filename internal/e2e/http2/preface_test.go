package http2_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	"golang.org/x/net/http2"
)

func TestARequestThatHTTP2CannotCarryIsNotTriedAgain(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		c := h.Start(testkit.With(h.Request(http.MethodGet, "", nil), "Connection: upgrade", "Upgrade: foo"))
		h.Welcome()
		c.Ended()
		if c.Err == nil || c.Err.Error() != `http2: invalid Upgrade request header: ["foo"]` {
			t.Errorf("%T %v", c.Err, c.Err)
		}
		h.Dials(1)
	})
}

func TestARequestLargerThanTheServerTakesIsNotTriedAgain(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		first := h.Fetch("first")
		p := h.Accept()
		p.Settings(http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: 1000})
		p.Answer()
		first.Gets("/first")
		c := h.Start(testkit.With(h.Request(http.MethodGet, "", nil), "X-Long: "+strings.Repeat("x", 2000)))
		c.Ended()
		if err := c.Breaks(); err.Wrote {
			t.Errorf("%v, want that nothing was written", err.Attempt)
		}
		h.Dials(1)
		h.Works(p)
	})
}

func TestAConnectionThatARequestWantsClosedIsNotOfferedToOthers(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		long := h.Fetch("long")
		p := h.Welcome()
		l := p.Request()
		closing := h.Start(testkit.With(h.Request(http.MethodGet, "closing", nil), "Connection: close"))
		p.Answer()
		closing.Gets("/closing")
		next := h.Fetch("next")
		p2 := h.Welcome()
		p2.Answer()
		next.Gets("/next")
		p.Respond(l.Stream, 200, "done")
		long.Gets("done")
		if n := h.Stats().Retries; n != (peerpool.Retries{}) {
			t.Errorf("%+v", n)
		}
	})
}
