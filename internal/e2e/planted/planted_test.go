package planted_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// bulk is the size of a body that is read past any buffer, straight from the connection.
const bulk = 16 << 10

// plantedBehind answers with a body of bulk bytes and one response too many right behind, and says when all of it
// has been sent. Its further connections answer as they should.
func plantedBehind(sent chan<- struct{}) httptestutil.Script {
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", bulk)
	return httptestutil.PerConn(func(c *httptestutil.WireConn) {
		c.ReadRequest()
		c.Write(head, strings.Repeat("x", bulk), testkit.Planted)
		sent <- struct{}{}
		c.WaitClosed()
	}, httptestutil.Replies(testkit.Ok))
}

// beginBulk sends a request and reads the first half of the body. It returns what reads the rest in one piece, so
// that nothing of what is behind is read with it.
func beginBulk(t *testing.T, s *testkit.Subject, url string, sent <-chan struct{}) (end func()) {
	resp, err := s.RoundTrip(testkit.NewRequest(t, http.MethodGet, url, nil))
	if err != nil {
		t.Fatal(err)
	}
	<-sent
	half := func() {
		if _, err := io.ReadFull(resp.Body, make([]byte, bulk/2)); err != nil {
			t.Error(err)
		}
	}
	half()
	return func() {
		half()
		resp.Body.Close()
	}
}

func TestAPlantedAnswerBehindABigBodyIsFoundBeforeTheNextRequest(t *testing.T) {
	sent := make(chan struct{}, 1)
	testkit.EachKind(t, func() httptestutil.Script { return plantedBehind(sent) },
		func(t *testing.T, wire *httptestutil.Wire, s *testkit.Subject) {
			beginBulk(t, s, wire.URL(), sent)()
			s.Noticed()
			if got := s.Get(wire.URL()); got != "ok" {
				t.Errorf("got %q", got)
			}
			s.Closes("unexpected_data", 1)
			s.Events.WantRetries(t)
		})
}

// TestAPlantedAnswerBehindABigBodyIsFoundAtHandOver hands the connection to a request that waits for it, so that the
// connection is never idle.
func TestAPlantedAnswerBehindABigBodyIsFoundAtHandOver(t *testing.T) {
	sent := make(chan struct{}, 1)
	testkit.EachKind(t, func() httptestutil.Script { return plantedBehind(sent) },
		func(t *testing.T, wire *httptestutil.Wire, s *testkit.Subject) {
			if s.DialContext != nil {
				t.Skip("a connection that hides its socket shows nothing at that moment")
			}
			s.MaxConnsPerHost = 1
			end := beginBulk(t, s, wire.URL(), sent)
			got := make(chan string)
			go func() { got <- s.Get(wire.URL()) }()
			s.Await("a request waits", func(st peerpool.Stats) bool { return st.Waiting == 1 })
			end()
			if got := <-got; got != "ok" {
				t.Errorf("got %q", got)
			}
			s.Closes("unexpected_data", 1)
			s.Events.WantRetries(t)
		})
}
