package peerpool_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"

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
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		var conns []*muzzled
		dial := h.DialContext
		h.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := dial(ctx, network, addr)
			conns = append(conns, &muzzled{Conn: nc})
			return conns[len(conns)-1], err
		}
		first := h.fetch("first")
		p := h.welcome()
		p.request()
		conns[0].mute.Store(true)
		second := h.fetch("second") // is written by a goroutine of its own
		if err := first.breaks(); err.Timeout() {
			t.Errorf("%v is called a timeout", err)
		}
		p = h.welcome() // for the second, whose connection had served before
		p.answer()
		second.gets("/second")
	})
}
