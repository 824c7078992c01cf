package fault_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	"golang.org/x/net/http2"
)

// TestTheLastTryDialsAlsoIfConnectionsRetiredBeforeTheirUse checks the last try when earlier connections retired before
// their use. Each of those counts as a try, and a connection that has been used may be gone as well, so the last try dials.
func TestTheLastTryDialsAlsoIfConnectionsRetiredBeforeTheirUse(t *testing.T) {
	events := testkit.NewLedger()
	o := events.Observer()
	var dials atomic.Int32
	var held chan struct{} // a dial that is about to bring another connection than the first
	o.DialDone = func(context.Context, peerpool.DialDone) {
		if dials.Add(1) > 1 {
			<-held
		}
	}
	testkit.FrameTest(t, &peerpool.Transport{Observer: o, MaxConnStreams: 1}, func(h *testkit.Framed) {
		held = make(chan struct{})
		first := h.Start(h.Request("GET", "a", nil))
		used := h.Welcome()
		synctest.Wait()
		second := h.Start(h.Request("POST", "b", nil))
		for range 2 {
			h.Welcome().GoAway(0, http2.ErrCodeNo)
			synctest.Wait()
			held <- struct{}{}
			synctest.Wait()
		}
		used.Answer()
		first.Gets("/a")
		second.Pending()
		last := h.Welcome()
		held <- struct{}{}
		last.Answer()
		second.Gets("/b")
		h.Dials(4)
	})
}
