package http1

import (
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool/internal/nettest"
)

// slowWrites is a layer of unknown type whose Write takes a while.
type slowWrites struct {
	net.Conn
	takes time.Duration
}

func (s slowWrites) Write(p []byte) (int, error) {
	time.Sleep(s.takes)
	return len(p), nil
}

// A limit that passes at the moment at which a write returns must not end the exchange that has the connection next.
func TestAWriteLimitThatPassesIsKnownWhenTheWriteReturns(t *testing.T) {
	for range 500 {
		synctest.Test(t, func(t *testing.T) {
			nc, peer := net.Pipe()
			defer peer.Close()
			defer nc.Close()
			c := NewConn(slowWrites{nc, time.Second})
			_, _ = c.writeWithin([]byte("body"), time.Second)
			before := c.aborted()
			synctest.Wait()
			if later := c.aborted(); later != before {
				t.Fatalf("aborted later: %v", later)
			}
		})
		if t.Failed() {
			return
		}
	}
}

// A layer of unknown type does not say how much of a write has been sent before the write returns.
func TestAPeerBehindALayerThatTakesALittleAtATimeIsNotOutOfTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nc, peer := net.Pipe()
		var taking sync.WaitGroup
		taking.Go(func() {
			for buf := make([]byte, maxPiece/2); ; time.Sleep(400 * time.Millisecond) { // longer than the limit in all
				if _, err := peer.Read(buf); err != nil {
					return
				}
			}
		})
		c := NewConn(struct{ net.Conn }{nc})
		const size = 8 * maxPiece
		if n, err := c.writeWithin(make([]byte, size), time.Second); n != size || err != nil {
			t.Errorf("%d bytes written, %v", n, err)
		}
		nc.Close()
		taking.Wait()
	})
}

// The limit is so long that no peer on a busy machine pauses for it.
func TestAPeerThatTakesALittleAtATimeIsNotOutOfTime(t *testing.T) {
	t.Parallel()
	nc, peer := nettest.TCPPair(t)
	_ = nc.SetWriteBuffer(16 << 10)
	_ = peer.SetReadBuffer(16 << 10)

	const size, limit = 1 << 20, 2 * time.Second
	go func() {
		for buf := make([]byte, 8<<10); ; time.Sleep(20 * time.Millisecond) { // longer than the limit in all
			if _, err := peer.Read(buf); err != nil {
				return
			}
		}
	}()
	c := NewConn(nc)
	if n, err := c.writeWithin(make([]byte, size), limit); n != size || err != nil {
		t.Errorf("%d bytes written, %v", n, err)
	}
	c.endWriteLimit(limit)
	time.Sleep(limit)
	if _, err := io.WriteString(c, "later"); err != nil {
		t.Errorf("after the limit was taken back: %v", err)
	}
}
