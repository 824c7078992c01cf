package peerpool_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool"
)

// suspected returns the server's end of a connection with a request under way, of which there is reason to believe
// that it is gone: another request was canceled before anything came. From here on a moment has passed.
func (h *framed) suspected() (under *call, stream uint32, p *peer) {
	h.t.Helper()
	under = h.starts("POST", "under-way")[0]
	p = h.welcome()
	stream = p.request().Stream
	req, cancel := h.cancelable("canceled")
	canceled := h.start(req)
	p.request()
	cancel(errChangedMind)
	canceled.ended()
	synctest.Wait()
	time.Sleep(time.Millisecond)
	return under, stream, p
}

func TestACheckThatFailsSparesWhatIsUnderWay(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		under, stream, slow := h.suspected()
		slow.Mute = true
		next := h.fetch("next")
		time.Sleep(2 * time.Second)
		fresh := h.welcome()
		fresh.answer()
		next.gets("/next")
		time.Sleep(5 * time.Second)
		under.pending()
		slow.Respond(stream, 200, "late")
		under.gets("late")
		slow.hungUp()
		h.closes("ping_timeout", 1)
	})
}

func TestAConnectionThatHasBeenHeardOfSinceIsNotChecked(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		under, stream, p := h.suspected()
		p.Respond(stream, 200, "answer")
		under.gets("answer")
		p.Mute = true
		h.works(p)
		h.dials(1)
	})
}
