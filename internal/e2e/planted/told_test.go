package planted_test

import (
	"bufio"
	"net"
	"net/http"
	"testing"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/testkit"
)

// plantOnIdle starts a server that answers each request. When plant is called, the server writes an answer that nobody asked
// for to its first connection, which is idle, and plant returns when that has arrived.
func plantOnIdle(t *testing.T) (url string, plant func()) {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	first := make(chan net.Conn, 1)
	go func() { // ends with the listener
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			select {
			case first <- nc:
			default:
			}
			go func() { // ends when the client closes the connection
				defer nc.Close()
				for br := bufio.NewReader(nc); ; {
					if _, err := http.ReadRequest(br); err != nil {
						return
					}
					if _, err := nc.Write([]byte(httptestutil.Response("ok"))); err != nil {
						return
					}
				}
			}()
		}
	}()
	return "http://" + ln.Addr().String(), func() {
		nc := <-first
		if _, err := nc.Write([]byte(testkit.Planted)); err != nil {
			t.Error(err)
		}
		acked(nc)
	}
}

func TestARequestTellsThatItFoundAPlantedAnswerOnAnIdleConnection(t *testing.T) {
	url, plant := plantOnIdle(t)
	s := testkit.Observe(t, &peerpool.Transport{})
	s.Get(url)
	plant()
	s.Get(url)
	s.Get(url)
	for i, a := range s.Events.Acquisitions() {
		if want := i == 1; a.UnexpectedData != want || (a.Miss == "stale") != want {
			t.Errorf("request %d: unexpected data %v, miss %q", i+1, a.UnexpectedData, a.Miss)
		}
	}
}
