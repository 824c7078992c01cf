package parity_test

import (
	"context"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/peerpool/peerpool"
	"github.com/peerpool/peerpool/internal/testkit"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// measured is a connection that remembers the largest of its reads and writes. It hides that it is one of TCP, so that
// nothing is copied past the buffers.
type measured struct {
	net.Conn
	mu            sync.Mutex // guards what follows
	reads, writes int        // bytes
}

func (m *measured) Read(p []byte) (int, error) {
	m.mu.Lock()
	m.reads = max(m.reads, len(p))
	m.mu.Unlock()
	return m.Conn.Read(p)
}

func (m *measured) Write(p []byte) (int, error) {
	m.mu.Lock()
	m.writes = max(m.writes, len(p))
	m.mu.Unlock()
	return m.Conn.Write(p)
}

// TestBuffersAreAsLargeAsWithNetHTTP measures the reads and writes on the connection. The caller reads the response byte by
// byte and sends small chunks, so each read and write has the size of a buffer.
func TestBuffersAreAsLargeAsWithNetHTTP(t *testing.T) {
	for name, config := range map[string]*http.Transport{
		"default": {},
		"small":   {ReadBufferSize: 512, WriteBufferSize: 512},
		"large":   {ReadBufferSize: 64 << 10, WriteBufferSize: 64 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			testkit.SideBySide(t, func(s *testkit.Scene) {
				o := httptestutil.NewOrigin(s, httptestutil.OriginOptions{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					n, _ := io.Copy(io.Discard, r.Body)
					_, _ = io.WriteString(w, strings.Repeat("y", int(n)))
				})})
				var m *measured
				config := config.Clone()
				config.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					nc, err := o.Dial(ctx, network, addr)
					m = &measured{Conn: nc}
					return m, err
				}
				req := testkit.NewRequest(s, http.MethodPost, anywhere, io.LimitReader(repeating('x'), 100_000))
				resp, err := s.Use(config).RoundTrip(req)
				if err != nil {
					s.Fatal(err)
				}
				defer resp.Body.Close()
				total, one := 0, make([]byte, 1)
				for ; err == nil; total++ {
					_, err = resp.Body.Read(one)
				}
				s.Note("%d reads, %v", total, err)
				m.mu.Lock()
				defer m.mu.Unlock()
				s.Note("the largest read is of %d bytes, the largest write of %d", m.reads, m.writes)
			})
		})
	}
}

// TestBuffersLargerThanTheMemoryServeRequests checks that a request does not fail because of a buffer size that no
// allocation could satisfy.
func TestBuffersLargerThanTheMemoryServeRequests(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	})})
	tr := &peerpool.Transport{ReadBufferSize: math.MaxInt, WriteBufferSize: math.MaxInt}
	t.Cleanup(tr.CloseIdleConnections)
	req := testkit.NewRequest(t, http.MethodPost, o.URL(), io.LimitReader(repeating('x'), 1000))
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); len(body) != 1000 || err != nil {
		t.Errorf("%d bytes of the body, %v", len(body), err)
	}
}

// repeating is a reader of one byte without an end, of which a read returns few.
type repeating byte

func (r repeating) Read(p []byte) (int, error) {
	p = p[:min(len(p), 100)]
	for i := range p {
		p[i] = byte(r)
	}
	return len(p), nil
}
