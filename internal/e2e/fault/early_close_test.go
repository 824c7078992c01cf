package fault_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

func TestABodyClosedEarlyKeepsTheConnectionIfLittleIsLeft(t *testing.T) {
	const drained = 256 << 10
	chunked := func(n int) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", n, strings.Repeat("x", n))
	}
	sized := func(n int) string { return httptestutil.Response(strings.Repeat("x", n)) }
	for name, c := range map[string]struct {
		reply string
		conns int
		waits bool // the server goes on to write while the rest is read; in simulated time it is never too slow for that
	}{
		"little":              {sized(5000), 1, false},
		"as much as drained":  {sized(10 + drained), 1, true},
		"one byte more":       {sized(10 + drained + 1), 2, false},
		"little in chunks":    {chunked(5000), 1, false},
		"too much in chunks":  {chunked(2 * drained), 2, true},
		"to the close":        {"HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("x", 100), 2, false},
		"a close is promised": {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 11\r\n\r\n12345678901", 2, false},
	} {
		closeTwice := func(t *testing.T, wire *httptestutil.Wire, tr *peerpool.Transport) {
			s := testkit.Observe(t, tr)
			for range 2 {
				if err := s.Open(wire.URL(), 10).Body.Close(); err != nil {
					t.Error(err)
				}
			}
			if n := wire.Conns(); n != c.conns {
				t.Errorf("%d connections, want %d; closes %v", n, c.conns, s.Stats().Closes)
			}
			if c.conns == 2 {
				s.Closes("body_unread", 2)
			}
		}
		t.Run(name, func(t *testing.T) {
			if c.waits {
				synctest.Test(t, func(t *testing.T) {
					ln := httptestutil.NewListener(16 << 10)
					wire := httptestutil.NewWireWith(t, httptestutil.WireOptions{Listener: ln}, httptestutil.Replies(c.reply))
					closeTwice(t, wire, &peerpool.Transport{DialContext: ln.Dial})
				})
				return
			}
			httptestutil.CheckLeaks(t)
			closeTwice(t, httptestutil.NewWire(t, httptestutil.Replies(c.reply)), &peerpool.Transport{})
		})
	}
}

func TestClosingABodyWaitsForItsRestOnlyAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, tr := testkit.InMemory(t, httptestutil.ReplyThenStall("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n0123456789"))
		s := testkit.Observe(t, tr)
		resp := s.Open("http://example.test", 5)
		start := time.Now()
		resp.Body.Close()
		if took := time.Since(start); took != 10*time.Millisecond {
			t.Errorf("Close took %v", took)
		}
		if st := s.Stats(); st.Active != 1 {
			t.Errorf("the connection is given up after %v: %v", time.Since(start), st.Closes)
		}
		time.Sleep(40 * time.Millisecond)
		synctest.Wait()
		if st := s.Stats(); st.Closes["body_unread"] != 1 {
			t.Errorf("closes: %v", st.Closes)
		}
	})
}

func TestAClientsTimeoutDoesNotCutTheRestOfAClosedBodyShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, tr := testkit.InMemory(t, func(c *httptestutil.WireConn) {
			for range 2 {
				if c.ReadRequest() == nil {
					return
				}
				c.Write("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n0123456789")
				time.Sleep(30 * time.Millisecond) // longer than Close waits
				c.Write("0123456789")
			}
		})
		client := &http.Client{Transport: tr, Timeout: time.Minute}
		for range 2 {
			resp, err := client.Get("http://example.test")
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			time.Sleep(time.Second)
		}
		if st := tr.Stats(); st.Opened != 1 {
			t.Errorf("%d connections, closes %v", st.Opened, st.Closes)
		}
	})
}

func TestAClosedBodyStaysClosed(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	s := testkit.Observe(t, &peerpool.Transport{})
	resp := s.Open(origin.URL(), 1)
	for range 3 {
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
	}
	if n, err := resp.Body.Read(make([]byte, 9)); n != 0 || err == nil || err.Error() != "http: read on closed response body" {
		t.Errorf("read %d, %v after Close", n, err)
	}
	other := s.Open(origin.URL(), 1) // on the same connection
	resp.Body.Close()
	testkit.ReadBody(t, other)
	if n := origin.Conns(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

func TestClosingABodyEndsARead(t *testing.T) {
	httptestutil.CheckLeaks(t)
	wire := httptestutil.NewWire(t, httptestutil.ReplyThenStall("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n0123456789"))
	s := testkit.Observe(t, &peerpool.Transport{})
	resp := s.Open(wire.URL(), 10)
	ended := make(chan error, 1)
	go func() {
		_, err := io.ReadAll(resp.Body)
		ended <- err
	}()
	resp.Body.Close()
	if err := <-ended; err == nil {
		t.Error("the Read succeeded")
	}
	wire.WaitClientClosed(1)
	s.Closes("body_unread", 1)
}

func TestAForgottenBodyHoldsItsConnectionUntilItIsClosed(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	s := testkit.Observe(t, &peerpool.Transport{MaxConnsPerHost: 1})
	resp := s.Open(origin.URL(), 1)
	next := make(chan error, 1)
	go func() {
		_, err := s.Try(testkit.NewRequest(t, "GET", origin.URL(), nil))
		next <- err
	}()
	s.Await("the next request waits", func(st peerpool.Stats) bool { return st.Waiting == 1 && st.Active == 1 })
	resp.Body.Close()
	if err := <-next; err != nil {
		t.Error(err)
	}
	if n := origin.Conns(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}
