package http1

import (
	"io"
	"net"
	"sync/atomic"
	"syscall"

	"github.com/peerpool/peerpool/internal/socket"
)

// records is the layer under each TLS connection that we make. It does three things that are only possible there:
//
//   - It waits for the answer while it writes the request; see Conn.ask. It passes what an ask has received to crypto/tls record
//     by record, so that crypto/tls holds nothing when the answer has been read.
//   - It knows whether crypto/tls has read a part of a record.
//   - It can make crypto/tls read what has arrived without waiting for more.
//
// Only the exchange that is running may read and write, as with Conn.
type records struct {
	net.Conn

	tcp    *net.TCPConn  // Conn, if it is one; else nil
	rw     io.ReadWriter // Conn, or what GoThrough has got instead, or a tap
	conn   *Conn         // whose asks come here; nil: there are none
	in     *input        // received by an ask, and not passed on yet; or nil
	record int32         // bytes of the current record in it that are not passed on yet
	want   uint16        // bytes of the request in the next write, if that is an ask; else 0
	exact  bool          // the length of a record is that of its contents and a constant: TLS 1.3
	ahead  bool          // crypto/tls may have read more than it was asked for
	look   looking       // whether a Read may wait

	passed mark
	// inRecord says that the bytes passed on so far end within a record. It may be read while somebody reads from the connection.
	inRecord atomic.Bool
}

// looking says what a Read does to find something.
type looking struct {
	is   bool            // it does not wait, and returns errNothing if nothing has arrived
	raw  syscall.RawConn // it reads what has arrived at this socket; nil: it reads nothing
	rest *atomic.Bool    // it waits as long as this is true; nil: it does not wait
}

// errNothing is a timeout: after it, crypto/tls can go on reading.
var errNothing error = &timeoutError{"peerpool: nothing has arrived"}

// recordOverhead is how many bytes a record of TLS 1.3 has besides its contents: the header, the type, and the tag of the cipher
// (RFC 8446 section 5.2). crypto/tls adds no padding.
const recordOverhead = recordHeader + 1 + 16

const recordHeader = 5

// UnderTLS returns a connection to put between a TLS connection and nc. With it, a probe finds everything that has arrived, and
// exchanges cost less.
func UnderTLS(nc net.Conn) net.Conn {
	tcp, _ := nc.(*net.TCPConn)
	return &records{Conn: nc, tcp: tcp, rw: tapped(nc)}
}

// NetConn returns the connection below, as the method of crypto/tls does.
func (r *records) NetConn() net.Conn { return r.Conn }

// GoThrough makes crypto/tls read from and write to what through returns for the socket, unless through returns nil. Nobody may
// be reading or writing.
func (r *records) GoThrough(through func(*net.TCPConn) io.ReadWriter) {
	if r.tcp == nil {
		return
	}
	if rw := through(r.tcp); rw != nil {
		r.rw = rw
	}
}

// Write writes records. It is an ask if the one record of a request is all there is. A request of more than one record is
// written without an ask.
func (r *records) Write(b []byte) (int, error) {
	want := int(r.want)
	r.want = 0
	if want == 0 || len(b) != want+recordOverhead {
		return r.rw.Write(b)
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
	}
	return n, err
}

func (r *records) read(p []byte) (int, error) {
	if r.in == nil {
		if r.look.is && !r.look.finds() {
			return 0, errNothing
		}
		r.ahead = true
		if r.conn != nil && r.tcp != nil && socket.Supported && r.conn.raw != nil {
			return socket.Read(r.tcp, r.conn.raw, p)
		}
		return r.rw.Read(p)
	}
	if err := r.in.failure(); err != nil {
		r.release()
		return 0, err
	}
	n := r.handOver(p)
	r.release()
	return n, nil
}

// finds reports whether a Read finds something without waiting, or may wait.
func (l *looking) finds() bool {
	if l.raw == nil {
		return false
	}
	if l.rest != nil && l.rest.Load() {
		return true
	}
	_, n, err := peek(l.raw)
	return n >= 0 || err != nil
}

// handOver passes on what is left of the current record, and no more. If a record has not arrived as a whole, crypto/tls reads
// the rest of it, and what follows, from the socket.
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

// release gives the input back if it holds nothing any more.
func (r *records) release() {
	if in := r.in; in.buffered() == 0 && in.failed == nil {
		r.in = nil
		in.release()
	}
}

// drained reports whether neither this layer nor crypto/tls holds a record, or a part of one.
func (r *records) drained() bool { return r != nil && !r.ahead && r.in == nil && !r.inRecord.Load() }

// mark is a place in a stream of records.
type mark struct {
	left   int32 // bytes of the current record to come, if its header has passed
	header uint8 // bytes of a header that have passed, if it has not passed as a whole
	high   uint8 // the first byte of the length in the header
}

// pass moves on by b, and reports whether that ends within a record.
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
