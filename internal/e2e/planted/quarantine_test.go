package planted_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// outOfStep starts a server that answers with the path of the request, and plants a second answer after a while.
func outOfStep(t *testing.T, cfg *tls.Config, late time.Duration) (url string) {
	ln := listen(t)
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				if cfg != nil {
					nc = tls.Server(nc, cfg)
				}
				var mu sync.Mutex // guards writing
				in := bufio.NewReader(nc)
				for {
					req, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					mu.Lock()
					_, err = io.WriteString(nc, httptestutil.Response(req.URL.Path))
					mu.Unlock()
					if err != nil {
						return
					}
					time.AfterFunc(late, func() {
						mu.Lock()
						defer mu.Unlock()
						io.WriteString(nc, testkit.Planted)
					})
				}
			}()
		}
	}()
	if cfg != nil {
		return "https://" + ln.Addr().String()
	}
	return "http://" + ln.Addr().String()
}

// TestAPeerThatIsOutOfStepIsQuarantined checks that, once the Transport has noticed the fault, no request that begins gets a
// wrong answer. A neighbor on the same Transport still reuses its connections. How many answers are wrong before depends on how
// late the server's bytes come.
func TestAPeerThatIsOutOfStepIsQuarantined(t *testing.T) {
	const callers, requests = 16, 1000
	for name, cfg := range map[string]*tls.Config{
		"plain": nil,
		"TLS":   {Certificates: []tls.Certificate{httptestutil.SelfSigned(t, httptestutil.CertOptions{})}},
	} {
		for _, late := range []time.Duration{200 * time.Microsecond, 2 * time.Millisecond} {
			t.Run(fmt.Sprint(name, " ", late), func(t *testing.T) {
				url := outOfStep(t, cfg, late)
				neighbor := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
				s := testkit.Observe(t, &peerpool.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}})
				var wrong, underWay, number atomic.Int32
				var noticed atomic.Bool
				s.Observer.QuarantineChange = func(peerpool.QuarantineChange) { noticed.Store(true) }
				var all sync.WaitGroup
				for range callers {
					all.Go(func() {
						for {
							n := number.Add(1)
							if n > requests {
								return
							}
							path := fmt.Sprint("/", n)
							quarantined := noticed.Load()
							body, err := s.Try(testkit.NewRequest(t, http.MethodGet, url+path, nil))
							switch {
							case err != nil || body == path:
							case quarantined:
								t.Errorf("request %d began in the quarantine, and has got %q", n, body)
							case noticed.Load():
								underWay.Add(1)
							default:
								wrong.Add(1)
							}
							if _, err := s.Try(testkit.NewRequest(t, http.MethodGet, neighbor.URL(), nil)); err != nil {
								t.Error(err)
							}
						}
					})
				}
				all.Wait()
				t.Logf("%d wrong answers before the Transport noticed, %d later", wrong.Load(), underWay.Load())
				st := s.Stats()
				if len(st.Quarantined) != 1 {
					t.Errorf("in quarantine: %v", st.Quarantined)
				}
				if opened := neighbor.Conns(); opened > requests/10 {
					t.Errorf("the neighbor has seen %d connections", opened)
				}
			})
		}
	}
}

// stray is a server in a bubble that sends a byte too much behind the answers on its first connections, as many as bad.
func stray(bad int) httptestutil.Script {
	scripts := make([]httptestutil.Script, 0, bad+1)
	for range bad {
		scripts = append(scripts, httptestutil.ReplyWithExtra(testkit.Ok, "x"))
	}
	return httptestutil.PerConn(append(scripts, httptestutil.Replies(testkit.Ok))...)
}

