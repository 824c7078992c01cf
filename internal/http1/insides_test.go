package http1

import (
	"bytes"
	"crypto/tls"
	"io"
	"reflect"
	"strings"
	"testing"
)

func TestABodyInMemoryIsKnownInsideANopCloser(t *testing.T) {
	for _, r := range []io.Reader{strings.NewReader("x"), bytes.NewReader(nil), new(bytes.Buffer), io.MultiReader()} {
		if unwrap(io.NopCloser(r)) != r {
			t.Errorf("a %T in an io.NopCloser is not known: say in upload.go where it keeps its reader now", r)
		}
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
