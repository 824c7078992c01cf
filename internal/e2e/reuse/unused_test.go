package reuse_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/testkit"
)

// threads is a server with a few threads. A thread that has taken a new connection waits for its first request, however
// long that takes. After that, a thread serves the connection only while it has a request.
func threads(n int) httptestutil.Script {
	busy := make(chan struct{}, n)
	answer := func(c *httptestutil.WireConn) { c.Write(httptestutil.Response("x")) }
	return func(c *httptestutil.WireConn) {
		busy <- struct{}{}
		open := c.ReadRequest() != nil
		if open {
			answer(c)
		}
		<-busy
		for open && c.ReadRequest() != nil {
			busy <- struct{}{}
			answer(c)
			<-busy
		}
	}
}

// withThreads runs a test in a bubble, with two clients of a server that has two threads. A dial takes a second.
func withThreads(t *testing.T, test func(s, other *testkit.Subject)) {
	synctest.Test(t, func(t *testing.T) {
		_, memory := testkit.InMemory(t, threads(2))
		dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
			time.Sleep(time.Second)
			return memory.DialContext(ctx, network, addr)
		}
		client := func() *testkit.Subject { return testkit.Observe(t, &peerpool.Transport{DialContext: dial}) }
		test(client(), client())
	})
}

// leaveUnused sends requests that are canceled before their connections are there.
func leaveUnused(s *testkit.Subject, n int) {
	for range n {
		ctx, cancel := context.WithTimeout(s.T.Context(), time.Millisecond)
		if _, err := s.RoundTrip(testkit.NewRequest(s.T, http.MethodGet, origin, nil).WithContext(ctx)); err == nil {
			s.T.Error("a request got a response before its connection was there")
		}
		cancel()
	}
	time.Sleep(time.Second)
}

// getWithin sends a request, which must get its response in time.
func getWithin(s *testkit.Subject, limit time.Duration) {
	s.T.Helper()
	begun := time.Now()
	ctx, cancel := context.WithTimeout(s.T.Context(), time.Minute)
	defer cancel()
	if body, err := s.Try(testkit.NewRequest(s.T, http.MethodGet, origin, nil).WithContext(ctx)); err != nil || body != "x" {
		s.T.Fatalf("the request got %q, %v", body, err)
	}
	if took := time.Since(begun); took > limit {
		s.T.Errorf("the request took %v, want at most %v", took, limit)
	}
}

func TestARequestIsServedThoughEachThreadOfTheServerWaitsForAFirstRequest(t *testing.T) {
	withThreads(t, func(s, _ *testkit.Subject) {
		held := s.Open(origin, 0) // its connection comes back after those of the others
		leaveUnused(s, 3)
		if _, err := io.ReadAll(held.Body); err != nil {
			t.Error(err)
		}
		held.Body.Close()
		for range 5 {
			getWithin(s, 0)
		}
		if st := s.Stats(); st.Opened != 4 || st.Idle != 4 {
			t.Errorf("%d connections were opened, and %d are idle", st.Opened, st.Idle)
		}
	})
}

func TestConnectionsThatNoRequestUsesDoNotKeepTheServerFromOthers(t *testing.T) {
	withThreads(t, func(s, other *testkit.Subject) {
		leaveUnused(s, 3)
		getWithin(other, 4*time.Second)
		time.Sleep(time.Second)
		s.ClosedNow("unused", 3)
		if st := s.Stats(); st.Idle != 0 {
			t.Errorf("%d connections are idle", st.Idle)
		}
	})
}
