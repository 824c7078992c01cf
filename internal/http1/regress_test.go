package http1

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/peerpool/peerpool/internal/exchange"
)

// TestARequestThatIsUnfitLeavesThePendingReadToTheIdling: nothing was written, so that no exchange takes it over.
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
				t.Errorf("it tells of %d, want %d", got, PeerClosed)
			}
		default:
			t.Error("the peer has closed the connection, and nobody is told")
		}
	})
}

// TestABodyThatIsClosedCountsAsTouched though not a byte was read from it, as the head could not be written.
func TestABodyThatIsClosedCountsAsTouched(t *testing.T) {
	with(t, 0, func(p *peer) { p.say(tooMuch); p.untilClosed() }, func(t *testing.T, c *Conn) {
		body := &tracked{Reader: strings.NewReader("hello")}
		e := exchangeOn(NewConn(&mute{c.NetConn(), 0}), request(t, http.MethodPost, "http://example.test/", body))
		wantBody(t, run(t, e), "no")
		wantEnd(t, e, exchange.EndUnsent)
		body.wantClosedOnce(t)
		if !e.Touched {
			t.Error("the exchange says that the body can be sent again")
		}
	})
}

func TestNTLMBindsAConnectionUnderAnySpellingOfItsField(t *testing.T) {
	for _, name := range []string{"authorization", "AUTHORIZATION", "proxy-Authorization"} {
		with(t, 0, answers(hello), func(t *testing.T, c *Conn) {
			req := get(t)
			req.Header[name] = []string{"Negotiate AAAA"}
			e := exchangeOn(c, req)
			wantBody(t, run(t, e), "hello")
			wantEnd(t, e, exchange.EndAuth)
		})
	}
}

// TestACondemnedConnectionIsOpenUntilItIsCut, so that a lock may be held while it is condemned.
func TestACondemnedConnectionIsOpenUntilItIsCut(t *testing.T) {
	var far *peer
	with(t, 0, func(p *peer) { far = p; p.untilClosed() }, func(t *testing.T, c *Conn) {
		if !c.condemn(errReason) || c.condemn(errReason) {
			t.Error("not exactly one of two has to cut the connection")
		}
		synctest.Wait()
		if _, err := far.Write([]byte("x")); err != nil {
			t.Errorf("the connection is closed before it is cut: %v", err)
		}
		wantCondition(t, c, PeerClosed) // never to be used again
		c.cut()
		synctest.Wait()
		if _, err := c.NetConn().Write([]byte("x")); err == nil {
			t.Error("the connection is open after it was cut")
		}
	})
}
