package http1

import (
	"crypto/tls"
	"io"
	"net"
	"reflect"
	"sync/atomic"
	"syscall"
)

// Bytes that have arrived on a connection may be in the kernel, in crypto/tls, or in a layer of another type. We can look into
// the kernel, into crypto/tls, and into our own layer under crypto/tls. A layer of unknown type may have read more than it has
// returned, and there is no way to ask. A connection with such a layer is veiled; see readAhead.

// below returns the innermost connection below nc that it can reach, and the RawConn of the kernel's socket. veil is nil if it
// knows all layers: crypto/tls over what UnderTLS has returned, any number of times, over a socket; or crypto/tls over a socket,
// as a custom dialer makes it.
func below(nc net.Conn) (socket net.Conn, raw syscall.RawConn, veil *veil) {
	for top := true; ; top = false {
		switch c := nc.(type) {
		case *net.TCPConn, *net.UnixConn:
			if raw = rawOf(c); raw == nil {
				veil = veilOf(nc)
			}
			return c, raw, veil
		case *tls.Conn:
			nc = c.NetConn()
			if under, ok := nc.(*records); ok {
				nc = under.Conn
			} else if !top || !isSocket(nc) {
				return nc, nil, veilOf(c)
			}
		default:
			return c, nil, veilOf(c)
		}
	}
}

// KernelSocket returns the socket under a connection. It returns nil if a layer of unknown type is between them, which may hold
// bytes that the system no longer has.
func KernelSocket(nc net.Conn) syscall.RawConn {
	_, raw, _ := below(nc)
	return raw
}

func isSocket(nc net.Conn) bool {
	switch nc.(type) {
	case *net.TCPConn, *net.UnixConn:
		return true
	}
	return false
}

// veil is a layer of unknown type, and what can be seen below it.
type veil struct {
	tls   *tls.Conn       // nil: there is none
	raw   syscall.RawConn // of the socket; nil: it cannot be seen
	tap   *tap            // directly above the layer
	top   io.Reader       // the whole connection, the tap included
	ahead *readAhead      // pending while the connection idles

	idleEnded func(Condition) // see OnIdleEnd
}

// put puts the tap over the veil, unless it is below our own layer already.
func (v *veil) put(nc net.Conn) {
	v.top = nc
	if ours := lowest(nc); ours != nil {
		v.tap, _ = ours.rw.(*tap)
	}
	if v.tap == nil {
		v.tap = newTap(nc, v.raw)
		v.top = v.tap
	}
}

// maxDepth limits the search below a veil.
const maxDepth = 8

// veilOf looks below a layer: through the methods of types of the standard library, such as the NetConn of crypto/tls, and
// through the fields of other types, of any name, since most wrappers keep what they wrap in a field. It changes nothing, and
// calls only methods of the standard library. The search ends at a connection that has neither, such as one in memory.
func veilOf(nc net.Conn) *veil {
	veil := new(veil)
	at := reflect.ValueOf(nc)
	for range maxDepth {
		if at.CanInterface() {
			if veil.raw = rawOf(at.Interface()); veil.raw != nil {
				break
			}
		}
		switch at.Type() {
		case reflect.TypeFor[*net.TCPConn]():
			veil.raw = rawOf((*net.TCPConn)(at.UnsafePointer()))
			return veil
		case reflect.TypeFor[*net.UnixConn]():
			veil.raw = rawOf((*net.UnixConn)(at.UnsafePointer()))
			return veil
		case reflect.TypeFor[*tls.Conn]():
			t := (*tls.Conn)(at.UnsafePointer())
			if veil.tls == nil {
				veil.tls = t
			}
			at = reflect.ValueOf(t.NetConn())
		default:
			at = within(at)
		}
		if !at.IsValid() {
			break
		}
	}
	return veil
}

// within returns the connection that a wrapper wraps: its first field that is a connection. If there is none, the Value is not
// valid.
func within(wrapper reflect.Value) reflect.Value {
	if wrapper.Kind() == reflect.Pointer {
		wrapper = wrapper.Elem()
	}
	if wrapper.Kind() != reflect.Struct {
		return reflect.Value{}
	}
	for i := range wrapper.NumField() {
		f := wrapper.Field(i)
		if f.Kind() == reflect.Interface {
			f = f.Elem()
		}
		if f.IsValid() && f.Type().Implements(reflect.TypeFor[net.Conn]()) && !(f.Kind() == reflect.Pointer && f.IsNil()) {
			return f
		}
	}
	return reflect.Value{}
}

// rawOf returns the socket that a connection shows, or nil.
func rawOf(nc any) syscall.RawConn {
	s, ok := nc.(syscall.Conn)
	if !ok || !canPeek {
		return nil
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// lowest returns the last of our own layers under nc, or nil.
func lowest(nc net.Conn) (last *records) {
	for {
		t, ok := nc.(*tls.Conn)
		if !ok {
			return last
		}
		r, ok := t.NetConn().(*records)
		if !ok {
			return last
		}
		last, nc = r, r.Conn
	}
}

// partial returns what says that a part of a TLS record has arrived and the rest has not, in one of our own layers. It returns nil
// if there is no such layer. It may be called while somebody reads.
func partial(nc net.Conn) *atomic.Bool {
	for {
		t, ok := nc.(*tls.Conn)
		if !ok {
			return nil
		}
		r, ok := t.NetConn().(*records)
		if !ok {
			return nil
		}
		if r.inRecord.Load() {
			return &r.inRecord
		}
		nc = r.Conn
	}
}

// inForeignRecord reports whether a part of a record has arrived on a TLS connection that we have not made, where only crypto/tls
// knows it. Nobody may read at the same time. If a new Go release keeps the bytes elsewhere, inForeignRecord returns false.
func inForeignRecord(t *tls.Conn) bool {
	raw := reflect.ValueOf(t).Elem().FieldByName("rawInput") // a bytes.Buffer
	if !raw.IsValid() || raw.Kind() != reflect.Struct {
		return false
	}
	buf, off := raw.FieldByName("buf"), raw.FieldByName("off")
	if !buf.IsValid() || buf.Kind() != reflect.Slice || buf.Type().Elem().Kind() != reflect.Uint8 || !off.IsValid() || !off.CanInt() {
		return false
	}
	buf = buf.Slice(0, buf.Len())
	at := int(off.Int())
	for at+recordHeader <= buf.Len() {
		at += recordHeader + int(buf.Index(at+3).Uint())<<8 + int(buf.Index(at+4).Uint())
	}
	return at != buf.Len()
}
