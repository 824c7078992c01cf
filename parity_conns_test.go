package peerpool_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// holding starts an origin whose answers to /hold wait for release. Answers name their request's path.
func holding(s *scene, opts httptestutil.OriginOptions) (o *httptestutil.Origin, release chan struct{}) {
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

// quietly sends a GET and returns its body, or the text of its error, without a note: other goroutines may.
func quietly(tr http.RoundTripper, req *http.Request) string {
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return string(body)
}

// atOnce sends n requests, none of which is answered before all are there.
func (s *scene) atOnce(tr http.RoundTripper, o *httptestutil.Origin, release chan struct{}, n int) {
	s.Helper()
	before := o.Requests()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() { quietly(tr, newRequest(s, http.MethodGet, o.URL()+"/hold", nil)) })
	}
	o.WaitRequests(before + n)
	for range n {
		release <- struct{}{}
	}
	wg.Wait()
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
			sideBySide(t, func(s *scene) {
				o, release := holding(s, httptestutil.OriginOptions{})
				tr := s.use(config.Clone())
				s.atOnce(tr, o, release, 5)
				kept := config.MaxIdleConnsPerHost
				if config.MaxIdleConns > 0 {
					kept = min(kept, config.MaxIdleConns)
				}
				o.WaitOpenConns(max(0, kept))
				s.get(tr, o.URL()+"/again")
				s.note("%d connections after one more request", o.Conns())
				tr.CloseIdleConnections()
				o.WaitOpenConns(0)
			})
		})
	}
}

func TestTheOldestIdleConnectionOfAllGoesFirstAsWithNetHTTP(t *testing.T) {
	sideBySide(t, func(s *scene) {
		tr := s.use(&http.Transport{MaxIdleConns: 2})
		var origins []*httptestutil.Origin
		for range 3 {
			o, _ := holding(s, httptestutil.OriginOptions{})
			origins = append(origins, o)
		}
		for _, i := range []int{0, 1, 0, 2} {
			s.get(tr, origins[i].URL()+"/first")
		}
		origins[1].WaitOpenConns(0)
		for _, i := range []int{2, 0, 1} {
			s.get(tr, origins[i].URL()+"/second")
			s.note("origin %d has had %d connections", i, origins[i].Conns())
		}
	})
}

func TestARequestMayAskForTheEndOfItsConnectionAsWithNetHTTP(t *testing.T) {
	for name, config := range map[string]*http.Transport{"keep-alives": {}, "no keep-alives": {DisableKeepAlives: true}} {
		t.Run(name, func(t *testing.T) {
			sideBySide(t, func(s *scene) {
				o := httptestutil.NewOrigin(s, httptestutil.OriginOptions{})
				tr := s.use(config.Clone())
				for _, shut := range []bool{false, true, false, false} {
					req := newRequest(s, http.MethodGet, o.URL(), nil)
					req.Close = shut
					resp, err := tr.RoundTrip(req)
					if err != nil {
						s.Fatal(err)
					}
					seen := httptestutil.ReadSeen(s, resp)
					s.note("connection %d, request %d, Connection %q, response says close %v",
						seen.Conn, seen.Seq, seen.Header["Connection"], resp.Close)
				}
			})
		})
	}
}

func TestAnIdleConnectionEndsAtItsTimeAsWithNetHTTP(t *testing.T) {
	sideBySideInBubble(t, func(s *scene) {
		ln := httptestutil.NewListener(0)
		o, _ := holding(s, httptestutil.OriginOptions{Listener: ln})
		tr := s.use(&http.Transport{DialContext: ln.Dial, IdleConnTimeout: 10 * time.Second})
		for _, pause := range []time.Duration{0, 9 * time.Second, 9 * time.Second, 11 * time.Second} {
			time.Sleep(pause)
			synctest.Wait()
			s.note("%d open after a pause of %v", o.OpenConns(), pause)
			s.get(tr, o.URL()+"/x")
			s.note("%d connections", o.Conns())
		}
	})
}

// TestTheQueueForAConnectionIsServedAsWithNetHTTP: one connection, requests in line, one of which gives up.
func TestTheQueueForAConnectionIsServedAsWithNetHTTP(t *testing.T) {
	sideBySideInBubble(t, func(s *scene) {
		ln := httptestutil.NewListener(0)
		o, release := holding(s, httptestutil.OriginOptions{Listener: ln})
		tr := s.use(&http.Transport{DialContext: ln.Dial, MaxConnsPerHost: 1})
		answers := make(chan string, 10)
		impatient, giveUp := context.WithCancel(s.Context())
		defer giveUp()
		for _, path := range []string{"/hold1", "/hold2", "/hold3", "/hold4"} {
			req := newRequest(s, http.MethodGet, o.URL()+path, nil)
			if path == "/hold3" {
				req = req.WithContext(impatient)
			}
			go func() { answers <- quietly(tr, req) }()
			synctest.Wait()
		}
		s.note("%d requests at the origin while the others wait", o.Requests())
		giveUp()
		s.note("the one that gives up: %s", <-answers)
		for range 3 {
			release <- struct{}{}
			s.note("then %s, over %d connections", <-answers, o.Conns())
			synctest.Wait()
		}
	})
}

func TestTheQueueGoesOnWhenAConnectionIsLostAsWithNetHTTP(t *testing.T) {
	sideBySideInBubble(t, func(s *scene) {
		ln := httptestutil.NewListener(0)
		closing := httptestutil.ResponseWith(200, "ok", "Connection: close")
		w := httptestutil.NewWireWith(s, httptestutil.WireOptions{Listener: ln, Bound: time.Hour}, httptestutil.PerConn(
			httptestutil.CloseAtOnce, httptestutil.ReplyThenClose(closing),
		))
		tr := s.use(&http.Transport{DialContext: ln.Dial, MaxConnsPerHost: 1})
		answers := make(chan string, 10)
		for range 4 {
			go func() {
				req := newRequest(s, http.MethodPost, anywhere, strings.NewReader("body"))
				answers <- quietly(tr, req)
			}()
			synctest.Wait()
		}
		for range 4 {
			<-answers
		}
		s.note("all have ended") // over how many connections is a matter of how far each came
		if w.Conns() == 0 {
			s.Error("nobody has connected")
		}
	})
}

func TestCloseIdleConnectionsLeavesThoseInUseAsWithNetHTTP(t *testing.T) {
	sideBySide(t, func(s *scene) {
		o, release := holding(s, httptestutil.OriginOptions{})
		tr := s.use(&http.Transport{MaxIdleConnsPerHost: 5})
		s.atOnce(tr, o, release, 2)
		o.WaitOpenConns(2)
		held := make(chan string, 1)
		go func() { held <- quietly(tr, newRequest(s, http.MethodGet, o.URL()+"/hold", nil)) }()
		o.WaitRequests(3)
		tr.CloseIdleConnections()
		o.WaitOpenConns(1)
		release <- struct{}{}
		s.note("the request under way: %s", <-held)
		o.WaitOpenConns(0)
		s.get(tr, o.URL()+"/again")
		s.note("%d connections", o.Conns())
		o.WaitOpenConns(1)
	})
}
