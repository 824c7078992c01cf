package testkit

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

var ErrChangedMind = errors.New("changed my mind")

// ReadWait is how long a request that has ended waits for a Read of its body, as RoundTrip documents.
const ReadWait = 100 * time.Millisecond

// Zeros is a body that never ends and never blocks.
type Zeros struct{}

func (Zeros) Read(p []byte) (int, error) { return len(p), nil }

// Never is a body whose Read blocks until it is closed.
type Never struct{}

func (Never) Read([]byte) (int, error) { return 0, errors.New("only its trackedBody is read") }

// NewHeldBody returns a body that reads from r. If r is nil, the body is a small one. If r is Never, its Read blocks until
// it is closed.
func NewHeldBody(r io.Reader) *TrackedBody {
	if r == nil {
		r = strings.NewReader("body")
	}
	b := TrackBody(r)
	if r == (Never{}) {
		b.Reader = blockedUntil(b.shut)
	}
	return b
}

// blockedUntil is a body whose Read blocks until it is closed.
type blockedUntil <-chan struct{}

func (b blockedUntil) Read([]byte) (int, error) {
	<-b
	return 0, errors.New("closed")
}

// TrackedBody is a request body that notes whether it has been closed, and how much of it was read.
type TrackedBody struct {
	io.Reader
	mu     sync.Mutex // guards the fields below
	closes int
	shut   chan struct{} // closed with the body
}

func TrackBody(r io.Reader) *TrackedBody {
	return &TrackedBody{Reader: r, shut: make(chan struct{})}
}

func (b *TrackedBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closes++; b.closes == 1 {
		close(b.shut)
	}
	return nil
}

func (b *TrackedBody) Closings() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closes
}

// WantClosed waits until the body has been closed, which may be a moment after the response.
func (b *TrackedBody) WantClosed(t testing.TB) {
	t.Helper()
	giveUp := time.NewTimer(httptestutil.Bound)
	defer giveUp.Stop()
	select {
	case <-b.shut:
	case <-giveUp.C:
		t.Fatal("the request's body has not been closed")
	}
}

var errBroken = errors.New("the body is broken")

// ReaderFunc is a function that serves as an io.Reader.
type ReaderFunc func([]byte) (int, error)

func (f ReaderFunc) Read(p []byte) (int, error) { return f(p) }

// Panicky is a body that panics when it is read, or when it is closed.
type Panicky struct {
	io.Reader
	OnClose bool
}

func (p Panicky) Read(b []byte) (int, error) {
	if !p.OnClose {
		panic("cannot be read")
	}
	return p.Reader.Read(b)
}

func (p Panicky) Close() error {
	if p.OnClose {
		panic("cannot be closed")
	}
	return nil
}

// Lies holds bodies that are not what their requests say. Some of them begin with honest bytes.
var Lies = []struct {
	Name   string
	Body   func() io.Reader
	Length int64
	Text   string
	Is     error
	Whole  bool // the server gets what looks like a whole request, and may answer before the client notices the lie
}{
	{"fails at once", func() io.Reader { return Failing(0) }, -1, errBroken.Error(), errBroken, false},
	{"fails in the middle", func() io.Reader { return Failing(1 << 20) }, -1, errBroken.Error(), errBroken, false},
	{"fails in the middle of its length", func() io.Reader { return Failing(1 << 20) }, 2 << 20, errBroken.Error(), errBroken, false},
	{"is longer than said", func() io.Reader { return Sized(100_001) }, 100_000, Broken + "http: ContentLength=100000 with Body length 100001", nil, true},
	{"is shorter than said", func() io.Reader { return Sized(99_999) }, 100_000, Broken + "http: ContentLength=100000 with Body length 99999", nil, false},
	{"is shorter than said, and small", func() io.Reader { return strings.NewReader("abc") }, 4, "http: ContentLength=4 with Body length 3", nil, false},
	{"is longer than said, and small", func() io.Reader { return strings.NewReader("abc") }, 2, "http: ContentLength=2 with Body length 3", nil, false},
	{"panics", func() io.Reader { return Panicky{} }, -1, "peerpool: request body panicked: cannot be read", nil, false},
	{"panics at its end", func() io.Reader { return io.MultiReader(Sized(1<<20), Panicky{}) }, -1,
		"peerpool: request body panicked: cannot be read", nil, false},
}

func Failing(after int64) io.Reader {
	return io.MultiReader(Sized(after), ReaderFunc(func([]byte) (int, error) { return 0, errBroken }))
}

func Sized(n int64) io.Reader { return io.LimitReader(Zeros{}, n) }

// Digest answers with what it has read of a body, and with how the body was framed.
func Digest(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	io.WriteString(w, DigestOf(string(b), r.ContentLength))
}

func DigestOf(body string, declared int64) string {
	return fmt.Sprintf("%d bytes %x, declared %d", len(body), sha256.Sum256([]byte(body)), declared)
}

// AtEnd is an empty reader whose Read calls the function first.
type AtEnd func()

func (f AtEnd) Read([]byte) (int, error) {
	f()
	return 0, io.EOF
}
