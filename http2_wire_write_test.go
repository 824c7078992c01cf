package peerpool_test

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"golang.org/x/net/http2"
)

func TestNoRequestIsSentOnAConnectionThatCannotBeWrittenTo(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		down := new(atomic.Bool)
		h.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := h.ln.Dial(ctx, network, addr)
			if h.ln.Dials() == 1 {
				nc = deaf{nc, down}
			}
			return nc, err
		}
		p := h.used()
		synctest.Wait()
		down.Store(true)
		// Of the first one nobody knows how far it came. The next ones do not even try.
		first := h.starts("POST", "first")[0]
		others := h.starts("POST", "1", "2")
		fresh := h.welcome()
		fresh.answer()
		fresh.answer()
		others[0].gets("/1")
		others[1].gets("/2")
		if err := first.breaks(); !err.Wrote || err.Started {
			t.Errorf("%+v", err)
		}
		h.events.wantRetries(t)
		h.closes("peer_closed", 1)
		p.hungUp()
		h.dials(2)
	})
}

func TestAServerThatStopsReadingIsGivenUp(t *testing.T) {
	httptestutil.CheckLeaks(t)
	wire := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
		f := c.Frames()
		f.Settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
		f.Window(0, 1<<30)
		f.ReadRequest() // and no more
		c.Stall()
	})
	h2c := new(http.Protocols)
	h2c.SetUnencryptedHTTP2(true)
	s := observe(t, &peerpool.Transport{Protocols: h2c, HTTP2: &http.HTTP2Config{
		SendPingTimeout: 50 * time.Millisecond, PingTimeout: 50 * time.Millisecond,
	}})
	body := trackBody(sized(1 << 28))
	err := failsToExchange(s, newRequest(t, http.MethodPost, wire.URL(), body))
	if err.Error() != "http2: client connection lost" || !err.Wrote || err.Started {
		t.Errorf("%+v", err)
	}
	body.wantClosed(t)
	s.closes("ping_timeout", 1)
}
