package http1

import (
	"bytes"
	"crypto/tls"
	"reflect"
	"testing"
)

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
