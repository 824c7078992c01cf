package exchange

import (
	"bytes"
	"io"
	"net/http"
	"reflect"
	"strings"

	"github.com/peerpool/peerpool/internal/ascii"
)

// The types that io.NopCloser returns.
var (
	nopCloser         = reflect.TypeOf(io.NopCloser(nil))
	nopCloserWriterTo = reflect.TypeOf(io.NopCloser(&bytes.Buffer{}))
)

// Source returns the reader that a request's body reads from. http.NewRequest wraps the readers that it knows in an
// io.NopCloser; Source returns the reader inside. It returns any other body unchanged.
func Source(body io.Reader) io.Reader {
	if t := reflect.TypeOf(body); t == nopCloser || t == nopCloserWriterTo {
		if inner, ok := reflect.ValueOf(body).Field(0).Interface().(io.Reader); ok {
			return inner
		}
	}
	return body
}

// Memory is a reader whose contents are in memory, so that reading from it does not block.
type Memory interface {
	io.Reader
	Len() int // number of unread bytes
}

// InMemory returns source as a Memory if it is one of the in-memory readers that http.NewRequest knows. Otherwise it returns
// nil.
func InMemory(source io.Reader) Memory {
	switch r := source.(type) {
	case *bytes.Reader:
		return r
	case *bytes.Buffer:
		return r
	case *strings.Reader:
		return r
	}
	return nil
}

// ExpectsContinue reports whether a request with this header waits for 100 Continue (RFC 9110 section 10.1.1).
func ExpectsContinue(header http.Header) bool {
	values := header["Expect"]
	return len(values) > 0 && ascii.EqualFold(ascii.TrimSpace(values[0]), "100-continue")
}
