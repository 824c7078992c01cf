package http1

import (
	"io"
	"net"
	"sync/atomic"
	"syscall"
)

// records is what lies under a connection of crypto/tls that we make. It does three things that only whoever stands there
// can. It waits for the answer while it writes the request, see ask; for that it hands crypto/tls what an ask has
// received record by record, so that nothing is left in there, unseen, when the answer has been read. It knows whether
// crypto/tls has read a part of a record. And it can have crypto/tls go through what has arrived without waiting for more.
//
// Reading and writing belong to the exchange under way, as those of Conn do.
type records struct {
	net.Conn

	tcp    *net.TCPConn // Conn, if that is what it is
	out    io.Writer    // in place of Conn; nil: none
	conn   *Conn        // that asks; nil: nobody does
	in     *input       // received by an ask and not handed over yet, or nil
	record int32        // bytes of the record that is being handed over from it
	want   uint16       // bytes of the request that the next write is to carry, if that is an ask; else 0
	exact  bool         // a record is as long as its contents and a constant: TLS 1.3
	ahead  bool         // crypto/tls may have read more than it was asked for
	look   looking      // whether a Read may wait

	passed mark
	// These may be asked while somebody reads.
	inRecord atomic.Bool // what has passed ends within a record
	passing  atomic.Bool // something has passed since this was last taken back
}

// looking says how far a Read goes to find something.
type looking struct {
	is  bool            // it does not wait: it returns errNothing instead
	raw syscall.RawConn // and takes what has arrived at this socket; nil: not even that
}

// errNothing is a timeout, after which crypto/tls can be read on.
var errNothing error = &timeoutError{"peerpool: nothing has arrived"}

// recordOverhead is what a record of TLS 1.3 has besides its contents, which nobody pads: a header, the type and the
// tag of the cipher (RFC 8446 section 5.2).
const recordOverhead = recordHeader + 1 + 16

const recordHeader = 5

// UnderTLS returns what to put under a TLS connection in place of nc, so that all that arrives on it is seen, and
// exchanges on it cost less.
func UnderTLS(nc net.Conn) net.Conn {
	tcp, _ := nc.(*net.TCPConn)
	return &records{Conn: nc, tcp: tcp}
}

// NetConn returns what lies below, as that of crypto/tls does.
func (r *records) NetConn() net.Conn { return r.Conn }

// WriteThrough has what crypto/tls writes go to what through makes of the socket, if that is not nil.
func (r *records) WriteThrough(through func(*net.TCPConn) io.Writer) {
	if r.tcp != nil {
		r.out = through(r.tcp)
	}
}

// Write writes what crypto/tls has made of something. It is an ask if all that is wanted is in it: a request that takes
// more than one record is written as ever.
func (r *records) Write(b []byte) (int, error) {
	want := int(r.want)
	r.want = 0
	if r.out != nil {
		return r.out.Write(b)
	}
	if want == 0 || len(b) != want+recordOverhead {
		return r.Conn.Write(b)
	}
	r.in = r.conn.lentInput()
	n, err := r.conn.askSocket(r.tcp, r.in, b)
	r.release()
	return n, err
}

// Read reads for crypto/tls.
func (r *records) Read(p []byte) (int, error) {
	n, err := r.read(p)
	if n > 0 {
		r.inRecord.Store(r.passed.pass(p[:n]))
		r.passing.Store(true)
	}
	return n, err
}

func (r *records) read(p []byte) (int, error) {
	if r.in == nil {
		if r.look.is && !r.look.finds() {
			return 0, errNothing
		}
		r.ahead = true
		return r.Conn.Read(p)
	}
	if err := r.in.failure(); err != nil {
		r.release()
		return 0, err
	}
	n := r.handOver(p)
	r.release()
	return n, nil
}

// finds says that a Read will not wait.
func (l *looking) finds() bool {
	if l.raw == nil {
		return false
	}
	_, n, err := peek(l.raw)
	return n >= 0 || err != nil
}

// handOver copies no more than what is left of a record. Of one that has not arrived as a whole crypto/tls reads the
// rest, and what comes behind it, from the socket.
func (r *records) handOver(p []byte) int {
	have := r.in.buf[r.in.r:r.in.w]
	record := int(r.record)
	if record == 0 && len(have) >= recordHeader {
		record = recordHeader + int(have[3])<<8 + int(have[4])
	}
	if record == 0 || record > len(have) {
		record = len(have)
	}
	n := copy(p, have[:record])
	r.in.r += n
	r.record = int32(record - n)
	return n
}

// release gives an input back that holds nothing any more.
func (r *records) release() {
	if in := r.in; in.buffered() == 0 && in.failed == nil {
		r.in = nil
		in.release()
	}
}

// drained says that neither this layer nor crypto/tls holds a record, or a part of one.
func (r *records) drained() bool { return r != nil && !r.ahead && r.in == nil && !r.inRecord.Load() }

// mark follows the records in a stream of them.
type mark struct {
	left   int32 // bytes of a record that are still to come, if its header has passed
	header uint8 // bytes of a header that have passed, if not all of them have
	high   uint8 // the first one of the length in it
}

// pass goes on by b, and says whether that ends within a record.
func (m *mark) pass(b []byte) bool {
	for len(b) > 0 {
		if m.left > 0 {
			n := min(len(b), int(m.left))
			m.left -= int32(n)
			b = b[n:]
			continue
		}
		switch m.header++; m.header {
		case recordHeader - 1:
			m.high = b[0]
		case recordHeader:
			m.left, m.header = int32(m.high)<<8|int32(b[0]), 0
		}
		b = b[1:]
	}
	return m.left > 0 || m.header > 0
}
