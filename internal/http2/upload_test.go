package http2

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

func TestABodyInMemoryIsKnownInsideANopCloser(t *testing.T) {
	for _, r := range []io.Reader{strings.NewReader("x"), bytes.NewReader(nil), new(bytes.Buffer)} {
		if !inMemory(io.NopCloser(r)) {
			t.Errorf("a %T in an io.NopCloser is not known: say in upload.go where it keeps its reader now", r)
		}
	}
	if inMemory(io.NopCloser(io.MultiReader())) {
		t.Error("a reader that may block is taken for one in memory")
	}
}
