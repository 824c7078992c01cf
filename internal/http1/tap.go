package http1

import (
	"io"
	"net"
	"sync/atomic"
	"syscall"
)

// tap lies directly above a layer of unknown type. It counts the bytes that come out of the layer, and compares them with those
// that the socket below it has received. Most layers are transparent: they pass on as many bytes as they get. Of such a layer,
// the two numbers tell whether it holds anything. Of another layer, the tap still tells whether anything has arrived lately.
//
// The goroutine that runs the exchanges uses a tap. One more goroutine may be in Read.
type tap struct {
	io.ReadWriter // the layer
	raw           syscall.RawConn

	lag         int64 // bytes that had been taken from the socket at the last observation, and had not come out of the layer
	at          int64 // out, at the last observation
	seen        int64 // received by the socket, when nothing was known to be on its way
	transparent bool  // two observations with bytes between them have found the same lag
	opaque      bool  // more has come out of the layer than the socket has received

	out     atomic.Int64 // bytes that have come out of the layer
	reading atomic.Bool  // a Read has begun, and what it gets is not in out yet
}

// newTap returns a tap above a layer of unknown type. raw is the socket below the layer, or nil if that cannot be seen.
func newTap(layer io.ReadWriter, raw syscall.RawConn) *tap {
	t := &tap{ReadWriter: layer, raw: raw}
	t.lag, _ = t.taken() // a dialer may have spoken with a proxy
	return t
}

// tapped returns a layer with a tap above it, or just the layer if its type is known.
func tapped(layer net.Conn) io.ReadWriter {
	if _, _, veil := below(layer); veil != nil {
		return newTap(layer, veil.raw)
	}
	return layer
}

func (t *tap) Read(p []byte) (int, error) {
	t.reading.Store(true)
	n, err := t.ReadWriter.Read(p)
	t.reading.Store(false) // before out: see waits
	t.out.Add(int64(n))
	return n, err
}

// taken returns how many bytes the layer has taken from the socket, and how many the socket has received. If the system does
// not tell, received is -1.
func (t *tap) taken() (n, received int64) {
	if t.raw == nil {
		return 0, -1
	}
	queued := queuedIn(t.raw) // first: what arrives now must not seem to lie in the socket
	received, _ = receivedBy(t.raw)
	return received - queued, received
}

// observe is called before the pending read begins, while nobody reads.
func (t *tap) observe() {
	if t.transparent {
		return // and waits tells all
	}
	out := t.out.Load()
	taken, received := t.taken()
	t.seen = received
	t.transparent = !t.opaque && received >= 0 && taken-out == t.lag && out > t.at
	t.lag, t.at = taken-out, out
}

// waits reports whether the pending read waits for the peer: everything that the socket has received has come out of the layer,
// and somebody is in Read again. known is false if the layer is not transparent, or the system does not tell.
func (t *tap) waits() (waits, known bool) {
	if !t.transparent {
		return false, false
	}
	out := t.out.Load() // first: both numbers may grow
	received, open := receivedBy(t.raw)
	held := received - out - t.lag
	if held < 0 {
		t.transparent, t.opaque = false, true
		return false, false
	}
	return open && held == 0 && t.reading.Load(), true
}

// arrived reports whether the socket has received anything since arrived or observe was last called. It returns false if the
// system does not tell.
func (t *tap) arrived() bool {
	before := t.seen
	t.seen, _ = receivedBy(t.raw)
	return t.seen != before
}
