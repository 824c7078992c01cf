package peerpool_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/peerpool/peerpool"
	"golang.org/x/net/http2"
)

func TestARequestThatHTTP2CannotCarryIsNotTriedAgain(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		c := h.start(with(h.request(http.MethodGet, "", nil), "Connection: upgrade", "Upgrade: foo"))
		h.welcome()
		c.ended()
		if c.err == nil || c.err.Error() != `http2: invalid Upgrade request header: ["foo"]` {
			t.Errorf("%T %v", c.err, c.err)
		}
		h.dials(1)
	})
}

func TestARequestLargerThanTheServerTakesIsNotTriedAgain(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		first := h.fetch("first")
		p := h.accept()
		p.Settings(http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: 1000})
		p.answer()
		first.gets("/first")
		c := h.start(with(h.request(http.MethodGet, "", nil), "X-Long: "+strings.Repeat("x", 2000)))
		c.ended()
		if err := c.breaks(); err.Wrote {
			t.Errorf("%v, want that nothing was written", err.Attempt)
		}
		h.dials(1)
		h.works(p)
	})
}

func TestAConnectionThatARequestWantsClosedIsNotOfferedToOthers(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		long := h.fetch("long")
		p := h.welcome()
		l := p.request()
		closing := h.start(with(h.request(http.MethodGet, "closing", nil), "Connection: close"))
		p.answer()
		closing.gets("/closing")
		next := h.fetch("next")
		p2 := h.welcome()
		p2.answer()
		next.gets("/next")
		p.Respond(l.Stream, 200, "done")
		long.gets("done")
		if n := h.Stats().Retries; n != (peerpool.Retries{}) {
			t.Errorf("%+v", n)
		}
	})
}
