package http2

import (
	"crypto/tls"
	"net"
	"sync/atomic"
	"time"

	"github.com/peerpool/peerpool/internal/exchange"
)

// prefaceLen is the length in bytes of what a client says before its first frame (RFC 9113 section 3.4).
const prefaceLen = 24

// closeWait is how long closing may take to say goodbye to a peer that does not listen.
const closeWait = 250 * time.Millisecond

// wire is the net.Conn that x/net works with: ours, and an eye on what passes.
type wire struct {
	net.Conn
	c   *Conn
	in  frames // touched by x/net's reader only
	out frames // touched by x/net's writers, which take turns
	box outbox // what goes out

	lastStream atomic.Uint32 // whose HEADERS have been written last; 0: that is known already, see wroteHeaders
}

func newWire(nc net.Conn, c *Conn) *wire {
	w := &wire{Conn: nc, c: c, out: frames{skip: prefaceLen}}
	w.box.init(nc)
	return w
}

// Read is called on x/net's reading goroutine, which holds no lock.
func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if n > 0 {
		w.c.heard.Store(w.c.now())
		w.in.follow(p[:n], telling, w.c.saw)
	}
	if err != nil {
		w.c.over(ReasonPeerClosed)
		if failed := w.box.failure(); failed != nil && exchange.IsTimeout(err) {
			err = failed // the deadline is ours, see drainWait
		}
	}
	return n, err
}

// telling says which of the server's frames are looked at.
func telling(k frameKind) bool {
	return k == frameSettings || k == frameGoAway || k == frameRSTStream
}

// Write is called by x/net's writers. It returns before p is written, except for the first words of the connection,
// whose failure is that of the dial, and where each write has a deadline.
func (w *wire) Write(p []byte) (int, error) {
	direct := w.out.skip > 0 || w.c.engine.timed
	write := w.box.hold
	if direct {
		write = w.box.write
	}
	n, err := write(p)
	w.out.follow(p[:n], isHeaders, w.sent)                  // what has not been written is on no stream
	if err != nil && (n == 0 || !exchange.IsTimeout(err)) { // x/net goes on after a timeout as long as there is progress
		w.c.over(ReasonPeerClosed)
	}
	return n, err
}

func isHeaders(k frameKind) bool { return k == frameHeaders }

func (w *wire) sent(f frame) { w.lastStream.Store(f.stream) }

// Close says goodbye, but not for long. Where nothing else has ended the connection, it is x/net that closes it, as the
// server has broken the protocol.
func (w *wire) Close() error {
	w.c.over(ReasonProtocol)
	below := w.Conn
	if t, ok := below.(*tls.Conn); ok {
		below = t.NetConn()
	}
	defer time.AfterFunc(closeWait, func() { below.Close() }).Stop()
	w.box.close()
	return w.Conn.Close()
}

// tlsWire shows x/net the TLS state, for http.Response.TLS.
type tlsWire struct {
	*wire
	state tls.ConnectionState
}

func (w tlsWire) ConnectionState() tls.ConnectionState { return w.state }
