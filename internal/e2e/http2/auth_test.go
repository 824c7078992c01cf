package http2_test

import (
	"net/http"
	"testing"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
)

func TestARequestThatBindsItsConnectionSharesNoHTTP2ConnectionWithThoseUnderWay(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		plain := h.Fetch("plain")
		shared := h.Welcome()
		under := shared.Request()
		bound := h.Start(testkit.With(h.Request(http.MethodGet, "bound", nil), "Authorization: Negotiate dG9rZW4="))
		own := h.Welcome()
		answered := own.Request()
		other := h.Fetch("other")
		shared.Answer()
		other.Gets("/other")
		own.Respond(answered.Stream, 200, "bound")
		bound.Gets("bound")
		own.HungUp()
		shared.Respond(under.Stream, 200, "plain")
		plain.Gets("plain")
		h.Dials(2)
	})
}
