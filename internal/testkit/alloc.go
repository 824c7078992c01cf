//go:build !race

package testkit

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/peerpool/peerpool"
)

// Frugal starts a server that answers every request on one connection, without allocating memory for it.
func Frugal(t testing.TB, response string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		buf, reply := make([]byte, 4096), []byte(response)
		for { // the client's requests fit into one read
			if _, err := nc.Read(buf); err != nil {
				return
			}
			if _, err := nc.Write(reply); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-ended
	})
	return "http://" + ln.Addr().String()
}

// Hits returns a function that sends a GET in ctx over the idle connection of tr, and reads the short response.
func Hits(t testing.TB, tr *peerpool.Transport, ctx context.Context) func() {
	t.Helper()
	url := Frugal(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	t.Cleanup(tr.CloseIdleConnections) // before the server's end, which waits for that
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return Getter(t, tr, req)
}

// Getter returns a function that sends req and reads the response to its end. It has done so once already, so that there is
// a connection, and whatever else is made once.
func Getter(t testing.TB, rt http.RoundTripper, req *http.Request) func() {
	t.Helper()
	buf := make([]byte, 512)
	get := func() {
		resp, err := rt.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = resp.Body.Read(buf)
		}
		if err != io.EOF {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	get()
	return get
}
