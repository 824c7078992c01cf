package http2_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
)

// muzzled is a connection whose writes fail from some moment on, while reading goes on.
type muzzled struct {
	net.Conn
	mute atomic.Bool
}

var errMuzzled = errors.New("muzzled")

func (m *muzzled) Write(p []byte) (int, error) {
	if m.mute.Load() {
		return 0, errMuzzled
	}
	return m.Conn.Write(p)
}

func TestAWriteThatFailsBehindAnHTTP2RequestIsNoTimeout(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		var conns []*muzzled
		dial := h.DialContext
		h.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := dial(ctx, network, addr)
			conns = append(conns, &muzzled{Conn: nc})
			return conns[len(conns)-1], err
		}
		first := h.Fetch("first")
		p := h.Welcome()
		p.Request()
		conns[0].mute.Store(true)
		second := h.Fetch("second") // is written by a goroutine of its own
		if err := first.Breaks(); err.Timeout() {
			t.Errorf("%v is called a timeout", err)
		}
		p = h.Welcome() // for the second, whose connection had served before
		p.Answer()
		second.Gets("/second")
	})
}

func TestAWriteOfItsOwnThatFailsIsNoTimeoutForThoseWhoRead(t *testing.T) {
	tr := &peerpool.Transport{HTTP2: &http.HTTP2Config{WriteByteTimeout: time.Hour}}
	testkit.FrameTest(t, tr, func(h *testkit.Framed) {
		var conn *muzzled
		dial := h.DialContext
		h.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := dial(ctx, network, addr)
			conn = &muzzled{Conn: nc}
			return conn, err
		}
		call := h.Fetch("x")
		p := h.Welcome()
		stream := p.Request().Stream
		p.Head(stream, 200, false)
		synctest.Wait()
		conn.mute.Store(true)
		p.Data(stream, strings.Repeat("x", 16<<10), false) // whose reader gives back the window, and does not learn that it can't
		call.Ended()
		if !errors.Is(call.Err, errMuzzled) {
			t.Errorf("%v, want what writing has failed with", call.Err)
		}
	})
}

func TestAServerThatIsGoneBeforeHTTP2BeginsIsNoFailedConnect(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		dial := h.DialContext
		h.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := dial(ctx, network, addr)
			conn := &muzzled{Conn: nc}
			conn.mute.Store(true)
			return conn, err
		}
		call := h.Starts("GET", "x")[0]
		if call.Ended(); !errors.Is(call.Err, errMuzzled) {
			t.Errorf("%v, want what writing has failed with", call.Err)
		}
		dials := h.Events.Dials()
		if len(dials) != 1 || dials[0].Hop != "http2" || dials[0].ErrorType != "connection_error" {
			t.Errorf("%+v", dials)
		}
		h.Dials(1)
		h.Events.WantRetries(t)
	})
}
