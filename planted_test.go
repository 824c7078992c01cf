package peerpool_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

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
		c.Write(head, strings.Repeat("x", bulk), planted)
		sent <- struct{}{}
		c.WaitClosed()
	}, httptestutil.Replies(ok))
}

// beginBulk sends a request and reads the first half of the body. It returns what reads the rest in one piece, so
// that nothing of what is behind is read with it.
func beginBulk(t *testing.T, s *subject, url string, sent <-chan struct{}) (end func()) {
	resp, err := s.RoundTrip(newRequest(t, http.MethodGet, url, nil))
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
	eachKind(t, func() httptestutil.Script { return plantedBehind(sent) },
		func(t *testing.T, wire *httptestutil.Wire, s *subject) {
			beginBulk(t, s, wire.URL(), sent)()
			s.noticed()
			if got := s.get(wire.URL()); got != "ok" {
				t.Errorf("got %q", got)
			}
			s.closes("unexpected_data", 1)
			s.events.wantRetries(t)
		})
}

// TestAPlantedAnswerBehindABigBodyIsFoundAtHandOver: the connection goes to a request that waits for it, and is
// never idle.
func TestAPlantedAnswerBehindABigBodyIsFoundAtHandOver(t *testing.T) {
	sent := make(chan struct{}, 1)
	eachKind(t, func() httptestutil.Script { return plantedBehind(sent) },
		func(t *testing.T, wire *httptestutil.Wire, s *subject) {
			if s.DialContext != nil {
				t.Skip("a connection that hides its socket shows nothing at that moment")
			}
			s.MaxConnsPerHost = 1
			end := beginBulk(t, s, wire.URL(), sent)
			got := make(chan string)
			go func() { got <- s.get(wire.URL()) }()
			s.await("a request waits", func(st peerpool.Stats) bool { return st.Waiting == 1 })
			end()
			if got := <-got; got != "ok" {
				t.Errorf("got %q", got)
			}
			s.closes("unexpected_data", 1)
			s.events.wantRetries(t)
		})
}
