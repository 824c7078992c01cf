package fault_test

import (
	"testing"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// herd is how many connections idle in the pool when their server goes, and how many requests come then.
const herd = 200

func TestAServersRestartIsNoticedByNobody(t *testing.T) {
	for name, opts := range map[string]httptestutil.OriginOptions{"plain": {}, "TLS": {CA: httptestutil.NewCA(t)}} {
		t.Run(name, func(t *testing.T) {
			httptestutil.CheckLeaks(t)
			origin := httptestutil.NewOrigin(t, opts)
			s := testkit.Observe(t, &peerpool.Transport{MaxIdleConnsPerHost: herd, TLSClientConfig: origin.ClientTLS()})
			s.IdleConns(origin.URL(), herd)
			origin.Restart()
			s.Stampede(origin.URL(), herd, nil)
			s.WantOneRetryAtMost(herd, herd)
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
			s := testkit.Observe(t, &peerpool.Transport{MaxIdleConnsPerHost: herd})
			s.IdleConns(origin.URL(), herd)
			s.Stampede(origin.URL(), herd, func() { upset(origin) })
			s.WantOneRetryAtMost(herd, herd)
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
			wire := httptestutil.NewWire(t, testkit.GoneOnReuse(herd, leave))
			s := testkit.Observe(t, &peerpool.Transport{MaxIdleConnsPerHost: herd})
			s.IdleConns(wire.URL(), herd)
			s.Stampede(wire.URL(), herd, nil)
			s.WantOneRetryAtMost(herd, herd)
			if st := s.Stats().Retries; st.Stale+st.Unsent == 0 || st.Saved != st.Stale+st.Unsent {
				t.Errorf("%+v", st)
			}
		})
	}
}
