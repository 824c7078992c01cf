package http2_test

import (
	"testing"
	"time"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
)

func TestACheckThatFailsSparesWhatIsUnderWay(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		under, stream, slow := h.Suspected()
		slow.Mute = true
		next := h.Fetch("next")
		time.Sleep(2 * time.Second)
		fresh := h.Welcome()
		fresh.Answer()
		next.Gets("/next")
		time.Sleep(5 * time.Second)
		under.Pending()
		slow.Respond(stream, 200, "late")
		under.Gets("late")
		slow.HungUp()
		h.Closes("ping_timeout", 1)
	})
}

func TestAConnectionThatHasBeenHeardOfSinceIsNotChecked(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		under, stream, p := h.Suspected()
		p.Respond(stream, 200, "answer")
		under.Gets("answer")
		p.Mute = true
		h.Works(p)
		h.Dials(1)
	})
}
