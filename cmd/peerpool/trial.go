package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"

	"github.com/peerpool/peerpool"
)

// postEvery makes every so-manieth request of the demonstration a POST, which no client may send twice: what
// befalls it on a dying connection is a failure, unless the connection was known to be dead.
const postEvery = 4

// trial prepares the requests of one client to one server, and judges the answers. Both clients are measured with
// the same instrument, an httptrace, which tells for each attempt whether its connection had served before.
type trial struct {
	base *url.URL

	mu  sync.Mutex // guards sum
	sum row
}

// row is what happened to one client at one server.
type row struct {
	server, client string

	answered, wrong, failed, unfinished uint64 // requests: each is exactly one of these
	attempts, reused                    uint64 // requests that got a connection, repeated ones included
	recovered                           uint64 // requests that were answered after a repetition
	errors                              errorTexts

	opened   int64   // connections, as the server counted them
	restarts int64   // of the server
	lost     int64   // POSTs that the server had received and not answered when it died
	served   []int64 // requests by address

	stats *peerpool.Stats // nil: net/http keeps none
}

func newTrial(base string) (*trial, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	return &trial{base: u, sum: row{errors: errorTexts{}}}, nil
}

// tries is what the trace tells about one request.
type tries struct{ attempts, reused uint64 }

// prepare makes request number n, whose path holds its nonce, the number itself.
func (t *trial) prepare(ctx context.Context, n int) exchange {
	seen := &tries{}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		seen.attempts++
		if info.Reused {
			seen.reused++
		}
	}})
	nonce := fmt.Sprintf("%08x", n)
	target := *t.base
	target.Path = "/" + nonce
	req := (&http.Request{Method: http.MethodGet, URL: &target, Host: target.Host, Header: http.Header{}}).WithContext(ctx)
	if n%postEvery == postEvery-1 {
		req.Method = http.MethodPost
		req.ContentLength = int64(len(nonce))
		req.Body = io.NopCloser(strings.NewReader(nonce))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(nonce)), nil }
	}
	var body bytes.Buffer
	return exchange{req: req, body: &body, done: func(r result) { t.judge(r, seen, body.String() == nonce) }}
}

// judge counts a request that has ended.
func (t *trial) judge(r result, seen *tries, right bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := &t.sum
	s.attempts += seen.attempts
	s.reused += seen.reused
	switch {
	case r.unfinished:
		s.unfinished++
	case r.err != nil:
		s.failed++
		s.errors.add(r.err)
	case !right:
		s.wrong++
	default:
		s.answered++
		if seen.attempts > 1 {
			s.recovered++
		}
	}
}

// row returns what happened so far.
func (t *trial) row() row {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sum
}
