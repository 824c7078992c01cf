package parity_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool/internal/testkit"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// holding starts an origin whose answers to /hold wait for release. Answers name their request's path.
func holding(s *testkit.Scene, opts httptestutil.OriginOptions) (o *httptestutil.Origin, release chan struct{}) {
	release = make(chan struct{})
	opts.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/hold") {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
		io.WriteString(w, r.URL.Path)
	})
	return httptestutil.NewOrigin(s, opts), release
}

func TestConnectionsAreKeptAsWithNetHTTP(t *testing.T) {
	for name, config := range map[string]*http.Transport{
		"one idle per host":    {MaxIdleConnsPerHost: 1},
		"four idle per host":   {MaxIdleConnsPerHost: 4},
		"none idle per host":   {MaxIdleConnsPerHost: -1},
		"one idle in all":      {MaxIdleConns: 1, MaxIdleConnsPerHost: 10},
		"more in all than per": {MaxIdleConns: 3, MaxIdleConnsPerHost: 2},
		"no keep-alives":       {DisableKeepAlives: true},
	} {
		t.Run(name, func(t *testing.T) {
			testkit.SideBySide(t, func(s *testkit.Scene) {
				o, release := holding(s, httptestutil.OriginOptions{})
				tr := s.Use(config.Clone())
				s.AtOnce(tr, o, release, 5)
				kept := config.MaxIdleConnsPerHost
				if config.MaxIdleConns > 0 {
					kept = min(kept, config.MaxIdleConns)
				}
				o.WaitOpenConns(max(0, kept))
				s.Get(tr, o.URL()+"/again")
				s.Note("%d connections after one more request", o.Conns())
				tr.CloseIdleConnections()
				o.WaitOpenConns(0)
			})
		})
	}
}

func TestTheOldestIdleConnectionOfAllGoesFirstAsWithNetHTTP(t *testing.T) {
	testkit.SideBySide(t, func(s *testkit.Scene) {
		tr := s.Use(&http.Transport{MaxIdleConns: 2})
		var origins []*httptestutil.Origin
		for range 3 {
			o, _ := holding(s, httptestutil.OriginOptions{})
			origins = append(origins, o)
		}
		for _, i := range []int{0, 1, 0, 2} {
			s.Get(tr, origins[i].URL()+"/first")
		}
		origins[1].WaitOpenConns(0)
		for _, i := range []int{2, 0, 1} {
			s.Get(tr, origins[i].URL()+"/second")
			s.Note("origin %d has had %d connections", i, origins[i].Conns())
		}
	})
}

func TestARequestMayAskForTheEndOfItsConnectionAsWithNetHTTP(t *testing.T) {
	for name, config := range map[string]*http.Transport{"keep-alives": {}, "no keep-alives": {DisableKeepAlives: true}} {
		t.Run(name, func(t *testing.T) {
			testkit.SideBySide(t, func(s *testkit.Scene) {
				o := httptestutil.NewOrigin(s, httptestutil.OriginOptions{})
				tr := s.Use(config.Clone())
				for _, shut := range []bool{false, true, false, false} {
					req := testkit.NewRequest(s, http.MethodGet, o.URL(), nil)
					req.Close = shut
					resp, err := tr.RoundTrip(req)
					if err != nil {
						s.Fatal(err)
					}
					seen := httptestutil.ReadSeen(s, resp)
					s.Note("connection %d, request %d, Connection %q, response says close %v",
						seen.Conn, seen.Seq, seen.Header["Connection"], resp.Close)
				}
			})
		})
	}
}

func TestAnIdleConnectionEndsAtItsTimeAsWithNetHTTP(t *testing.T) {
	sideBySideInBubble(t, func(s *testkit.Scene) {
		ln := httptestutil.NewListener(0)
		o, _ := holding(s, httptestutil.OriginOptions{Listener: ln})
		tr := s.Use(&http.Transport{DialContext: ln.Dial, IdleConnTimeout: 10 * time.Second})
		for _, pause := range []time.Duration{0, 9 * time.Second, 9 * time.Second, 11 * time.Second} {
			time.Sleep(pause)
			synctest.Wait()
			s.Note("%d open after a pause of %v", o.OpenConns(), pause)
			s.Get(tr, o.URL()+"/x")
			s.Note("%d connections", o.Conns())
		}
	})
}

// TestTheQueueForAConnectionIsServedAsWithNetHTTP lets several requests wait for the only connection that is allowed. One
// of them gives up.
func TestTheQueueForAConnectionIsServedAsWithNetHTTP(t *testing.T) {
	sideBySideInBubble(t, func(s *testkit.Scene) {
		ln := httptestutil.NewListener(0)
		o, release := holding(s, httptestutil.OriginOptions{Listener: ln})
		tr := s.Use(&http.Transport{DialContext: ln.Dial, MaxConnsPerHost: 1})
		answers := make(chan string, 10)
		impatient, giveUp := context.WithCancel(s.Context())
		defer giveUp()
		for _, path := range []string{"/hold1", "/hold2", "/hold3", "/hold4"} {
			req := testkit.NewRequest(s, http.MethodGet, o.URL()+path, nil)
			if path == "/hold3" {
				req = req.WithContext(impatient)
			}
			go func() { answers <- testkit.Quietly(tr, req) }()
			synctest.Wait()
		}
		s.Note("%d requests at the origin while the others wait", o.Requests())
		giveUp()
		s.Note("the one that gives up: %s", <-answers)
		for range 3 {
			release <- struct{}{}
			s.Note("then %s, over %d connections", <-answers, o.Conns())
			synctest.Wait()
		}
	})
}

func TestTheQueueGoesOnWhenAConnectionIsLostAsWithNetHTTP(t *testing.T) {
	sideBySideInBubble(t, func(s *testkit.Scene) {
		ln := httptestutil.NewListener(0)
		closing := httptestutil.ResponseWith(200, "ok", "Connection: close")
		w := httptestutil.NewWireWith(s, httptestutil.WireOptions{Listener: ln, Bound: time.Hour}, httptestutil.PerConn(
			httptestutil.CloseAtOnce, httptestutil.ReplyThenClose(closing),
		))
		tr := s.Use(&http.Transport{DialContext: ln.Dial, MaxConnsPerHost: 1})
		answers := make(chan string, 10)
		for range 4 {
			go func() {
				req := testkit.NewRequest(s, http.MethodPost, anywhere, strings.NewReader("body"))
				answers <- testkit.Quietly(tr, req)
			}()
			synctest.Wait()
		}
		for range 4 {
			<-answers
		}
		s.Note("all have ended") // over how many connections is a matter of how far each came
		if w.Conns() == 0 {
			s.Error("nobody has connected")
		}
	})
}

func TestCloseIdleConnectionsLeavesThoseInUseAsWithNetHTTP(t *testing.T) {
	testkit.SideBySide(t, func(s *testkit.Scene) {
		o, release := holding(s, httptestutil.OriginOptions{})
		tr := s.Use(&http.Transport{MaxIdleConnsPerHost: 5})
		s.AtOnce(tr, o, release, 2)
		o.WaitOpenConns(2)
		held := make(chan string, 1)
		go func() { held <- testkit.Quietly(tr, testkit.NewRequest(s, http.MethodGet, o.URL()+"/hold", nil)) }()
		o.WaitRequests(3)
		tr.CloseIdleConnections()
		o.WaitOpenConns(1)
		release <- struct{}{}
		s.Note("the request under way: %s", <-held)
		o.WaitOpenConns(0)
		s.Get(tr, o.URL()+"/again")
		s.Note("%d connections", o.Conns())
		o.WaitOpenConns(1)
	})
}
