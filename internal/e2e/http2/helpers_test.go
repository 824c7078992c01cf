package http2_test

import (
	"sync"
	"testing"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// These helpers hold the Transport against Go's own HTTP/2 server.

// onHTTP2 puts tr to the test against an origin.
func onHTTP2(t testing.TB, o *httptestutil.Origin, tr *peerpool.Transport) *testkit.Subject {
	t.Helper()
	tr.TLSClientConfig, tr.ForceAttemptHTTP2 = o.ClientTLS(), true
	return testkit.Observe(t, tr)
}

// gauge counts what goes on at a time, and the most of it.
type gauge struct {
	mu        sync.Mutex // guards what follows
	now, most map[int]int
}

func newGauge() *gauge { return &gauge{now: map[int]int{}, most: map[int]int{}} }

func (g *gauge) enter(key int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now[key]++
	g.most[key] = max(g.most[key], g.now[key])
}

func (g *gauge) leave(key int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now[key]--
}

// peak is the most that went on at a time under one key.
func (g *gauge) peak() (most int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, n := range g.most {
		most = max(most, n)
	}
	return most
}
