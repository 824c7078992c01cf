package peerpool_test

import (
	"net/http"
	"sync"
	"testing"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// herd is how many connections idle in the pool when their server goes, and how many requests come then.
const herd = 200

// idleConns leaves n idle connections to a server in the pool.
func (s *subject) idleConns(url string, n int) {
	s.t.Helper()
	var open []*http.Response
	for range n {
		open = append(open, s.open(url, 0))
	}
	for _, resp := range open {
		readBody(s.t, resp)
	}
	if st := s.Stats(); st.Idle != n {
		s.t.Fatalf("%d idle connections, want %d: %+v", st.Idle, n, st)
	}
}

// stampede has n GETs sent at the same time, while the server is being upset. All must succeed.
func (s *subject) stampede(url string, n int, upset func()) {
	s.t.Helper()
	s.stampedeOr(url, n, upset, func(peerpool.Attempt) bool { return false })
}

// stampedeOr is stampede where some errors may be.
func (s *subject) stampedeOr(url string, n int, upset func(), mayBe func(last peerpool.Attempt) bool) {
	s.t.Helper()
	var wg sync.WaitGroup
	start := make(chan struct{})
	for range n {
		wg.Go(func() {
			<-start
			req := newRequest(s.t, http.MethodGet, url, nil)
			ctx, report := peerpool.WithReport(req.Context())
			if _, err := s.try(req.WithContext(ctx)); err != nil {
				if all := report.Attempts(); !mayBe(all[len(all)-1]) {
					s.t.Errorf("%v\n%v", err, report)
				}
			}
		})
	}
	if upset != nil {
		wg.Go(func() {
			<-start
			upset()
		})
	}
	close(start)
	wg.Wait()
}

// wantOneRetryAtMost checks what each request of a stampede has tried, after the first acquisitions.
func (s *subject) wantOneRetryAtMost(first, requests int) {
	s.t.Helper()
	begun := 0
	for _, a := range s.events.acquisitions()[first:] {
		switch {
		case a.Attempt == 1:
			begun++
		case a.Attempt > 2:
			s.t.Errorf("sent for the third time: %+v", a)
		case a.Reused || a.Miss != "fresh":
			s.t.Errorf("sent again on a connection that may be dead too: %+v", a)
		}
	}
	if begun != requests {
		s.t.Errorf("%d requests were begun, want %d", begun, requests)
	}
	if st := s.Stats(); st.Retries.Failed != 0 || st.Retries.Saved != st.Retries.Stale+st.Retries.Unsent {
		s.t.Errorf("%+v", st.Retries)
	}
}

func TestAServersRestartIsNoticedByNobody(t *testing.T) {
	for name, opts := range map[string]httptestutil.OriginOptions{"plain": {}, "TLS": {CA: httptestutil.NewCA(t)}} {
		t.Run(name, func(t *testing.T) {
			httptestutil.CheckLeaks(t)
			origin := httptestutil.NewOrigin(t, opts)
			s := observe(t, &peerpool.Transport{MaxIdleConnsPerHost: herd, TLSClientConfig: origin.ClientTLS()})
			s.idleConns(origin.URL(), herd)
			origin.Restart()
			s.stampede(origin.URL(), herd, nil)
			s.wantOneRetryAtMost(herd, herd)
			if origin.Requests() != 2*herd {
				t.Errorf("the origin had %d requests, want %d", origin.Requests(), 2*herd)
			}
		})
	}
}

func TestConnectionsThatCloseUnderTheirRequestsAreNoticedByNobody(t *testing.T) {
	for name, upset := range map[string]func(*httptestutil.Origin){
		"closed": (*httptestutil.Origin).CloseConns,
		"reset":  (*httptestutil.Origin).ResetConns,
		"idle":   (*httptestutil.Origin).CloseIdle,
	} {
		t.Run(name, func(t *testing.T) {
			httptestutil.CheckLeaks(t)
			origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
			s := observe(t, &peerpool.Transport{MaxIdleConnsPerHost: herd})
			s.idleConns(origin.URL(), herd)
			s.stampede(origin.URL(), herd, func() { upset(origin) })
			s.wantOneRetryAtMost(herd, herd)
		})
	}
}

func TestConnectionsThatPassEveryProbeAndAreGoneCostOneRetryEach(t *testing.T) {
	for name, leave := range map[string]func(*httptestutil.WireConn){
		"closed": (*httptestutil.WireConn).Close,
		"reset":  (*httptestutil.WireConn).Reset,
	} {
		t.Run(name, func(t *testing.T) {
			httptestutil.CheckLeaks(t)
			wire := httptestutil.NewWire(t, goneOnReuse(herd, leave))
			s := observe(t, &peerpool.Transport{MaxIdleConnsPerHost: herd})
			s.idleConns(wire.URL(), herd)
			s.stampede(wire.URL(), herd, nil)
			s.wantOneRetryAtMost(herd, herd)
			if st := s.Stats().Retries; st.Stale+st.Unsent == 0 || st.Saved != st.Stale+st.Unsent {
				t.Errorf("%+v", st)
			}
		})
	}
}
