package http1

import "net"

// records is a TCP socket under a connection of crypto/tls. It does two things that only whoever stands between the
// two can: it waits for the answer while it writes the request, see ask; and it hands crypto/tls what an ask has
// received record by record, so that nothing is left in there, unseen, when the answer has been read.
//
// Reading and writing belong to the exchange under way, as those of Conn do.
type records struct {
	*net.TCPConn

	conn   *Conn  // that asks; nil: nobody does
	in     *input // received by an ask and not handed over yet, or nil
	record int32  // bytes of the record that is being handed over from it
	want   uint16 // bytes of the request that the next write is to carry, if that is an ask; else 0
	exact  bool   // a record is as long as its contents and a constant: TLS 1.3
	ahead  bool   // crypto/tls may have read more than it was asked for
}

// recordOverhead is what a record of TLS 1.3 has besides its contents, which nobody pads: a header, the type and the
// tag of the cipher (RFC 8446 section 5.2).
const recordOverhead = recordHeader + 1 + 16

const recordHeader = 5

// UnderTLS returns what to put under a TLS connection in place of nc, so that exchanges on it cost less.
func UnderTLS(nc net.Conn) net.Conn {
	if tcp, ok := nc.(*net.TCPConn); ok && askable {
		return &records{TCPConn: tcp}
	}
	return nc
}

// IsUnderTLS says that nc has come from UnderTLS, and is a socket.
func IsUnderTLS(nc net.Conn) bool {
	_, ok := nc.(*records)
	return ok
}

// Write writes what crypto/tls has made of something. It is an ask if all that is wanted is in it: a request that takes
// more than one record is written as ever.
func (r *records) Write(b []byte) (int, error) {
	want := int(r.want)
	r.want = 0
	if want == 0 || len(b) != want+recordOverhead {
		return r.TCPConn.Write(b)
	}
	r.in = inputs.Get().(*input)
	n, err := r.conn.askSocket(r.TCPConn, r.in, b)
	r.release()
	return n, err
}

// Read reads for crypto/tls.
func (r *records) Read(p []byte) (int, error) {
	if r.in == nil {
		r.ahead = true
		return r.TCPConn.Read(p)
	}
	if err := r.in.failure(); err != nil {
		r.release()
		return 0, err
	}
	n := r.handOver(p)
	r.release()
	return n, nil
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

// drained says that neither this layer nor crypto/tls holds a record.
func (r *records) drained() bool { return r != nil && !r.ahead && r.in == nil }
