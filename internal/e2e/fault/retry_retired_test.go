package fault_test

import (
	"context"
	"io"
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

// TestAConnectionThatEndsBeforeItsUseFailsARequestAsLaterInIt has every connection end when it has been dialed and no request
// has it yet.
func TestAConnectionThatEndsBeforeItsUseFailsARequestAsLaterInIt(t *testing.T) {
	for _, c := range []struct {
		end  func(*testkit.Peer)
		text string
	}{
		{func(p *testkit.Peer) { p.Nc.Close() }, io.ErrUnexpectedEOF.Error()},
		{func(p *testkit.Peer) { p.GoAway(0, http2.ErrCodeNo) }, "http2: Transport received Server's graceful shutdown GOAWAY"},
		{func(p *testkit.Peer) { p.GoAway(0, http2.ErrCodeInternal) }, "http2: Transport received GOAWAY from server ErrCode:INTERNAL_ERROR"},
	} {
		events := testkit.NewLedger()
		o := events.Observer()
		var held chan struct{}
		o.DialDone = func(context.Context, peerpool.DialDone) { <-held }
		testkit.FrameTest(t, &peerpool.Transport{Observer: o}, func(h *testkit.Framed) {
			held = make(chan struct{})
			call := h.Start(h.Request("GET", "a", nil))
			for range 3 {
				c.end(h.Welcome())
				synctest.Wait()
				held <- struct{}{}
				synctest.Wait()
			}
			if call.Ended(); call.Err == nil || call.Err.Error() != c.text {
				t.Errorf("got %v, want %q", call.Err, c.text)
			}
			h.Dials(3)
		})
	}
}
