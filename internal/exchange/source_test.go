package exchange

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

func TestABodyInMemoryIsKnownInsideANopCloser(t *testing.T) {
	for _, r := range []io.Reader{strings.NewReader("x"), bytes.NewReader(nil), new(bytes.Buffer), io.MultiReader()} {
		if Source(io.NopCloser(r)) != r {
			t.Errorf("a %T in an io.NopCloser is not known: say in source.go where it keeps its reader now", r)
		}
	}
}

func TestOnlyReadersThatNeverBlockAreInMemory(t *testing.T) {
	for _, r := range []io.Reader{strings.NewReader("x"), bytes.NewReader(nil), new(bytes.Buffer)} {
		if InMemory(r) == nil {
			t.Errorf("a %T is not in memory", r)
		}
	}
	for _, r := range []io.Reader{io.MultiReader(), struct{ io.Reader }{strings.NewReader("x")}, io.NopCloser(strings.NewReader("x"))} {
		if InMemory(r) != nil {
			t.Errorf("a %T is in memory", r)
		}
	}
}
