//go:build !race

package peerpool_test

import (
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/peerpool/peerpool"
)

// maxAllocs is what a GET may allocate: the attempt with its response, the header's map and its values, the text of
// the head, and what a lease costs.
const maxAllocs = 6

// frugal answers every request on one connection, and allocates nothing for it.
func frugal(t testing.TB, response string) string {
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

func TestAGetAllocatesLittle(t *testing.T) {
	url := frugal(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n"+
		"Date: Sun, 22 Nov 2026 00:00:00 GMT\r\nServer: x\r\n\r\nok")
	tr := &peerpool.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 512)
	get := func() {
		resp, err := tr.RoundTrip(req)
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
	get() // a connection, and whatever is made once
	allocs := testing.AllocsPerRun(2000, get)
	t.Logf("%v allocations for a GET with four fields in the response", allocs)
	if allocs > maxAllocs {
		t.Errorf("%v allocations, want at most %d", allocs, maxAllocs)
	}
}
