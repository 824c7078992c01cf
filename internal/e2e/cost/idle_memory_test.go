//go:build !race

package cost_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/memtest"
)

// What an idle connection may hold besides what a socket, and crypto/tls, hold by themselves, in bytes of the heap: the
// connection and what the pool knows of it, its raw connection and its place with the watcher; with TLS its state, and
// what lies between it and the socket. It is about 280 and 590 with Go 1.26, 300 and 640 with Go 1.27. A peer with one connection
// holds its Identity, its route and its group in the pool besides, and their places in maps: about 1,490 in all with both.
const (
	maxIdleBytes    = 336
	maxIdleTLSBytes = 672
	maxPeerBytes    = 1568
)

// idlers is how many connections are opened: many enough for what comes in blocks to be spread.
const idlers = 400

// hall answers one request on each connection and then keeps it, without a goroutine that would count.
func hall(t *testing.T, config *tls.Config) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var guests []net.Conn
	ended := make(chan struct{})
	go func() { // ends with the listener
		defer close(ended)
		buf := make([]byte, 4096)
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			if config != nil {
				nc = tls.Server(nc, config)
			}
			guests = append(guests, nc)
			if _, err := nc.Read(buf); err == nil {
				nc.Write([]byte(answerOfFour))
			}
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-ended
		for _, nc := range guests {
			nc.Close()
		}
	})
	return ln.Addr().String()
}

// heldBy returns the bytes of heap that each connection holds that open has opened. release lets the connections become
// idle.
func heldBy(t *testing.T, open func() (release func())) int {
	t.Helper()
	releases := make([]func(), idlers)
	before := memtest.HeapInUse()
	for i := range releases {
		releases[i] = open()
	}
	for i, release := range releases {
		release()
		releases[i] = nil
	}
	return int(memtest.HeapInUse()-before) / idlers
}

// bareOpener opens connections of our own, with the same exchange on them, and keeps them.
func bareOpener(t *testing.T, addr string, config *tls.Config) func() func() {
	conns := make([]net.Conn, 0, idlers)
	t.Cleanup(func() {
		for _, nc := range conns {
			nc.Close()
		}
	})
	return func() func() {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if config != nil {
			nc = tls.Client(nc, config)
		}
		conns = append(conns, nc)
		if _, err := io.WriteString(nc, "GET / HTTP/1.1\r\nHost: "+addr+"\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(nc, make([]byte, len(answerOfFour))); err != nil {
			t.Fatal(err)
		}
		return func() {}
	}
}

// pooledOpener opens connections of a Transport: a response that is not read keeps its connection.
func pooledOpener(t *testing.T, url string, config *tls.Config) (*peerpool.Transport, func() func()) {
	tr := &peerpool.Transport{MaxIdleConnsPerHost: idlers, TLSClientConfig: config}
	t.Cleanup(tr.CloseIdleConnections)
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	last := req.Clone(t.Context())
	last.Close = true
	openedBy(t, tr, last)() // what is made once
	return tr, func() func() { return openedBy(t, tr, req) }
}

// openedBy sends a request and leaves the response unread, so that the next request takes another connection. The function that
// it returns reads the response.
func openedBy(t *testing.T, tr *peerpool.Transport, req *http.Request) func() {
	t.Helper()
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Error(err)
		}
		resp.Body.Close()
	}
}

// measuring says that the process is one that inOwnProcess has started.
const measuring = "PEERPOOL_MEASURES_MEMORY"

// inOwnProcess runs the test once more in a process of its own, so that memory that other tests free does not disturb the
// measurement. It returns true in that process.
func inOwnProcess(t *testing.T) bool {
	t.Helper()
	if os.Getenv(measuring) != "" {
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), measuring+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

func wantSmall(t *testing.T, scheme string, server, client *tls.Config, most int) {
	t.Helper()
	if !inOwnProcess(t) {
		return
	}
	addr := hall(t, server)
	alone := heldBy(t, bareOpener(t, addr, client))
	tr, open := pooledOpener(t, scheme+"://"+addr, client)
	held := heldBy(t, open)
	if idle := tr.Stats().Idle; idle != idlers {
		t.Fatalf("%d connections idle, want %d", idle, idlers)
	}
	t.Logf("%d bytes, and %d without us", held, alone)
	if held-alone > most {
		t.Errorf("an idle connection holds %d bytes more than without us, want at most %d", held-alone, most)
	}
}

func TestAnIdleConnectionHoldsLittle(t *testing.T) { wantSmall(t, "http", nil, nil, maxIdleBytes) }

// TestAPeerWithAConnectionHoldsLittle opens each connection to a host of its own, all of which one server answers.
func TestAPeerWithAConnectionHoldsLittle(t *testing.T) {
	if !inOwnProcess(t) {
		return
	}
	addr := hall(t, nil)
	alone := heldBy(t, bareOpener(t, addr, nil))
	tr := &peerpool.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addr)
	}}
	t.Cleanup(tr.CloseIdleConnections)
	var peers int
	held := heldBy(t, func() func() {
		peers++
		req, err := http.NewRequest(http.MethodGet, "http://host"+strconv.Itoa(peers)+".test/", nil)
		if err != nil {
			t.Fatal(err)
		}
		return openedBy(t, tr, req)
	})
	if known := len(tr.Stats().Peers); known != idlers {
		t.Fatalf("%d peers, want %d", known, idlers)
	}
	t.Logf("%d bytes, and %d without us", held, alone)
	if held-alone > maxPeerBytes {
		t.Errorf("a peer with a connection holds %d bytes more than without us, want at most %d", held-alone, maxPeerBytes)
	}
}

func TestAnIdleConnectionWithTLSHoldsLittleMore(t *testing.T) {
	ca := httptestutil.NewCA(t)
	server := &tls.Config{Certificates: []tls.Certificate{ca.Server("127.0.0.1")}}
	client := &tls.Config{RootCAs: ca.Pool(), ServerName: "127.0.0.1", ClientSessionCache: tls.NewLRUClientSessionCache(0)}
	wantSmall(t, "https", server, client, maxIdleTLSBytes)
}
