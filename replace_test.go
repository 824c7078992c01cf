package peerpool_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/peerpool/peerpool"
)

func TestReplacingATransportUnderLoadLosesNoRequest(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write(make([]byte, 16<<10)) // so that bodies are under way, too
	}))
	defer server.Close()
	transport := newReplaceable(&peerpool.Transport{})
	client := &http.Client{Transport: transport}
	var served atomic.Int64
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for !stop.Load() {
				resp, err := client.Post(server.URL, "text/plain", nil) // which is not sent twice
				if err != nil {
					t.Error(err)
					return
				}
				n, err := io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if n != 16<<10 || err != nil {
					t.Errorf("%d bytes, %v", n, err)
				}
				served.Add(1)
			}
		})
	}
	for range 50 {
		old := transport.now.Transport
		before := served.Load()
		for served.Load() == before && !t.Failed() {
			runtime.Gosched()
		}
		if err := transport.Replace(context.Background(), &peerpool.Transport{}); err != nil {
			t.Error(err)
		}
		if s := old.Stats(); s.Idle+s.Active != 0 {
			t.Errorf("the old Transport has %d idle and %d active connections", s.Idle, s.Active)
		}
	}
	stop.Store(true)
	wg.Wait()
	_ = transport.Replace(context.Background(), &peerpool.Transport{})
}

func TestAReplacedTransportIsShutDownAlsoIfNobodyWaitsForIt(t *testing.T) {
	hold := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hold }))
	defer server.Close()
	first := &peerpool.Transport{}
	transport := newReplaceable(first)
	done := make(chan error, 1)
	go func() {
		resp, err := (&http.Client{Transport: transport}).Get(server.URL)
		if err == nil {
			resp.Body.Close()
		}
		done <- err
	}()
	for first.Stats().Active == 0 {
		runtime.Gosched()
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := transport.Replace(ctx, &peerpool.Transport{}); err != context.Canceled {
		t.Errorf("Replace returned %v", err)
	}
	close(hold)
	if err := <-done; err != nil {
		t.Errorf("the request failed: %v", err)
	}
}
