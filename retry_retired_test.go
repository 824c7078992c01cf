package peerpool_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/peerpool/peerpool"
	"golang.org/x/net/http2"
)

// TestTheLastTryDialsAlsoIfConnectionsRetiredBeforeTheirUse: each of those is a try, and a connection that has been
// used may be gone as well.
func TestTheLastTryDialsAlsoIfConnectionsRetiredBeforeTheirUse(t *testing.T) {
	events := newLedger()
	o := events.observer()
	var dials atomic.Int32
	var held chan struct{} // a dial that is about to bring another connection than the first
	o.Dialed = func(context.Context, peerpool.Dialed) {
		if dials.Add(1) > 1 {
			<-held
		}
	}
	frameTest(t, &peerpool.Transport{Observer: o, MaxConnStreams: 1}, func(h *framed) {
		held = make(chan struct{})
		first := h.start(h.request("GET", "a", nil))
		used := h.welcome()
		synctest.Wait()
		second := h.start(h.request("POST", "b", nil))
		for range 2 {
			h.welcome().GoAway(0, http2.ErrCodeNo)
			synctest.Wait()
			held <- struct{}{}
			synctest.Wait()
		}
		used.answer()
		first.gets("/a")
		second.pending()
		last := h.welcome()
		held <- struct{}{}
		last.answer()
		second.gets("/b")
		h.dials(4)
	})
}
