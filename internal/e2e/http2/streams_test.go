package http2_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// gauged starts an origin over TLS that allows a number of streams, and a gauge of how many requests it serves at a time on
// each of its connections.
func gauged(t *testing.T, streams int) (*httptestutil.Origin, *gauge) {
	t.Helper()
	return gaugedWith(t, streams, httptestutil.OriginOptions{
		CA: httptestutil.NewCA(t), Protocols: testkit.Versions(testkit.OverHTTP1, testkit.OverHTTP2),
	})
}

func gaugedWith(t *testing.T, streams int, opts httptestutil.OriginOptions) (*httptestutil.Origin, *gauge) {
	t.Helper()
	g := newGauge()
	opts.Configure = func(s *http.Server) { s.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: streams} }
	opts.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn := httptestutil.SeenBy(r).Conn
		g.enter(conn)
		defer g.leave(conn)
		fmt.Fprint(w, conn)
	})
	return httptestutil.NewOrigin(t, opts), g
}

func TestARequestBeyondTheServersStreamsGetsAnotherConnection(t *testing.T) {
	httptestutil.CheckLeaks(t)
	const streams, callers, rounds = 10, 100, 20
	o, g := gauged(t, streams)
	s := onHTTP2(t, o, &peerpool.Transport{})
	testkit.Crowd(t, callers, func(int) error {
		for range rounds {
			if err := s.FetchHTTP2(o.URL()); err != nil {
				return err
			}
		}
		return nil
	})
	if n := g.peak(); n > streams {
		t.Errorf("%d requests at a time on a connection, which allows %d", n, streams)
	}
	// The first connections are dialed for more requests than they turn out to serve; what they turn away is dialed for.
	if n := o.Conns(); n < callers/streams/2 || n > 5*callers/streams {
		t.Errorf("%d connections for %d callers, %d streams each", n, callers, streams)
	}
	if st := s.Stats(); st.Retries.Failed != 0 {
		t.Errorf("%+v", st.Retries)
	}
}

// occupied is a server whose requests wait until they are let go, and the Transport whose requests these are.
type occupied struct {
	*testkit.Subject
	url   string
	at    chan string   // the path of a request that has arrived
	leave chan struct{} // lets one of them go
}

func occupy(t *testing.T, streams int, tr *peerpool.Transport) *occupied {
	t.Helper()
	at, leave := make(chan string, 1000), make(chan struct{})
	o := testkit.Http2Origin(t, streams, func(w http.ResponseWriter, r *http.Request) {
		at <- r.URL.Path
		select {
		case <-leave:
			io.WriteString(w, strconv.Itoa(httptestutil.SeenBy(r).Conn))
		case <-r.Context().Done():
		}
	})
	return &occupied{Subject: onHTTP2(t, o, tr), url: o.URL(), at: at, leave: leave}
}

// begin sends a request, and returns where its result will be.
func (o *occupied) begin(path string) <-chan error {
	ended := make(chan error, 1)
	go func() { ended <- o.FetchHTTP2(o.url + path) }()
	return ended
}

func TestRequestsWaitForStreamsInTheOrderTheyCameWhereConnectionsAreLimited(t *testing.T) {
	const streams, requests = 2, 12
	o := occupy(t, streams, &peerpool.Transport{MaxConnsPerHost: 1})
	var ended []<-chan error
	for i := range requests {
		ended = append(ended, o.begin(fmt.Sprintf("/%d", i)))
		if i < streams {
			<-o.at
			continue
		}
		o.Await("the request waits", func(st peerpool.Stats) bool { return st.Waiting == i-streams+1 })
	}
	for i := streams; i < requests; i++ {
		o.leave <- struct{}{}
		// The server may refuse a stream that comes before it has cleared away the one that has just ended. Then the
		// request goes to the back of the queue.
		if path := <-o.at; path != fmt.Sprintf("/%d", i) && o.Stats().Retries.Refused == 0 {
			t.Errorf("%s came in place of /%d", path, i)
		}
	}
	close(o.leave)
	for i, e := range ended {
		if err := <-e; err != nil {
			t.Errorf("request %d: %v", i, err)
		}
	}
	if st := o.Stats(); st.Opened != 1 || st.Retries.Failed != 0 || st.Retries.Saved > st.Retries.Refused {
		t.Errorf("%+v", st)
	}
}

