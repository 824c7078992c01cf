package http2_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// http2Bubble runs a test against Go's HTTP/2 server, without TLS and in memory, where time passes only when nothing
// else does. The server answers as numbered does.
func http2Bubble(t *testing.T, tr *peerpool.Transport, test func(t *testing.T, b *bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{leave: make(chan struct{})}
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{
			Listener:  httptestutil.NewListener(0),
			Protocols: testkit.Versions(testkit.WithoutTLS),
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				seen := httptestutil.SeenBy(r)
				fmt.Fprintf(w, "%d.%d", seen.Conn, seen.Seq)
				if r.URL.Path == "/slow" {
					testkit.Flush(w)
					select {
					case <-b.leave:
					case <-r.Context().Done():
					}
				}
			}),
		})
		tr := tr.Clone()
		tr.Protocols, tr.DialContext = testkit.Versions(testkit.WithoutTLS), o.Dial
		b.Subject = testkit.Observe(t, tr)
		test(t, b)
	})
}

// bubble is a Transport in a bubble with its server.
type bubble struct {
	*testkit.Subject
	leave chan struct{} // lets a slow response end
}

// slow sends a request whose response does not end before leave is closed, and checks where it is served.
func (b *bubble) slow(want string) *http.Response {
	b.T.Helper()
	resp, err := b.RoundTrip(testkit.NewRequest(b.T, http.MethodGet, "http://example.test/slow", nil))
	if err != nil {
		b.T.Fatal(err)
	}
	got := make([]byte, len(want))
	if _, err := resp.Body.Read(got); err != nil || string(got) != want {
		b.T.Errorf("served as %s (%v), want %s", got, err, want)
	}
	return resp
}

func TestMaxConnReuseCountsStreams(t *testing.T) {
	http2Bubble(t, &peerpool.Transport{MaxConnReuse: 2}, func(t *testing.T, b *bubble) {
		b.WantNumbers("1.1", "1.2", "1.3", "2.1", "2.2", "2.3", "3.1")
		b.ClosedNow("max_reuse", 2)
	})
}

func TestAConnectionAtItsMaxConnReuseFinishesItsStreams(t *testing.T) {
	http2Bubble(t, &peerpool.Transport{MaxConnReuse: 2}, func(t *testing.T, b *bubble) {
		resp := b.slow("1.1")
		b.WantNumbers("1.2", "1.3", "2.1")
		b.ClosedNow("max_reuse", 0)
		close(b.leave)
		testkit.ReadBody(t, resp)
		b.ClosedNow("max_reuse", 1)
	})
}

func TestAConnectionAtItsMaxConnLifetimeFinishesItsStreams(t *testing.T) {
	http2Bubble(t, &peerpool.Transport{MaxConnLifetime: time.Minute}, func(t *testing.T, b *bubble) {
		resp := b.slow("1.1")
		time.Sleep(50 * time.Second)
		b.WantNumbers("1.2")
		time.Sleep(20 * time.Second) // a minute, and the tenth that it may be longer
		b.WantNumbers("2.1", "2.2")
		b.ClosedNow("max_lifetime", 0)
		close(b.leave)
		testkit.ReadBody(t, resp)
		b.ClosedNow("max_lifetime", 1)
	})
}

func TestTheIdleTimeoutBeginsWithTheEndOfTheLastStream(t *testing.T) {
	http2Bubble(t, &peerpool.Transport{IdleConnTimeout: 10 * time.Second}, func(t *testing.T, b *bubble) {
		resp := b.slow("1.1")
		b.WantNumbers("1.2")
		time.Sleep(time.Minute)
		b.ClosedNow("idle_timeout", 0)
		close(b.leave)
		testkit.ReadBody(t, resp)
		time.Sleep(10*time.Second - time.Millisecond)
		b.ClosedNow("idle_timeout", 0)
		b.WantNumbers("1.3")
		time.Sleep(10*time.Second + testkit.Reaping)
		b.ClosedNow("idle_timeout", 1)
		b.WantNumbers("2.1")
	})
}

