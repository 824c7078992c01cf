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

// postEvery is n if every n-th request of the demonstration is a POST. No client may send a POST twice, so a POST fails if
// its connection dies, unless the client knew that the connection was dead.
const postEvery = 4

// trial prepares the requests of one client to one server, and checks the answers. It measures both clients in the same
// way: an httptrace reports for each attempt whether its connection had served a request before.
type trial struct {
	base *url.URL

	mu  sync.Mutex // guards sum
	sum row
}

// row holds what happened to the requests of one client to one server.
type row struct {
	server, client string

	answered, wrong, failed, unfinished uint64 // requests; each is counted in exactly one of these
	attempts, reused                    uint64 // attempts that got a connection, and those among them that got a used one
	recovered                           uint64 // requests that were answered after more than one attempt
	errors                              errorTexts

	opened   int64   // connections, as the server counted them
	restarts int64   // of the server
	lost     int64   // POSTs that the server had received and not answered when it died
	served   []int64 // requests by address

	stats *peerpool.Stats // nil for net/http, which has no statistics
}

func newTrial(base string) (*trial, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	return &trial{base: u, sum: row{errors: errorTexts{}}}, nil
}

// tries counts the attempts of one request.
type tries struct{ attempts, reused uint64 }

// prepare makes request number n. Its path is its nonce: the number.
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
