package peerpool_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"github.com/peerpool/peerpool"
)

// replaceable is an http.RoundTripper whose Transport can be replaced while requests are under way.
type replaceable struct {
	mu  sync.Mutex // guards now
	now *generation
}

// generation is one Transport, and the requests that are inside its RoundTrip.
type generation struct {
	*peerpool.Transport
	inside sync.WaitGroup
}

func newReplaceable(t *peerpool.Transport) *replaceable {
	return &replaceable{now: &generation{Transport: t}}
}

func (r *replaceable) RoundTrip(req *http.Request) (*http.Response, error) {
	r.mu.Lock()
	g := r.now
	g.inside.Add(1) // under the lock, so that Replace waits for this request or the next Transport serves it
	r.mu.Unlock()
	defer g.inside.Done()
	return g.RoundTrip(req)
}

// Replace makes next serve all later requests. It returns when the requests of the old Transport have ended, including the
// bodies of their responses, or when ctx ends.
func (r *replaceable) Replace(ctx context.Context, next *peerpool.Transport) error {
	r.mu.Lock()
	old := r.now
	r.now = &generation{Transport: next}
	r.mu.Unlock()
	inside := make(chan struct{})
	go func() { // ends with the last of these requests
		old.inside.Wait()
		close(inside)
	}()
	select {
	case <-inside:
		return old.Shutdown(ctx)
	case <-ctx.Done():
		go func() { // ends with the last of these requests too
			<-inside
			_ = old.Shutdown(ctx)
		}()
		return context.Cause(ctx)
	}
}

// The configuration of a Transport in use, for example its certificates, cannot be changed. This example replaces the
// Transport instead, and loses no request. To change only limits, use SetLimits.
func ExampleTransport_Shutdown_replace() {
	server := hello()
	defer server.Close()
	transport := newReplaceable(peerpool.New())
	client := &http.Client{Transport: transport}

	fmt.Println(get(client, server.URL))
	next := peerpool.New()
	if err := next.Warm(context.Background(), server.URL, 1); err != nil { // so that no request waits for a connection
		fmt.Println(err)
	}
	if err := transport.Replace(context.Background(), next); err != nil {
		fmt.Println(err)
	}
	fmt.Println(get(client, server.URL))
	// Output:
	// hello
	// hello
}