func TestConnectionsOfAZeroTimeoutPeerCloseWhenTheirStreamEnds(t *testing.T) {
	peers := map[string]*peerpool.Transport{
		"DisableKeepAlives": {DisableKeepAlives: true},
		"IdleTimeout": {PeerFor: func(*http.Request) (*peerpool.Peer, error) {
			return peerpool.NewPeer(peerpool.PeerOptions{IdleTimeout: new(time.Duration)})
		}},
	}
	for name, tr := range peers {
		t.Run(name, func(t *testing.T) {
			http2Bubble(t, tr, func(t *testing.T, b *bubble) {
				resp := b.slow("1.1")
				b.WantNumbers("2.1", "3.1")
				b.ClosedNow("unpooled", 2)
				close(b.leave)
				testkit.ReadBody(t, resp)
				b.ClosedNow("unpooled", 3)
			})
		})
	}
}

func TestRequestCloseHasTheConnectionTakeNoOther(t *testing.T) {
	http2Bubble(t, &peerpool.Transport{}, func(t *testing.T, b *bubble) {
		b.WantNumbers("1.1")
		req := testkit.NewRequest(t, http.MethodGet, "http://example.test", nil)
		req.Close = true
		if got := b.Ok(req); got != "1.2" {
			t.Errorf("served as %s, want 1.2", got)
		}
		b.WantNumbers("2.1")
	})
}

func TestCloseIdleConnectionsSparesTheStreamsUnderWay(t *testing.T) {
	http2Bubble(t, &peerpool.Transport{}, func(t *testing.T, b *bubble) {
		resp := b.slow("1.1")
		b.CloseIdleConnections()
		close(b.leave)
		if got := testkit.ReadBody(t, resp); got != "" {
			t.Errorf("%q came", got)
		}
		b.ClosedNow("close_idle", 1)
		b.WantNumbers("2.1")
		b.CloseIdleConnections()
		b.ClosedNow("close_idle", 2)
	})
}

func TestShutdownWaitsForStreams(t *testing.T) {
	http2Bubble(t, &peerpool.Transport{}, func(t *testing.T, b *bubble) {
		resp := b.slow("1.1")
		down := false
		go func() {
			if err := b.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			down = true
		}()
		synctest.Wait()
		if down {
			t.Error("Shutdown has not waited for the stream")
		}
		if _, err := b.RoundTrip(testkit.NewRequest(t, http.MethodGet, "http://example.test", nil)); err != peerpool.ErrClosed {
			t.Errorf("a request after Shutdown: %v", err)
		}
		close(b.leave)
		testkit.ReadBody(t, resp)
		synctest.Wait()
		if !down {
			t.Error("Shutdown still waits")
		}
		b.ClosedNow("shutdown", 1)
	})
}

func TestDiscardRetiresTheConnectionOfAStream(t *testing.T) {
	http2Bubble(t, &peerpool.Transport{}, func(t *testing.T, b *bubble) {
		kept, doubtful := b.slow("1.1"), b.slow("1.2")
		peerpool.DiscardConn(doubtful)
		doubtful.Body.Close()
		b.WantNumbers("2.1")
		b.ClosedNow("discarded", 0)
		close(b.leave)
		testkit.ReadBody(t, kept)
		b.ClosedNow("discarded", 1)
	})
}

func TestAnIdleConnectionThatTheServerClosesIsRetired(t *testing.T) {
	for _, how := range []string{"closed", "reset"} {
		t.Run(how, func(t *testing.T) {
			o := testkit.Http2Origin(t, 100, nil)
			s := onHTTP2(t, o, &peerpool.Transport{})
			s.Get(o.URL())
			if how == "closed" {
				o.CloseConns()
			} else {
				o.ResetConns()
			}
			s.Closes("peer_closed", 1)
			s.Get(o.URL())
			if st := s.Stats(); st.Retries != (peerpool.Retries{}) || st.Opened != 2 {
				t.Errorf("%+v", st)
			}
		})
	}
}
