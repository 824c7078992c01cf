package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/peerpool/peerpool"
)

// closed returns the URL of a backend that is not there.
func closed(t *testing.T) *url.URL {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return &url.URL{Scheme: "http", Host: ln.Addr().String()}
}

// open returns the URL of one that answers.
func open(t *testing.T) *url.URL {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// post sends n requests through a proxy, and returns their last status and how many went elsewhere first.
func post(t *testing.T, n int, backends ...*url.URL) (status int, elsewhere int64) {
	t.Helper()
	var count atomic.Int64
	transport := &peerpool.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	front, err := serveProxy(transport, backends, &count)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = front.Close() })
	for range n {
		resp, err := http.Post(front.url, "text/plain", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
		status = resp.StatusCode
	}
	return status, count.Load()
}

func TestARequestWhoseBackendIsGoneGoesToTheOther(t *testing.T) {
	status, elsewhere := post(t, 2, closed(t), open(t)) // they take turns
	if status != http.StatusOK || elsewhere != 1 {
		t.Errorf("status %d; %d went elsewhere", status, elsewhere)
	}
}

func TestARequestThatNoBackendAnswersIsABadGateway(t *testing.T) {
	if status, _ := post(t, 1, closed(t), closed(t)); status != http.StatusBadGateway {
		t.Errorf("status %d", status)
	}
}
