package http1

import (
	"bytes"
	"crypto/tls"
	"net"
	"sync/atomic"
	"testing"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// slowHands is a layer that hides its socket. If it is told to hold, it takes what has arrived, and returns it only after a
// while. This is what any layer does if the scheduler takes the processor away between its system call and its return.
type slowHands struct {
	net.Conn
	hold  atomic.Bool
	taken chan struct{}
}

func (s *slowHands) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if s.hold.CompareAndSwap(true, false) {
		close(s.taken)
		time.Sleep(50 * time.Millisecond)
	}
	return n, err
}

// overSlowHands are the connections for which a probe must know what such a layer holds.
var overSlowHands = map[string]connKind{
	"plain":         {},
	"asked TLS 1.2": {tls: tls.VersionTLS12, ask: true},
	"asked TLS 1.3": {tls: tls.VersionTLS13, ask: true},
}

// inSlowHands runs test when the layer under an idle connection has taken from the socket what the server does last.
func inSlowHands(t *testing.T, last func(*httptestutil.WireConn), test func(*testing.T, *Conn)) {
	for name, kind := range overSlowHands {
		t.Run(name, func(t *testing.T) {
			var layer *slowHands
			kind.over = func(nc net.Conn) net.Conn {
				layer = &slowHands{Conn: nc, taken: make(chan struct{})}
				return layer
			}
			idle := make(chan struct{}, 1)
			c := kind.dial(t, func(w *httptestutil.WireConn) {
				w.ReadRequest()
				w.Write(hello)
				w.Await(idle)
				last(w)
				w.ReadRequest()
			})
			if received, _ := receivedBy(c.veil.raw); received < 0 {
				t.Skip("this system does not tell how many bytes a socket has received")
			}
			carry(t, c)
			wantCondition(t, c, Quiet)
			layer.hold.Store(true)
			idle <- struct{}{}
			<-layer.taken
			test(t, c)
		})
	}
}

func TestAProbeKnowsThatALayerHoldsBytes(t *testing.T) {
	inSlowHands(t, func(w *httptestutil.WireConn) { w.Write(evil) }, func(t *testing.T, c *Conn) {
		wantCondition(t, c, Unexpected)
	})
}

func TestAProbeKnowsThatALayerHoldsTheEnd(t *testing.T) {
	inSlowHands(t, func(w *httptestutil.WireConn) { w.Close() }, func(t *testing.T, c *Conn) {
		wantCondition(t, c, PeerClosed)
	})
}

// rewriting is a layer that passes on something else than it gets.
type rewriting struct {
	net.Conn
	old, new string
}

func (r *rewriting) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p[:len(p)/2])
	return copy(p, bytes.ReplaceAll(bytes.Clone(p[:n]), []byte(r.old), []byte(r.new))), err
}

// TestALayerMayPassOnMoreOrLessThanItGets has the layer do so from its first exchange on; or later, when the tap takes it for
// transparent. What such a layer swallows later looks like bytes that it holds, which is not tested.
func TestALayerMayPassOnMoreOrLessThanItGets(t *testing.T) {
	const (
		server   = "Server: nobody\r\n"
		response = "HTTP/1.1 200 OK\r\n" + server + "Content-Length: 5\r\n\r\nhello"
	)
	for name, layer := range map[string]struct {
		rewriting
		from int // the number of the exchange
	}{
		"less":        {rewriting{old: server}, 0},
		"more":        {rewriting{old: server, new: "Server: somebody\r\n"}, 0},
		"more, later": {rewriting{old: server, new: "Server: somebody\r\n"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			made := new(rewriting)
			kind := connKind{over: func(nc net.Conn) net.Conn {
				made.Conn = nc
				return made
			}}
			idle := make(chan struct{}, 1)
			c := kind.dial(t, func(w *httptestutil.WireConn) {
				for range 4 {
					w.ReadRequest()
					w.Write(response)
				}
				w.Await(idle)
				w.Write(evil)
				w.ReadRequest()
			})
			for n := range 4 {
				if n == layer.from {
					made.old, made.new = layer.old, layer.new
				}
				carry(t, c)
				wantCondition(t, c, Quiet)
			}
			idle <- struct{}{}
			eventually(t, c, Unexpected)
		})
	}
}
