package http1

import (
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/exchange"
)

func wantRest(t *testing.T, c *Conn, want Condition) {
	t.Helper()
	if got := c.Rest(); got != want {
		t.Errorf("at rest it is %d, want %d", got, want)
	}
}

// TestRestFindsBytesThatCameWithAnyAnswer, not only with the first: every exchange reads anew.
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

// TestWhatComesDuringARestIsLeftToTheProbe before the next use.
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
