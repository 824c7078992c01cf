package observe_test

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"sync/atomic"
	"testing"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// unreliable answers in every way: the number of the request decides which.
func unreliable(c *httptestutil.WireConn) {
	for n := 1; ; n++ {
		if c.ReadRequest() == nil {
			c.WaitClosed()
			return
		}
		switch (c.Number()*7 + n*3) % 11 {
		case 0:
			return
		case 1:
			c.Reset()
			return
		case 2:
			c.Write(testkit.Ok, "x")
		case 3:
			c.Write("garbage\r\n\r\n")
		case 4:
			c.Write(httptestutil.ResponseWith(200, "ok", "Connection: close"))
		case 5:
			c.Write("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nok")
			return
		default:
			c.Write(testkit.Ok)
		}
	}
}

func TestEventsAndCountersAgree(t *testing.T) {
	httptestutil.CheckLeaks(t)
	urls := []string{"http://127.0.0.1:1"} // refuses
	for range 3 {
		urls = append(urls, httptestutil.NewWire(t, unreliable).URL())
	}
	s := testkit.Observe(t, &peerpool.Transport{MaxIdleConns: 5, MaxConnReuse: 4, MaxIdleConnsPerHost: 3})
	testkit.Unrest(s, 8, 60, urls...)
	s.CloseIdleConnections()
	s.Await("all is at rest", func(st peerpool.Stats) bool {
		return st.Active+st.Idle+st.Dialing == 0 && uint64(len(s.Events.Closings())) == st.Opened
	})
	st := s.Stats()

	misses, hits, leases := map[peerpool.MissReason]uint64{}, uint64(0), 0
	for _, a := range s.Events.Acquisitions() {
		if a.Err != nil {
			continue
		}
		leases++
		if a.Miss == "" {
			hits++
		} else {
			misses[a.Miss]++
		}
	}
	failures := uint64(0)
	for _, d := range s.Events.Dials() {
		if d.Err != nil {
			failures++
		}
	}
	closes := map[peerpool.CloseReason]uint64{}
	for _, c := range s.Events.Closings() {
		closes[c.Reason]++
	}
	retries := map[peerpool.RetryReason]uint64{}
	for _, r := range s.Events.Retries() {
		retries[r.Reason]++
	}
	testkit.Agree(t, "hits", hits, st.Hits)
	testkit.Agree(t, "dials", uint64(len(s.Events.Dials())), st.Dials)
	testkit.Agree(t, "failed dials", failures, st.DialFailures)
	testkit.Agree(t, "opened", st.Dials-st.DialFailures, st.Opened)
	testkit.Agree(t, "exchanges", len(s.Events.Ends()), leases)
	testkit.Agree(t, "stale", retries["stale"], st.Retries.Stale)
	testkit.Agree(t, "unsent", retries["unsent"], st.Retries.Unsent)
	testkit.Agree(t, "unexpected data", closes["unexpected_data"], st.UnexpectedData)
	if !maps.Equal(closes, st.Closes) {
		t.Errorf("closes: observed %v, counted %v", closes, st.Closes)
	}
	for miss, n := range misses {
		if n > st.Misses[miss] {
			t.Errorf("%s: observed %d, counted %d", miss, n, st.Misses[miss])
		}
	}
	if n := len(st.Closes); n < 5 {
		t.Errorf("only %d ways to end were met: %v", n, st.Closes)
	}
}

func TestASnapshotBalancesAtEveryMoment(t *testing.T) {
	httptestutil.CheckLeaks(t)
	wire := httptestutil.NewWire(t, unreliable)
	s := testkit.Observe(t, &peerpool.Transport{MaxConnsPerHost: 6})
	var ended atomic.Bool
	looked := make(chan int)
	go func() {
		n := 0
		for ; !ended.Load(); n++ {
			s.Balanced()
			s.PeersAddUp()
		}
		looked <- n
	}()
	testkit.Unrest(s, 8, 100, wire.URL())
	ended.Store(true)
	if n := <-looked; n < 10 {
		t.Errorf("only %d snapshots", n)
	}
}

func TestStatsOfAnUnusedTransportAreZero(t *testing.T) {
	s := testkit.Observe(t, &peerpool.Transport{})
	st := s.Stats()
	if st.Opened+st.Hits+st.Dials != 0 || len(st.Peers)+len(st.Closes)+len(st.Misses) != 0 {
		t.Errorf("%+v", st)
	}
}

