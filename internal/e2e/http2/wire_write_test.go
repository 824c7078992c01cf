package http2_test

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool/internal/h2server"
	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"golang.org/x/net/http2"
)

func TestNoRequestIsSentOnAConnectionThatCannotBeWrittenTo(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		down := new(atomic.Bool)
		h.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := h.Ln.Dial(ctx, network, addr)
			if h.Ln.Dials() == 1 {
				nc = testkit.Deaf{Conn: nc, Down: down}
			}
			return nc, err
		}
		p := h.Used()
		synctest.Wait()
		down.Store(true)
		// Of the first one nobody knows how far it came. The next ones do not even try.
		first := h.Starts("POST", "first")[0]
		others := h.Starts("POST", "1", "2")
		fresh := h.Welcome()
		fresh.Answer()
		fresh.Answer()
		others[0].Gets("/1")
		others[1].Gets("/2")
		if err := first.Breaks(); !err.Wrote || err.Started {
			t.Errorf("%+v", err)
		}
		h.Events.WantRetries(t)
		h.Closes("peer_closed", 1)
		p.HungUp()
		h.Dials(2)
	})
}

func TestAServerThatStopsReadingIsGivenUp(t *testing.T) {
	httptestutil.CheckLeaks(t)
	wire := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
		f := h2server.FramesOn(c.Conn(), c)
		f.Settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
		f.Window(0, 1<<30)
		f.ReadRequest() // and no more
		c.Stall()
	})
	h2c := new(http.Protocols)
	h2c.SetUnencryptedHTTP2(true)
	s := testkit.Observe(t, &peerpool.Transport{Protocols: h2c, HTTP2: &http.HTTP2Config{
		SendPingTimeout: time.Second, PingTimeout: time.Second,
	}})
	body := testkit.TrackBody(testkit.Sized(1 << 28))
	err := testkit.FailsToExchange(s, testkit.NewRequest(t, http.MethodPost, wire.URL(), body))
	if err.Error() != "http2: client connection lost" || !err.Wrote || err.Started {
		t.Errorf("%+v", err)
	}
	body.WantClosed(t)
	s.Closes("ping_timeout", 1)
}
