package peerpool_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/peerpool/peerpool"
)

// To use peerpool in place of net/http, change one word: write peerpool.Transport instead of http.Transport.
func Example() {
	server := hello()
	defer server.Close()

	transport := &peerpool.Transport{IdleConnTimeout: 90 * time.Second}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}

	for range 3 {
		fmt.Println(get(client, server.URL))
	}
	stats := transport.Stats()
	fmt.Println("opened:", stats.Opened, "hits:", stats.Hits)
	// Output:
	// hello
	// hello
	// hello
	// opened: 1 hits: 2
}

// FromHTTP takes over an existing configuration.
func ExampleFromHTTP() {
	server := hello()
	defer server.Close()

	old := &http.Transport{ResponseHeaderTimeout: 5 * time.Second}
	transport := peerpool.FromHTTP(old)
	defer transport.CloseIdleConnections()

	fmt.Println(get(&http.Client{Transport: transport}, server.URL), transport.ResponseHeaderTimeout)
	// Output: hello 5s
}

// Requests of different groups never share a connection.
func ExampleWithPeer() {
	server := hello()
	defer server.Close()
	transport := &peerpool.Transport{}
	defer transport.CloseIdleConnections()

	for _, tenant := range []string{"tenant-a", "tenant-b", "tenant-a"} {
		peer, err := peerpool.NewPeer(peerpool.PeerOptions{Group: tenant})
		if err != nil {
			fmt.Println(err)
			return
		}
		ctx := peerpool.WithPeer(context.Background(), peer)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			fmt.Println(err)
			return
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	fmt.Println("connections:", transport.Stats().Opened)
	// Output: connections: 2
}

// NewPeer checks its options. The error names the option that is wrong.
func ExampleNewPeer() {
	_, err := peerpool.NewPeer(peerpool.PeerOptions{
		Addr:  "example.com", // a port is missing
		Proxy: &url.URL{Scheme: "ftp", Host: "proxy.example.com"},
	})
	fmt.Println(err)
	// Output:
	// peerpool: PeerOptions.Addr: "example.com" is neither host:port nor unix:/path
	// peerpool: PeerOptions.Proxy: unsupported proxy scheme "ftp": want http, https, socks5 or socks5h
}

// If the idle timeout is zero, the Transport closes each connection when its response ends.
func ExamplePeerOptions_idleTimeout() {
	server := hello()
	defer server.Close()

	never := time.Duration(0)
	peer, err := peerpool.NewPeer(peerpool.PeerOptions{IdleTimeout: &never})
	if err != nil {
		fmt.Println(err)
		return
	}
	transport := &peerpool.Transport{
		PeerFor: func(*http.Request) (*peerpool.Peer, error) { return peer, nil },
	}
	client := &http.Client{Transport: transport}
	fmt.Println(get(client, server.URL), get(client, server.URL))
	fmt.Println("closes:", transport.Stats().Closes)
	// Output:
	// hello hello
	// closes: map[unpooled:2]
}

// An Observer shows which requests reuse a connection, and why connections are closed.
func ExampleObserver() {
	server := hello()
	defer server.Close()

	transport := &peerpool.Transport{
		MaxConnReuse: 1,
		Observer: &peerpool.Observer{
			AcquireDone: func(_ context.Context, a peerpool.AcquireDone) { fmt.Printf("reused %t, miss %q\n", a.Reused, a.Miss) },
			ConnClosed:  func(c peerpool.ConnClosed) { fmt.Println("closed:", c.Reason) },
		},
	}
	client := &http.Client{Transport: transport}
	get(client, server.URL)
	get(client, server.URL)
	// Output:
	// reused false, miss "cold"
	// reused true, miss ""
	// closed: max_reuse
}

// If the program finds that a response is wrong, it can keep the Transport from using the connection again.
func ExampleDiscardConn() {
	server := hello()
	defer server.Close()
	transport := &peerpool.Transport{}

	resp, err := (&http.Client{Transport: transport}).Get(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	peerpool.DiscardConn(resp)
	resp.Body.Close()
	fmt.Println(transport.Stats().Closes)
	// Output: map[discarded:1]
}