// In simulated time, a request that pauses because the server refused it comes back when the server has had time for all the
// others, however slow the machine is.
func TestNobodyStarvesForStreams(t *testing.T) {
	for _, conns := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d connections", conns), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const streams, callers, rounds = 5, 40, 25
				o, g := gaugedWith(t, streams, httptestutil.OriginOptions{
					Listener: httptestutil.NewListener(0), Protocols: testkit.Versions(testkit.WithoutTLS),
				})
				s := testkit.Observe(t, &peerpool.Transport{
					MaxConnsPerHost: conns, Protocols: testkit.Versions(testkit.WithoutTLS), DialContext: o.Dial,
				})
				testkit.Crowd(t, callers, func(int) error {
					for range rounds {
						if err := s.FetchHTTP2(o.URL()); err != nil {
							return err
						}
					}
					return nil
				})
				if g.peak() > streams {
					t.Errorf("%d requests at a time on a connection, which allows %d", g.peak(), streams)
				}
				// A dial that has come too late to be of use may be repeated later.
				if st := s.Stats(); st.Opened > uint64(conns)+st.Closes["surplus"] || st.Retries.Failed != 0 {
					t.Errorf("more than %d connections: %+v", conns, st)
				}
			})
		})
	}
}

func TestTheLeastLoadedConnectionIsLeasedFirst(t *testing.T) {
	o := occupy(t, 100, &peerpool.Transport{MaxConnStreams: 4})
	var ended []<-chan error
	for range 8 {
		ended = append(ended, o.begin("/"))
		<-o.at
	}
	if st := o.Stats(); st.Opened != 2 {
		t.Errorf("%d connections for 8 requests, 4 at a time each", st.Opened)
	}
	close(o.leave)
	for _, e := range ended {
		if err := <-e; err != nil {
			t.Error(err)
		}
	}
}

func TestMaxConnStreamsHoldsInACrowd(t *testing.T) {
	const callers = 60
	o, g := gauged(t, 100)
	s := onHTTP2(t, o, &peerpool.Transport{MaxConnStreams: 3})
	testkit.Crowd(t, callers, func(int) error { return s.FetchHTTP2(o.URL()) })
	if n := g.peak(); n > 3 {
		t.Errorf("%d requests at a time on a connection, want at most 3", n)
	}
}

func TestStrictMaxConcurrentRequestsWaitsOnTheOneConnection(t *testing.T) {
	const streams, callers = 3, 50
	o, g := gauged(t, streams)
	s := onHTTP2(t, o, &peerpool.Transport{HTTP2: &http.HTTP2Config{StrictMaxConcurrentRequests: true}})
	s.Get(o.URL())
	testkit.Crowd(t, callers, func(int) error { return s.FetchHTTP2(o.URL()) })
	if o.Conns() != 1 || g.peak() > streams {
		t.Errorf("%d connections with up to %d requests, want 1 with %d", o.Conns(), g.peak(), streams)
	}
}

func TestACanceledWaitForAStreamLeavesNothingBehind(t *testing.T) {
	httptestutil.CheckLeaks(t)
	o := occupy(t, 1, &peerpool.Transport{MaxConnsPerHost: 1})
	first := o.begin("/first")
	<-o.at
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	req := testkit.NewRequest(t, http.MethodGet, o.url+"/second", nil).WithContext(ctx)
	ended := make(chan error, 1)
	go func() {
		_, err := o.Try(req)
		ended <- err
	}()
	o.Await("the second waits", func(st peerpool.Stats) bool { return st.Waiting == 1 })
	cancel(gone)
	if err := <-ended; err != gone {
		t.Errorf("%v, want the cause of the cancellation", err)
	}
	third := o.begin("/third")
	o.leave <- struct{}{}
	if path := <-o.at; path != "/third" {
		t.Errorf("%s was sent", path)
	}
	o.leave <- struct{}{}
	for _, e := range []<-chan error{first, third} {
		if err := <-e; err != nil {
			t.Error(err)
		}
	}
}
