//go:build !race

package cost_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/peerpool/peerpool"
	"github.com/peerpool/peerpool/internal/memtest"
	"github.com/peerpool/peerpool/internal/testkit"
)

// What a GET may allocate: the exchange with its response and the values of the header, the header's map and the
// table in it, and the text of the head.
const (
	maxAllocs = 4
	maxBytes  = 900
)

// answerOfFour is a response with four fields.
const answerOfFour = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n" +
	"Date: Sun, 22 Nov 2026 00:00:00 GMT\r\nServer: x\r\n\r\nok"

// getter returns a function that sends req and reads the response to its end. It has sent req once already.
func getter(t *testing.T, req *http.Request) func() {
	t.Helper()
	tr := &peerpool.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return testkit.Getter(t, tr, req)
}

func newGet(t *testing.T) *http.Request {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, testkit.Frugal(t, answerOfFour), nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func TestAGetAllocatesLittle(t *testing.T) {
	allocs := testing.AllocsPerRun(2000, getter(t, newGet(t)))
	t.Logf("%v allocations for a GET with four fields in the response", allocs)
	if allocs > maxAllocs {
		t.Errorf("%v allocations, want at most %d", allocs, maxAllocs)
	}
}

// TestAGetThatCanBeCanceledAllocatesNoMore measures GETs that end within their first moment.
func TestAGetThatCanBeCanceledAllocatesNoMore(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req := newGet(t).WithContext(ctx)
	//lint:ignore SA1019 http.Client sets it
	req.Cancel = make(chan struct{})
	if allocs := testing.AllocsPerRun(2000, getter(t, req)); allocs > maxAllocs {
		t.Errorf("%v allocations, want at most %d", allocs, maxAllocs)
	}
}

func TestAGetTakesLittleMemory(t *testing.T) {
	got := memtest.BytesPerRun(2000, getter(t, newGet(t)))
	t.Logf("%d bytes for a GET", got)
	if got > maxBytes {
		t.Errorf("a GET takes %d bytes, want at most %d", got, maxBytes)
	}
}
