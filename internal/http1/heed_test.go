package http1

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/peerpool/peerpool/internal/exchange"
)

// helloThenNothing answers the first request only.
func helloThenNothing(p *peer) {
	p.request()
	p.say(hello)
	p.request()
	p.untilClosed()
}

func TestAContextThatEndsLaterDoesNotHitTheNextExchange(t *testing.T) {
	serve := func(p *peer) {
		for range 2 {
			p.request()
			p.say(hello)
		}
		p.untilClosed()
	}
	with(t, 0, serve, func(t *testing.T, c *Conn) {
		req, cancelFirst := cancelable(get(t))
		wantBody(t, run(t, exchangeOn(c, req)), "hello")
		req, cancelSecond := cancelable(get(t))
		defer cancelSecond(nil)
		e := exchangeOn(c, req)
		resp := run(t, e)
		cancelFirst(errReason)
		synctest.Wait()
		wantBody(t, resp, "hello")
		wantEnd(t, e, exchange.Reusable)
	})
}

func TestEveryExchangeHeedsItsOwnContext(t *testing.T) {
	with(t, 0, helloThenNothing, func(t *testing.T, c *Conn) {
		req, cancelFirst := cancelable(get(t))
		wantBody(t, run(t, exchangeOn(c, req)), "hello")
		cancelFirst(errors.New("too late"))
		req, cancelSecond := cancelable(get(t))
		e := exchangeOn(c, req)
		go func() {
			synctest.Wait() // until the server has the request
			cancelSecond(errReason)
		}()
		if err := runFails(t, e); err != errReason {
			t.Errorf("the error is %v, want %v", err, errReason)
		}
		wantEnd(t, e, exchange.EndCanceled)
	})
}
