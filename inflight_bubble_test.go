package peerpool

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/nettest"
)

// inABubble sends a request through tr to a server in memory that never answers, and cancels it without letting any
// time pass.
func inABubble(t *testing.T, tr *Transport) {
	t.Helper()
	ln := httptestutil.NewListener(0)
	httptestutil.NewWireWith(t, httptestutil.WireOptions{Listener: ln, Bound: time.Hour}, func(c *httptestutil.WireConn) {
		c.ReadRequest()
		c.WaitClosed()
	})
	tr.DialContext = ln.Dial
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := peerAsync(tr, peerRequest(t, "http://example.test/", nil).WithContext(ctx))
	synctest.Wait()
	wantUnderWay(t, ended)
	cancel(errEnough)
	synctest.Wait()
	select {
	case err := <-ended:
		if err != errEnough {
			t.Errorf("got %v", err)
		}
	default:
		t.Error("still under way after it was canceled")
	}
	if tr.core.inflight.Sweeping() {
		t.Error("a sweep is to come, by the bubble's clock")
	}
}

// In a bubble, the first moment of a request could last for ever.
func TestInABubbleARequestIsListenedToFromTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { inABubble(t, &Transport{}) })
}

// A test whose certificates must be valid sleeps until today.
func TestABubbleThatHasSleptUntilTodayIsStillOne(t *testing.T) {
	today := time.Now()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(today))
		inABubble(t, &Transport{})
	})
}

func TestATransportMayBeUsedInABubbleAndOutsideAndInAnother(t *testing.T) {
	o := halting(t)
	var tr Transport
	outside := func() {
		tr.DialContext = nil
		req, _, cancel := hearable(t, o.URL()+"/head")
		before := o.Requests()
		ended := peerAsync(&tr, req)
		o.WaitRequests(before + 1)
		cancel(errEnough)
		if err := peerReceive(t, ended, "the request outside has ended"); err != errEnough {
			t.Errorf("outside: %v", err)
		}
		nettest.Eventually(t, "no sweep is to come", func() bool { return !tr.core.inflight.Sweeping() })
	}
	for range 2 {
		synctest.Test(t, func(t *testing.T) { inABubble(t, &tr) })
		outside()
	}
}
