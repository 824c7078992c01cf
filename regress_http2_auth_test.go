package peerpool_test

import (
	"net/http"
	"testing"

	"github.com/peerpool/peerpool"
)

func TestARequestThatBindsItsConnectionSharesNoHTTP2ConnectionWithThoseUnderWay(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		plain := h.fetch("plain")
		shared := h.welcome()
		under := shared.request()
		bound := h.start(with(h.request(http.MethodGet, "bound", nil), "Authorization: Negotiate dG9rZW4="))
		own := h.welcome()
		answered := own.request()
		other := h.fetch("other")
		shared.answer()
		other.gets("/other")
		own.Respond(answered.Stream, 200, "bound")
		bound.gets("bound")
		own.hungUp()
		shared.Respond(under.Stream, 200, "plain")
		plain.gets("plain")
		h.dials(2)
	})
}
