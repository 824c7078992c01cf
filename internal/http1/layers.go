package http1

import (
	"crypto/tls"
	"net"
	"reflect"
	"syscall"
)

// What a connection holds can be in the kernel, in crypto/tls, or in a layer that somebody else has written. The kernel
// and crypto/tls can be asked, and so can what we put under crypto/tls ourselves. Of a layer that we do not know nobody can
// tell whether it has read more than it has returned, so a connection that has one is veiled: see readAhead.

// below finds what lies below nc: the innermost connection that can be reached, and what of the kernel's socket can be
// looked into. If all layers are known, veil is nil. They are crypto/tls over what UnderTLS returned, any number of times,
// over a socket; or crypto/tls over a socket, as a custom dialer makes it.
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

// KernelSocket returns the socket under a connection, or nil where there is a layer between that we do not know, which may
// hold bytes that the system does not know of any more.
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

// veil is a layer that we do not know, and what can be seen below it.
type veil struct {
	tls   *tls.Conn       // nil: none
	raw   syscall.RawConn // of the socket; nil: it cannot be seen
	ahead *readAhead      // left pending while the connection idles

	idleEnded func(Condition) // see OnIdleEnd
}

// maxDepth bounds the search for what lies below a veil.
const maxDepth = 8

// veilOf looks below a layer, through what it shows, as crypto/tls shows its NetConn, and through the fields that it has,
// of any name: it is mostly there that a wrapper keeps what it wraps. Nothing is changed, and only what the standard library
// has made is called. The search ends with a connection that has neither, as one in memory has not.
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

// within returns the connection that a wrapper wraps: the first field that is one. It is not valid if there is none.
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

// inRecord says that a part of a TLS record has arrived and the rest has not, in one of our own layers. It may be asked
// while somebody reads.
func inRecord(nc net.Conn) bool {
	for {
		t, ok := nc.(*tls.Conn)
		if !ok {
			return false
		}
		r, ok := t.NetConn().(*records)
		if !ok {
			return false
		}
		if r.inRecord.Load() {
			return true
		}
		nc = r.Conn
	}
}

// inForeignRecord is inRecord for TLS that we have not made, so that the only one who knows is crypto/tls. Nobody may be
// reading. If crypto/tls is not what it was, the answer is false.
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
