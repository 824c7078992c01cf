package peerpool_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// These helpers hold the Transport against Go's own HTTP/2 server.

// http2Origin starts an origin that speaks HTTP/2 and HTTP/1.1 over TLS, and allows so many streams.
func http2Origin(t testing.TB, streams int, handler http.HandlerFunc) *httptestutil.Origin {
	t.Helper()
	opts := httptestutil.OriginOptions{
		CA:        httptestutil.NewCA(t),
		Protocols: versions(overHTTP1, overHTTP2),
		Configure: func(s *http.Server) { s.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: streams} },
	}
	if handler != nil {
		opts.Handler = handler
	}
	return httptestutil.NewOrigin(t, opts)
}

// onHTTP2 puts tr to the test against an origin.
func onHTTP2(t testing.TB, o *httptestutil.Origin, tr *peerpool.Transport) *subject {
	t.Helper()
	tr.TLSClientConfig, tr.ForceAttemptHTTP2 = o.ClientTLS(), true
	return observe(t, tr)
}

// fetchHTTP2 sends a GET and checks what came of it; it may be called on any goroutine.
func (s *subject) fetchHTTP2(url string) error {
	resp, err := s.RoundTrip(newRequest(s.t, http.MethodGet, url, nil))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.ProtoMajor != 2 || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s over %s", resp.Status, resp.Proto)
	}
	_, err = resp.Body.Read(make([]byte, 1))
	for err == nil {
		_, err = resp.Body.Read(make([]byte, 512))
	}
	if err.Error() != "EOF" {
		return err
	}
	return nil
}

// crowd has n callers do the same at once, and returns when all have. Each error fails the test.
func crowd(t testing.TB, n int, do func(caller int) error) {
	t.Helper()
	var wg sync.WaitGroup
	start := make(chan struct{})
	for caller := range n {
		wg.Go(func() {
			<-start
			if err := do(caller); err != nil {
				t.Errorf("caller %d: %v", caller, err)
			}
		})
	}
	close(start)
	wg.Wait()
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

// priorKnowledge is HTTP/2 without TLS.
func priorKnowledge() *http.Protocols {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return p
}