// TestAQuarantineEndsWhenThePeerHasBehaved checks that the Transport then reuses connections again.
func TestAQuarantineEndsWhenThePeerHasBehaved(t *testing.T) {
	var told []peerpool.QuarantineChange
	tr := &peerpool.Transport{Observer: &peerpool.Observer{QuarantineChange: func(q peerpool.QuarantineChange) { told = append(told, q) }}}
	testkit.InBubble(t, stray(1), tr, func(t *testing.T, s *testkit.Subject) {
		begun := time.Now()
		s.Get(testkit.Bubbled)
		dials := s.Stats().Dials
		for time.Since(begun) < 10*time.Minute {
			s.Get(testkit.Bubbled)
			time.Sleep(time.Minute)
			if st := s.Stats(); st.Idle != 0 {
				t.Fatalf("a connection idles after %v", time.Since(begun))
			}
		}
		if n := s.Stats().Dials - dials; n != 10 {
			t.Errorf("%d dials for 10 requests in quarantine", n)
		}
		s.Get(testkit.Bubbled) // is watched for longer than the ten minutes
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if st := s.Stats(); len(st.Quarantined) != 0 {
			t.Errorf("still in quarantine: %v", st.Quarantined)
		}
		s.Get(testkit.Bubbled)
		s.Get(testkit.Bubbled)
		if st := s.Stats(); st.Idle != 1 || st.Hits != 1 {
			t.Errorf("nothing is reused: %+v", st)
		}
		if len(told) != 2 || told[0].Ended || !told[1].Ended || told[0].Why != "behind_response" || told[1].Events != 1 {
			t.Errorf("the observer was told %+v", told)
		}
	})
}

// TestTimeAloneDoesNotEndAQuarantine checks that a quarantine lasts for a day if there are no requests.
func TestTimeAloneDoesNotEndAQuarantine(t *testing.T) {
	testkit.InBubble(t, stray(1), &peerpool.Transport{}, func(t *testing.T, s *testkit.Subject) {
		s.Get(testkit.Bubbled)
		time.Sleep(23 * time.Hour)
		if st := s.Stats(); len(st.Quarantined) != 1 {
			t.Errorf("in quarantine: %v", st.Quarantined)
		}
		time.Sleep(2 * time.Hour)
		if st := s.Stats(); len(st.Quarantined) != 0 {
			t.Errorf("not forgotten: %v", st.Quarantined)
		}
		s.Get(testkit.Bubbled)
		s.Get(testkit.Bubbled)
		if st := s.Stats(); st.Hits != 1 {
			t.Errorf("nothing is reused: %+v", st)
		}
	})
}

// TestAWatchedConnectionShowsThatThePeerGoesOn checks that the Transport sees bytes that come late on the connection that
// it keeps open. The other connections serve one request each and are closed before the bytes come.
func TestAWatchedConnectionShowsThatThePeerGoesOn(t *testing.T) {
	late := func(c *httptestutil.WireConn) {
		c.ReadRequest()
		c.Write(testkit.Ok)
		time.Sleep(500 * time.Millisecond)
		c.Write("x")
		c.WaitClosed()
	}
	script := httptestutil.PerConn(httptestutil.ReplyWithExtra(testkit.Ok, "x"), late, httptestutil.Replies(testkit.Ok))
	testkit.InBubble(t, script, &peerpool.Transport{}, func(t *testing.T, s *testkit.Subject) {
		s.Get(testkit.Bubbled)
		s.Get(testkit.Bubbled)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		for _, q := range s.Stats().Quarantined {
			if q.Events != 2 || q.Silent != 0 {
				t.Errorf("%+v", q)
			}
		}
	})
}

func TestWithoutQuarantineConnectionsAreReused(t *testing.T) {
	testkit.InBubble(t, stray(1), &peerpool.Transport{DisableQuarantine: true}, func(t *testing.T, s *testkit.Subject) {
		s.Get(testkit.Bubbled)
		s.Get(testkit.Bubbled)
		s.Get(testkit.Bubbled)
		if st := s.Stats(); st.Hits != 1 || len(st.Quarantined) != 0 || st.UnexpectedData != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// TestClosingIdleConnectionsEndsTheWatch checks that no connection of the Transport stays open after CloseIdleConnections.
func TestClosingIdleConnectionsEndsTheWatch(t *testing.T) {
	httptestutil.CheckLeaks(t)
	wire := httptestutil.NewWire(t, stray(1))
	s := testkit.Observe(t, &peerpool.Transport{})
	s.Get(wire.URL())
	s.Get(wire.URL())
	s.Closes("quarantine", 1)
	s.CloseIdleConnections()
	wire.WaitOpenConns(0)
}
