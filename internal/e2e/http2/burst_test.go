package http2_test

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

func TestAThousandRequestsAtOnceShareAnHTTP2Connection(t *testing.T) {
	httptestutil.CheckLeaks(t)
	const callers = 1000
	o := testkit.Http2Origin(t, callers, nil)
	s := onHTTP2(t, o, &peerpool.Transport{})
	s.Get(o.URL()) // the server says how many streams it allows
	testkit.Crowd(t, callers, func(int) error { return s.FetchHTTP2(o.URL()) })
	if n := o.Conns(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
	if st := s.Stats(); st.Hits != callers || st.Opened != 1 || st.Retries != (peerpool.Retries{}) {
		t.Errorf("%+v", st)
	}
}

func TestABurstToAnUnknownHTTP2ServerDialsAHandful(t *testing.T) {
	httptestutil.CheckLeaks(t)
	const burst, handful = 256, 6
	o := testkit.Http2Origin(t, 250, nil)
	s := onHTTP2(t, o, &peerpool.Transport{})
	testkit.Crowd(t, burst, func(int) error { return s.FetchHTTP2(o.URL()) })
	s.Await("no dial under way", func(st peerpool.Stats) bool { return st.Dialing == 0 }) // which may outlive its request
	if n := o.Conns(); n > handful {
		t.Errorf("%d connections to an unknown server, want at most %d; %+v", n, handful, s.Stats())
	}
	if st := s.Stats(); st.Opened != uint64(o.Conns()) || st.Dials != st.Opened || st.DialFailures != 0 {
		t.Errorf("connections that nobody knows of: %+v, the origin has seen %d", st, o.Conns())
	}
	s.CloseIdleConnections()
	o.WaitOpenConns(0)
	opened, surplus := s.Stats().Opened, s.Stats().Closes["surplus"]
	testkit.Crowd(t, burst, func(int) error { return s.FetchHTTP2(o.URL()) })
	// 256 requests on connections of 250 streams take two, and one more for each that has been closed as surplus meanwhile.
	st := s.Stats()
	if n, most := st.Opened-opened, 2+st.Closes["surplus"]-surplus; n > most {
		t.Errorf("%d connections to a server that is known, want at most %d", n, most)
	}
}

func TestABurstToAnHTTP1ServerThatMightSpeakHTTP2LosesNothing(t *testing.T) {
	httptestutil.CheckLeaks(t)
	const burst = 256
	var at atomic.Int64
	together := make(chan struct{}) // closed when all requests are there at once
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{
		CA: httptestutil.NewCA(t),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if at.Add(1) == burst {
				close(together)
			}
			select {
			case <-together:
			case <-r.Context().Done():
			case <-time.After(httptestutil.Bound): // some never come, as where descriptors run out
			}
			fmt.Fprint(w, r.Proto)
		}),
	})
	s := onHTTP2(t, o, &peerpool.Transport{MaxIdleConnsPerHost: burst})
	testkit.Crowd(t, burst, func(int) error {
		body, err := s.Try(testkit.NewRequest(t, http.MethodGet, o.URL(), nil))
		if err == nil && body != "HTTP/1.1" {
			err = fmt.Errorf("served over %q", body)
		}
		return err
	})
	if n := o.Conns(); n != burst {
		t.Errorf("%d connections, want one for each of %d requests", n, burst)
	}
}

func TestARepeatedBurstToAKnownHTTP1ServerDialsForEachAtOnce(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
	s := onHTTP2(t, o, &peerpool.Transport{MaxIdleConnsPerHost: 64})
	s.Get(o.URL())
	s.CloseIdleConnections()
	s.IdleConns(o.URL(), 16)
	if st := s.Stats(); st.Dials != 17 {
		t.Errorf("%d dials, want 17", st.Dials)
	}
}
