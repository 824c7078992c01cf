package http1

import (
	"bytes"
	"crypto/tls"
	"reflect"
	"unsafe"
)

// FreeHandshakeBuffers makes a TLS connection that idles smaller: crypto/tls keeps two buffers that have grown to the size of
// the handshake's messages, about 3 KB since these contain keys of ML-KEM. FreeHandshakeBuffers replaces them by buffers that
// hold only what crypto/tls has not used yet, usually nothing or a session ticket. These grow to what the connection then
// receives. Call it when the handshake is over, before anything else uses t.
func FreeHandshakeBuffers(t *tls.Conn) {
	for _, at := range handshakeBuffers {
		b := (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(t), at))
		*b = *bytes.NewBuffer(bytes.Clone(b.Bytes()))
	}
}

// handshakeBuffers are the offsets of the buffers in a tls.Conn. There are none if a new Go release keeps what it receives
// elsewhere.
var handshakeBuffers = buffersAt("rawInput", "hand")

func buffersAt(names ...string) (offsets []uintptr) {
	for _, name := range names {
		if f, ok := reflect.TypeFor[tls.Conn]().FieldByName(name); ok && f.Type == reflect.TypeFor[bytes.Buffer]() {
			offsets = append(offsets, f.Offset)
		}
	}
	return offsets
}