func TestASnapshotBelongsToItsCaller(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	s := testkit.Observe(t, &peerpool.Transport{})
	s.Get(origin.URL())
	before := fmt.Sprint(s.Stats())
	st := s.Stats()
	clear(st.Peers)
	st.Closes["mine"], st.Misses["mine"] = 1, 1
	if after := fmt.Sprint(s.Stats()); after != before {
		t.Errorf("%s, then %s", before, after)
	}
}

func TestPeersAreThoseWithAConnection(t *testing.T) {
	first, second := httptestutil.NewOrigin(t, httptestutil.OriginOptions{}), httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	s := testkit.Observe(t, &peerpool.Transport{})
	s.Get(first.URL())
	s.Get(first.URL())
	resp := s.Open(second.URL(), 0)
	got := map[string]peerpool.PeerStats{}
	for _, p := range s.Stats().Peers {
		addr := p.Identity.Address()
		p.Identity = peerpool.Identity{}
		got[addr] = p
	}
	want := map[string]peerpool.PeerStats{
		first.Addr():  {Idle: 1, Hits: 1, Misses: 1, Dials: 1},
		second.Addr(): {Active: 1, Misses: 1, Dials: 1},
	}
	if !maps.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	testkit.ReadBody(t, resp)
	s.CloseIdleConnections()
	if st := s.Stats(); len(st.Peers) != 0 || st.Hits != 1 || st.Dials != 2 {
		t.Errorf("after their end: %+v", st)
	}
}

func TestStatsGoThroughJSON(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	s := testkit.Observe(t, &peerpool.Transport{})
	s.Get(origin.URL())
	s.CloseIdleConnections()
	s.Get(origin.URL())
	text, err := json.Marshal(s.Stats())
	if err != nil {
		t.Fatal(err)
	}
	var back struct {
		Idle   int
		Opened uint64
		Closes map[string]uint64
		Peers  []struct {
			Identity string
			Idle     int
		}
	}
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if back.Idle != 1 || back.Opened != 2 || back.Closes["close_idle"] != 1 ||
		len(back.Peers) != 1 || back.Peers[0].Identity != "http://"+origin.Addr() || back.Peers[0].Idle != 1 {
		t.Errorf("%s", text)
	}
}

func TestIdentitiesThatReadTheSameBothGoThroughJSON(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
	s := testkit.Observe(t, &peerpool.Transport{})
	more := origin.CA().Pool()
	more.AddCert(httptestutil.NewCA(t).Certificate())
	for _, roots := range []*x509.CertPool{origin.CA().Pool(), more} {
		peer, err := peerpool.NewPeer(peerpool.PeerOptions{RootCAs: roots})
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(peerpool.WithPeer(t.Context(), peer), http.MethodGet, origin.URL(), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := s.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		testkit.ReadBody(t, resp)
	}
	text, err := json.Marshal(s.Stats().Peers)
	if err != nil {
		t.Fatal(err)
	}
	var back []struct{ Identity string }
	if err := json.Unmarshal(text, &back); err != nil || len(back) != 2 || back[0] != back[1] {
		t.Errorf("%s, %v: want two peers with the same text", text, err)
	}
}

func TestThePeerOfAnIdentityIsThatOfStats(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	s := testkit.Observe(t, &peerpool.Transport{})
	s.Get(origin.URL())
	known := s.Known()
	if p := s.Stats().Peer(known); p.Identity != known || p.Idle != 1 {
		t.Errorf("%+v", p)
	}
	s.CloseIdleConnections()
	if p := s.Stats().Peer(known); p != (peerpool.PeerStats{Identity: known}) {
		t.Errorf("of an identity that the pool has forgotten: %+v", p)
	}
}

func TestReasonsAreFitForLabels(t *testing.T) {
	label := regexp.MustCompile(`^[a-z][a-z0-9_]{2,24}$`)
	wire := httptestutil.NewWire(t, unreliable)
	s := testkit.Observe(t, &peerpool.Transport{MaxConnReuse: 5})
	testkit.Unrest(s, 4, 60, wire.URL())
	st := s.Stats()
	for reason := range st.Closes {
		if !label.MatchString(string(reason)) {
			t.Errorf("close reason %q", reason)
		}
	}
	for reason := range st.Misses {
		if !label.MatchString(string(reason)) {
			t.Errorf("miss reason %q", reason)
		}
	}
}
