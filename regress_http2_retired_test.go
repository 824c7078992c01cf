package peerpool_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/peerpool/peerpool"
	"golang.org/x/net/http2"
)

func TestAServerThatGoesAwayBeforeTheFirstRequestIsAskedAgain(t *testing.T) {
	dialed, gone := make(chan struct{}, 1), make(chan struct{})
	events := newLedger()
	o := events.observer()
	hook := o.Dialed
	o.Dialed = func(ctx context.Context, d peerpool.Dialed) {
		if hook != nil {
			hook(ctx, d)
		}
		select {
		case dialed <- struct{}{}:
			<-gone
		default:
		}
	}
	frameTest(t, &peerpool.Transport{Observer: o}, func(h *framed) {
		gone = make(chan struct{})
		call := h.start(h.request("POST", "x", nil))
		old := h.welcome()
		old.GoAway(0, http2.ErrCodeNo)
		synctest.Wait()
		close(gone)
		h.welcome().answer()
		call.gets("/x")
		h.dials(2)
	})
}
