package http1

import (
	"bytes"
	"crypto/tls"
	"reflect"
	"testing"
	"unsafe"
)

// TestAnInputIsNotOfTheSizeOfAnIdleConnection looks at sizes of the allocator. The parts of idle connections have at most
// 128 bytes, so an input must have more.
func TestAnInputIsNotOfTheSizeOfAnIdleConnection(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("the sizes are those of 64 bits")
	}
	if size := unsafe.Sizeof(input{}); size <= 128 || size > 144 {
		t.Errorf("an input has %d bytes, want more than 128 and at most 144", size)
	}
}

func TestThePlaceOfReadRecordsIsKnown(t *testing.T) {
	raw, ok := reflect.TypeFor[tls.Conn]().FieldByName("rawInput")
	if !ok || raw.Type != reflect.TypeFor[bytes.Buffer]() {
		t.Fatal("tls.Conn has no rawInput, a bytes.Buffer: say in layers.go where it keeps what it has read now")
	}
	buf, ok := raw.Type.FieldByName("buf")
	off, has := raw.Type.FieldByName("off")
	if !ok || !has || buf.Type != reflect.TypeFor[[]byte]() || off.Type.Kind() != reflect.Int {
		t.Error("bytes.Buffer has no buf and off: say in layers.go where it keeps what is unread now")
	}
}
