package http2

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/exchange"
	"github.com/peerpool/peerpool/internal/h2server"
)

// bench is a connection under test in a bubble, and the server's end of it. The test plays the server frame by frame.
type bench struct {
	*Conn
	t      *testing.T
	server *server

	noting  sync.Mutex // guards the fields below; mu is that of the Conn
	reasons []Reason
	sizes   []int
}

// server is the server's end of a connection.
type server struct {
	*h2server.FrameConn
	nc net.Conn
}

// SetDeadline sets the deadline of the connection.
func (s *server) SetDeadline(at time.Time) { s.nc.SetDeadline(at) }

const aDay = 24 * time.Hour

// connTest runs a test in a bubble of its own. The test fails if goroutines still run in the bubble when it ends.
func connTest(t *testing.T, config Config, test func(b *bench)) {
	t.Helper()
	connTestWith(t, config, 0, test)
}

// connTestWith is connTest with a server that accepts at most buffer bytes which it has not read. 0 means any number.
func connTestWith(t *testing.T, config Config, buffer int, test func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e := New(config)
		nc, theirs := httptestutil.Pipe(buffer)
		if err := theirs.SetDeadline(time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		c, err := e.NewConn(t.Context(), nc, Known{})
		if err != nil {
			t.Fatal(err)
		}
		b := &bench{Conn: c, t: t, server: &server{h2server.Frames(theirs), theirs}}
		t.Cleanup(func() {
			c.Close()
			theirs.Close()
			synctest.Wait()
			c.mu.Lock()
			defer c.mu.Unlock()
			if len(c.streams)+len(c.queue)+c.granted != 0 || c.grown != 0 {
				t.Errorf("%d streams are open, %d wait, %d may open, %d bytes granted", len(c.streams), len(c.queue), c.granted, c.grown)
			}
		})
		test(b)
	})
}

// watch makes the bench record what the connection reports.
func (b *bench) watch() int {
	return b.Watch(
		func(r Reason) {
			b.noting.Lock()
			defer b.noting.Unlock()
			b.reasons = append(b.reasons, r)
		},
		func(n int) {
			b.noting.Lock()
			defer b.noting.Unlock()
			b.sizes = append(b.sizes, n)
		},
	)
}

// said returns what watch has recorded, after all goroutines have come to rest.
func (b *bench) said() ([]Reason, []int) {
	synctest.Wait()
	b.noting.Lock()
	defer b.noting.Unlock()
	return b.reasons, b.sizes
}

// run is an exchange that runs on a goroutine of its own. It is also the owner of that exchange.
type run struct {
	*Exchange
	t    *testing.T
	done chan struct{} // closed when resp and err are set
	resp *http.Response
	err  error

	mu   sync.Mutex // guards ends
	ends []exchange.End
}

// ExchangeDone is called when the exchange has ended.
func (r *run) ExchangeDone(end exchange.End, _ exchange.Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ends = append(r.ends, end)
}

// start runs an exchange until the head of its response has come.
func (b *bench) start(ctx context.Context, method string, body io.Reader) *run {
	b.t.Helper()
	return b.startWith(ctx, method, body, "")
}

// startWith is start with an Expect header, unless expect is empty.
func (b *bench) startWith(ctx context.Context, method string, body io.Reader, expect string) *run {
	b.t.Helper()
	req, err := http.NewRequest(method, "http://example.test/", body)
	if err != nil {
		b.t.Fatal(err)
	}
	if expect != "" {
		req.Header.Set("Expect", expect)
	}
	r := &run{t: b.t, done: make(chan struct{})}
	r.Exchange = b.NewExchange(ctx, req, nil, r)
	go func() {
		defer close(r.done)
		if r.resp, r.err = r.Run(); r.err == nil {
			r.HandOver()
		}
	}()
	return r
}

// request returns the stream of the next request that the server gets.
func (b *bench) request() uint32 {
	b.t.Helper()
	req := b.server.ReadRequest()
	if req == nil {
		b.t.Fatalf("no request: %v", b.server.Err())
	}
	return req.Stream
}

// response waits for the response and returns it.
func (r *run) response() *http.Response {
	r.t.Helper()
	if <-r.done; r.err != nil {
		r.t.Fatal(r.err)
	}
	return r.resp
}

// pending checks that the run has not returned.
func (r *run) pending() {
	r.t.Helper()
	synctest.Wait()
	select {
	case <-r.done:
		r.t.Fatalf("ended with %v, %v", r.resp, r.err)
	default:
	}
}

// ended checks that the exchange has ended once, and how.
func (r *run) ended(how exchange.End) {
	r.t.Helper()
	<-r.done
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ends) != 1 || r.ends[0] != how {
		r.t.Errorf("ended with %q, want %q, once", r.ends, how)
	}
}

// source is the body of a request. It counts how often it is closed.
type source struct {
	io.Reader
	mu     sync.Mutex // guards closes
	closes int
}

func text(s string) *source { return &source{Reader: strings.NewReader(s)} }

func (s *source) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closes++
	return nil
}

// closed checks how often the body has been closed.
func (s *source) closed(t *testing.T, want int) {
	t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closes != want {
		t.Errorf("the body was closed %d times, want %d", s.closes, want)
	}
}
