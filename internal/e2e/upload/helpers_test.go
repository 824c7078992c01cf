package upload_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// watchedBody is a request's body that takes note of how it is used, and behaves as it is told to.
type watchedBody struct {
	read  func(p []byte) (int, error)
	close func() error // nil: closed at once

	mu      sync.Mutex // guards what follows
	taken   bool       // it is the caller's again
	reading int        // Reads under way
	reads   int        // Reads so far
	late    int        // Reads that began although it was the caller's again
	closes  int
	during  bool // it was closed while a Read was under way
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	b.reading++
	b.reads++
	if b.taken {
		b.late++
	}
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		b.reading--
		b.mu.Unlock()
	}()
	return b.read(p)
}

func (b *watchedBody) Close() error {
	b.mu.Lock()
	b.closes++
	b.during = b.during || b.reading > 0
	b.mu.Unlock()
	if b.close == nil {
		return nil
	}
	return b.close()
}

// take is called when the caller has its body back. It returns how many Reads are under way.
func (b *watchedBody) take() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken = true
	return b.reading
}

// kibs reads a KiB at a time, which takes d, and never comes to an end.
func kibs(d time.Duration) func([]byte) (int, error) {
	return func(p []byte) (int, error) {
		time.Sleep(d)
		return copy(p, make([]byte, 1<<10)), nil
	}
}

// protocol is how a bubble's client and server talk.
type protocol struct {
	name  string
	set   func(*http.Protocols)
	takes bool // the connection takes what is written when it has been closed, too
}

var (
	inHTTP1      = protocol{name: "http1", set: func(p *http.Protocols) { p.SetHTTP1(true) }}
	inHTTP2      = protocol{name: "http2", set: func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }}
	inHTTP1Takes = protocol{name: "http1 taken when closed", set: inHTTP1.set, takes: true}
)

// takesAll is a connection that accepts writes even after it has been closed.
type takesAll struct{ net.Conn }

func (c takesAll) Write(p []byte) (int, error) {
	c.Conn.Write(p)
	return len(p), nil
}

// bubbleServer serves requests within a synctest bubble, until that ends, and returns a Transport that reaches it.
func (p protocol) bubbleServer(t *testing.T, h http.HandlerFunc) *peerpool.Transport {
	t.Helper()
	var spoken http.Protocols
	p.set(&spoken)
	ln := httptestutil.NewListener(4 << 10)
	srv := &http.Server{
		Handler: h, Protocols: &spoken, ErrorLog: testkit.Quiet,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, serverConn{}, c) },
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		srv.Serve(ln)
	}()
	tr := &peerpool.Transport{Protocols: &spoken, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := ln.Dial(ctx, network, addr)
		if err == nil && p.takes {
			c = takesAll{c}
		}
		return c, err
	}}
	t.Cleanup(func() {
		tr.Shutdown(context.Background())
		srv.Close()
		<-served
		time.Sleep(time.Minute) // Go's server takes leave of some connections
	})
	return tr
}

// drainUpTo reads from a request's body until it fails, and n bytes at most.
func drainUpTo(req *http.Request, n int64) { io.CopyN(io.Discard, req.Body, n) }

// serverConn is the key of a server's connection in the context of its requests.
type serverConn struct{}

// leaves closes the connection that a request came on.
func leaves(_ http.ResponseWriter, req *http.Request) {
	req.Context().Value(serverConn{}).(net.Conn).Close()
	panic(http.ErrAbortHandler)
}
