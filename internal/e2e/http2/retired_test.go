package http2_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	"golang.org/x/net/http2"
)

func TestAServerThatGoesAwayBeforeTheFirstRequestIsAskedAgain(t *testing.T) {
	dialed, gone := make(chan struct{}, 1), make(chan struct{})
	events := testkit.NewLedger()
	o := events.Observer()
	hook := o.DialDone
	o.DialDone = func(ctx context.Context, d peerpool.DialDone) {
		if hook != nil {
			hook(ctx, d)
		}
		select {
		case dialed <- struct{}{}:
			<-gone
		default:
		}
	}
	testkit.FrameTest(t, &peerpool.Transport{Observer: o}, func(h *testkit.Framed) {
		gone = make(chan struct{})
		call := h.Start(h.Request("POST", "x", nil))
		old := h.Welcome()
		old.GoAway(0, http2.ErrCodeNo)
		synctest.Wait()
		close(gone)
		h.Welcome().Answer()
		call.Gets("/x")
		h.Dials(2)
	})
}
