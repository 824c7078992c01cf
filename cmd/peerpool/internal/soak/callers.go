package soak

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/peerpool/peerpool"
)

const (
	maxAnswer = 8 << 10  // bytes
	maxUpload = 64 << 10 // bytes
)

// patience is how long a request may take. A request that takes longer counts as lost.
const patience = 20 * time.Second

// lane is a URL, with a peer for each tenant.
type lane struct {
	name, url string
	peers     []*peerpool.Peer
	rude      bool
}

// caller sends requests, one after the other.
type caller struct {
	ledger *ledger
	lanes  []lane // a lane with a higher weight occurs more often
	tr     http.RoundTripper
	random *rand.Rand
}

// call sends one request and writes its result into the ledger.
func (c *caller) call(t token) {
	lane := c.lanes[c.random.IntN(len(c.lanes))]
	tenant := c.random.IntN(len(lane.peers))
	ctx := peerpool.WithPeer(context.Background(), lane.peers[tenant])
	e, limit := entry{lane: lane.name, rude: lane.rude}, patience
	if c.random.IntN(50) == 0 {
		e.canceled, limit = true, time.Duration(c.random.IntN(int(3*time.Millisecond)))
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	answer := c.random.IntN(maxAnswer)
	if c.random.IntN(4) > 0 {
		answer %= 200
	}
	req, err := http.NewRequestWithContext(ctx, pick(c.random, "GET", "GET", "GET", "HEAD", "PUT", "DELETE", "POST", "POST"),
		fmt.Sprintf("%s/%v?%d", lane.url, t, answer), nil)
	if err != nil {
		panic(err) // cannot happen: the URLs are our own
	}
	req.Header.Set("X-Tenant", fmt.Sprint(tenant))
	e.idempotent, e.replayable = req.Method != http.MethodPost, true
	if req.Method == http.MethodPost && c.random.IntN(3) == 0 {
		req.Header.Set("Idempotency-Key", t.String())
		e.idempotent = true
	}
	if req.Method == http.MethodPost || req.Method == http.MethodPut {
		c.body(req, t, &e)
	}
	c.ledger.begin(t, e)
	resp, err := c.tr.RoundTrip(req)
	if err != nil {
		c.ledger.end(t, outcome{err: err})
		return
	}
	c.ledger.end(t, c.check(resp, t, answer))
}

// body sets the body of a request in one of the ways that programs use.
func (c *caller) body(req *http.Request, t token, e *entry) {
	e.upload = c.random.IntN(maxUpload)
	if c.random.IntN(3) > 0 {
		e.upload %= 2000
	}
	b := content(t, saltRequest, e.upload)
	shared := &sharedBody{data: b, slow: c.random.IntN(2) == 0}
	switch c.random.IntN(4) {
	case 0: // in memory, as http.NewRequest makes it
		req.Body = io.NopCloser(bytes.NewReader(b))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
		req.ContentLength = int64(len(b))
	case 1: // one reader that is rewound, as several SDKs do
		req.Body, req.ContentLength = shared, int64(len(b))
		req.GetBody = func() (io.ReadCloser, error) { return shared.rewind(), nil }
	case 2: // the same, of unknown length
		req.Body, req.ContentLength = shared, -1
		req.GetBody = func() (io.ReadCloser, error) { return shared.rewind(), nil }
	case 3: // can be read only once
		req.Body, req.ContentLength = shared, -1
		e.replayable = false
	}
	if e.upload == 0 && req.ContentLength == 0 {
		req.Body, req.GetBody = http.NoBody, nil
	}
}

// sharedBody is a body whose attempts share one offset, as with a file.
type sharedBody struct {
	data []byte
	at   atomic.Int64
	slow bool
}

func (b *sharedBody) rewind() *sharedBody {
	b.at.Store(0)
	return b
}

func (b *sharedBody) Read(p []byte) (int, error) {
	if b.slow {
		p = p[:min(len(p), 1000)]
		runtime.Gosched()
	}
	at := min(b.at.Load(), int64(len(b.data)))
	n := copy(p, b.data[at:])
	b.at.Add(int64(n))
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (b *sharedBody) Close() error { return nil }

// check compares an answer with the content that belongs to the token. It does not read every answer to its end.
func (c *caller) check(resp *http.Response, t token, answer int) outcome {
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusRequestTimeout && resp.Header.Get("X-Soak") == "farewell" {
		return outcome{late: true}
	}
	if resp.StatusCode != http.StatusOK {
		return outcome{wrong: "status " + resp.Status}
	}
	want := content(t, saltAnswer, answer)
	if resp.Request.Method == http.MethodHead {
		want = nil
	}
	if resp.ContentLength >= 0 && resp.ContentLength != int64(answer) {
		return outcome{wrong: fmt.Sprintf("a length of %d, not %d", resp.ContentLength, answer)}
	}
	n := len(want)
	if c.random.IntN(8) == 0 && n > 0 {
		n = c.random.IntN(n)
	}
	got, err := io.ReadAll(io.LimitReader(resp.Body, int64(n)))
	if !bytes.Equal(got, want[:len(got)]) {
		return outcome{wrong: fmt.Sprintf("%d bytes that are not its own", len(got))}
	}
	if err != nil {
		return outcome{err: err}
	}
	if n == len(want) {
		if more, err := io.ReadAll(resp.Body); len(more) > 0 {
			return outcome{wrong: "bytes behind its end"}
		} else if err != nil {
			return outcome{err: err}
		}
	}
	if len(got) < n {
		return outcome{err: errors.New("a body that ends too early, without an error"), wrong: "a body that ends too early"}
	}
	return outcome{}
}
