package differential_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// request makes the request of an exchange; body is nil if it has none.
func (x exchange) request(ctx context.Context, who int) (req *http.Request, body *plannedBody) {
	var r io.Reader
	plan := x.body
	switch plan.kind {
	case noBody:
	case memoryBody:
		r = bytes.NewReader(pattern(who, 0, plan.size))
	default:
		body = &plannedBody{plan: plan, who: who}
		r = body
	}
	req, err := http.NewRequestWithContext(ctx, x.method, fmt.Sprintf("http://example.test/%d", who), r)
	if err != nil {
		panic(err)
	}
	switch plan.kind {
	case declaredBody:
		req.ContentLength = int64(plan.size)
	case shortBody:
		req.ContentLength = int64(plan.size) + 10
	case longBody:
		req.ContentLength = max(1, int64(plan.size)-10)
	}
	for _, f := range x.fields {
		name, value, _ := strings.Cut(f, ": ")
		req.Header.Add(name, value)
	}
	if x.expect {
		req.Header.Set("Expect", "100-continue")
	}
	if plan.trailer && body != nil {
		req.Trailer = http.Header{"X-Sum": nil}
		body.atEnd = func() { req.Trailer["X-Sum"] = []string{"of the body"} }
	}
	return req, body
}

// plannedBody is the body of a request. Like a pipe it can be closed while it is being read.
type plannedBody struct {
	plan  bodyPlan
	who   int
	read  int
	atEnd func()

	mu     sync.Mutex // guards closed
	closed bool
}

func (b *plannedBody) Read(p []byte) (int, error) {
	time.Sleep(b.plan.pause)
	if b.isClosed() {
		return 0, http.ErrBodyReadAfterClose
	}
	n := min(len(p), max(1, b.plan.chunk), b.plan.size-b.read)
	copy(p, pattern(b.who, b.read, n))
	b.read += n
	if b.read < b.plan.size {
		return n, nil
	}
	if n > 0 && b.plan.chunk%2 == 0 {
		return n, nil // the end comes with the next Read; else with the last bytes
	}
	if b.plan.kind == failingBody {
		return n, errOwn
	}
	if b.atEnd != nil {
		b.atEnd()
	}
	return n, io.EOF
}

func (b *plannedBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return nil
}

func (b *plannedBody) isClosed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed
}
