package http1

import (
	"testing"
	"testing/synctest"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/exchange"
)

func wantRest(t *testing.T, c *Conn, want Condition) {
	t.Helper()
	if got := c.Rest(); got != want {
		t.Errorf("at rest it is %d, want %d", got, want)
	}
}

// The bytes may come with any answer, not only with the first.
func TestRestFindsBytesThatCameWithAnyAnswer(t *testing.T) {
	for _, clean := range []int{0, 1, 2} {
		script := func(w *httptestutil.WireConn) {
			for range clean {
				w.ReadRequest()
				w.Write(hello)
			}
			w.ReadRequest()
			w.WriteRecords(hello, evil)
			w.WaitClosed()
		}
		probed(t, script, func(t *testing.T, c *Conn) {
			if c.raw == nil {
				t.Skip("a pending read finds them when its goroutine has had its turn")
			}
			for range clean {
				carry(t, c)
				wantRest(t, c, Quiet)
				wantCondition(t, c, Quiet)
			}
			e := exchangeOn(c, get(t))
			wantBody(t, run(t, e), "hello")
			if c.tls() == nil {
				wantEnd(t, e, exchange.EndUnexpected)
				return
			}
			wantEnd(t, e, exchange.Reusable)
			wantRest(t, c, Unexpected)
			wantCondition(t, c, Unexpected)
		})
	}
}

// The probe before the next use finds such bytes.
func TestWhatComesDuringARestIsLeftToTheProbe(t *testing.T) {
	idle := make(chan struct{}, len(kinds))
	probed(t, httptestutil.ReplyThenExtra(hello, idle, evil), func(t *testing.T, c *Conn) {
		carry(t, c)
		wantRest(t, c, Quiet)
		idle <- struct{}{}
		eventually(t, c, Unexpected)
	})
}

func TestAnAbortedConnectionDoesNotRest(t *testing.T) {
	probed(t, httptestutil.Replies(hello), func(t *testing.T, c *Conn) {
		carry(t, c)
		c.Abort(errReason)
		wantRest(t, c, PeerClosed)
	})
}

// Nothing of such a request is written, so no exchange takes the pending read over.
func TestARequestThatIsUnfitLeavesThePendingReadToTheIdling(t *testing.T) {
	hangUp := func(p *peer) { p.Close() }
	idling(t, hangUp, func(t *testing.T, c *Conn, idle chan<- bool, told <-chan Condition) {
		unfit := get(t)
		unfit.ContentLength = 5 // of no body
		e := exchangeOn(c, unfit)
		if err := runFails(t, e); e.Wrote || e.Touched {
			t.Errorf("after %v: Wrote %v, Touched %v", err, e.Wrote, e.Touched)
		}
		wantEnd(t, e, exchange.EndUnfit)
		wantCondition(t, c, Quiet)
		idle <- true
		synctest.Wait()
		select {
		case got := <-told:
			if got != PeerClosed {
				t.Errorf("the connection reports %d, want %d", got, PeerClosed)
			}
		default:
			t.Error("the peer has closed the connection, and nothing reports that")
		}
	})
}
