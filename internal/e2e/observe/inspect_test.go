package observe_test

import (
	"net/http"
	"testing"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

func TestConnsTellsUsesAndWhetherAConnectionIdles(t *testing.T) {
	s := testkit.Observe(t, &peerpool.Transport{})
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	s.Get(o.URL())
	s.Get(o.URL())
	first, second := s.Open(o.URL(), 1), s.Open(o.URL(), 1)
	s.Ok(testkit.NewRequest(t, http.MethodGet, o.URL(), nil)) // on a third connection, which idles again
	conns := s.Conns(s.Known())
	if len(conns) != 3 {
		t.Fatalf("%d connections, want 3", len(conns))
	}
	for i, want := range []struct {
		uses   uint64
		leases int
	}{{3, 1}, {1, 1}, {1, 0}} {
		c := conns[i]
		if c.Uses != want.uses || c.Leases != want.leases || c.Capacity != 1 || c.Age <= 0 || c.Retired != "" {
			t.Errorf("connection %d: %+v, want %d uses and %d leases of 1", i, c, want.uses, want.leases)
		}
		if (c.Idle > 0) != (want.leases == 0) {
			t.Errorf("connection %d has idled for %v with %d leases", i, c.Idle, c.Leases)
		}
	}
	testkit.ReadBody(t, first)
	testkit.ReadBody(t, second)
}

func TestAnIdentityThatThePoolDoesNotKnowHasNoConns(t *testing.T) {
	s := testkit.Observe(t, &peerpool.Transport{})
	if conns, n := s.Conns(peerpool.Identity{}), s.Drain(peerpool.Identity{}); len(conns) != 0 || n != 0 {
		t.Errorf("%d connections, %d drained, want none", len(conns), n)
	}
}

func TestDrainClosesWhatIdlesAndRetiresTheRest(t *testing.T) {
	s := testkit.Observe(t, &peerpool.Transport{})
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	busy := s.Open(o.URL(), 1)
	s.Get(o.URL())
	id := s.Known()
	if n := s.Drain(id); n != 2 {
		t.Errorf("%d connections drained, want 2", n)
	}
	s.Closes("drain", 1)
	if conns := s.Conns(id); len(conns) != 1 || conns[0].Leases != 1 || conns[0].Retired != "drain" {
		t.Errorf("connections %+v, want one that is retired and in use", conns)
	}
	if n := s.Drain(id); n != 0 {
		t.Errorf("%d connections drained again, want none", n)
	}
	testkit.ReadBody(t, busy)
	s.Closes("drain", 2)
	s.Get(o.URL())
	if n := o.Conns(); n != 3 {
		t.Errorf("%d connections after a request that follows a drain, want 3", n)
	}
}

func TestDrainLeavesOtherIdentitiesAlone(t *testing.T) {
	s := testkit.Observe(t, &peerpool.Transport{})
	a, b := httptestutil.NewOrigin(t, httptestutil.OriginOptions{}), httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	s.Get(a.URL())
	drained := s.Known()
	s.Get(b.URL())
	s.Drain(drained)
	s.Get(b.URL())
	if st := s.Stats(); st.Closes["drain"] != 1 || st.Idle != 1 || b.Conns() != 1 {
		t.Errorf("%d drained, %d idle, %d connections to the other; want 1 each", st.Closes["drain"], st.Idle, b.Conns())
	}
}
