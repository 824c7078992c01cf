package peerpool_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// unreliable answers, and does so in every way that the number of the request suggests.
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
			c.Write(ok, "x")
		case 3:
			c.Write("garbage\r\n\r\n")
		case 4:
			c.Write(httptestutil.ResponseWith(200, "ok", "Connection: close"))
		case 5:
			c.Write("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nok")
			return
		default:
			c.Write(ok)
		}
	}
}

// unrest sends requests that end in every way, from several callers.
func unrest(s *subject, callers, rounds int, urls ...string) {
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for round := range rounds {
				method := []string{"GET", "POST", "PUT"}[(caller+round)%3]
				req := newRequest(s.t, method, urls[(caller+round)%len(urls)], strings.NewReader("body"))
				resp, err := s.RoundTrip(req)
				if err != nil {
					continue
				}
				if round%5 == 0 {
					peerpool.Discard(resp)
				}
				if round%7 != 0 {
					resp.Body.Read(make([]byte, 100))
				}
				resp.Body.Close()
			}
		})
	}
	wg.Wait()
}

func TestEventsAndCountersAgree(t *testing.T) {
	httptestutil.CheckLeaks(t)
	urls := []string{"http://127.0.0.1:1"} // refuses
	for range 3 {
		urls = append(urls, httptestutil.NewWire(t, unreliable).URL())
	}
	s := observe(t, &peerpool.Transport{MaxIdleConns: 5, MaxConnReuse: 4, MaxIdleConnsPerHost: 3})
	unrest(s, 8, 60, urls...)
	s.CloseIdleConnections()
	s.await("all is at rest", func(st peerpool.Stats) bool {
		return st.Active+st.Idle+st.Dialing == 0 && uint64(len(s.events.closings())) == st.Opened
	})
	st := s.Stats()

	misses, hits, leases := map[peerpool.MissReason]uint64{}, uint64(0), 0
	for _, a := range s.events.acquisitions() {
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
	for _, d := range s.events.dials() {
		if d.Err != nil {
			failures++
		}
	}
	closes := map[peerpool.CloseReason]uint64{}
	for _, c := range s.events.closings() {
		closes[c.Reason]++
	}
	retries := map[string]uint64{}
	for _, r := range s.events.retries() {
		retries[r.Reason]++
	}
	agree(t, "hits", hits, st.Hits)
	agree(t, "dials", uint64(len(s.events.dials())), st.Dials)
	agree(t, "failed dials", failures, st.DialFailures)
	agree(t, "opened", st.Dials-st.DialFailures, st.Opened)
	agree(t, "exchanges", len(s.events.ends()), leases)
	agree(t, "stale", retries["stale"], st.Retries.Stale)
	agree(t, "unsent", retries["unsent"], st.Retries.Unsent)
	agree(t, "unexpected data", closes["unexpected_data"], st.UnexpectedData)
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

func agree[N comparable](t *testing.T, what string, observed, counted N) {
	t.Helper()
	if observed != counted {
		t.Errorf("%s: observed %v, counted %v", what, observed, counted)
	}
}

func TestASnapshotBalancesAtEveryMoment(t *testing.T) {
	httptestutil.CheckLeaks(t)
	wire := httptestutil.NewWire(t, unreliable)
	s := observe(t, &peerpool.Transport{MaxConnsPerHost: 6})
	var ended atomic.Bool
	looked := make(chan int)
	go func() {
		n := 0
		for ; !ended.Load(); n++ {
			s.balanced()
			s.peersAddUp()
		}
		looked <- n
	}()
	unrest(s, 8, 100, wire.URL())
	ended.Store(true)
	if n := <-looked; n < 10 {
		t.Errorf("only %d snapshots", n)
	}
}

// peersAddUp checks that the shares of all peers make the whole.
func (s *subject) peersAddUp() {
	s.t.Helper()
	st := s.Stats()
	var sum peerpool.PeerStats
	for _, p := range st.Peers {
		sum.Idle += p.Idle
		sum.Active += p.Active
		sum.Dialing += p.Dialing
		sum.Waiting += p.Waiting
	}
	if sum.Idle != st.Idle || sum.Active != st.Active || sum.Dialing != st.Dialing || sum.Waiting != st.Waiting {
		s.t.Errorf("the peers have %+v, of %+v", sum, st)
	}
}

func TestStatsOfAnUnusedTransportAreZero(t *testing.T) {
	s := observe(t, &peerpool.Transport{})
	st := s.Stats()
	if st.Opened+st.Hits+st.Dials != 0 || len(st.Peers)+len(st.Closes)+len(st.Misses) != 0 {
		t.Errorf("%+v", st)
	}
}

func TestASnapshotBelongsToItsCaller(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	s := observe(t, &peerpool.Transport{})
	s.get(origin.URL())
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
	s := observe(t, &peerpool.Transport{})
	s.get(first.URL())
	s.get(first.URL())
	resp := s.open(second.URL(), 0)
	got := map[string]peerpool.PeerStats{}
	for id, p := range s.Stats().Peers {
		got[id.Address()] = p
	}
	want := map[string]peerpool.PeerStats{
		first.Addr():  {Idle: 1, Hits: 1, Misses: 1, Dials: 1},
		second.Addr(): {Active: 1, Misses: 1, Dials: 1},
	}
	if !maps.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	readBody(t, resp)
	s.CloseIdleConnections()
	if st := s.Stats(); len(st.Peers) != 0 || st.Hits != 1 || st.Dials != 2 {
		t.Errorf("after their end: %+v", st)
	}
}

func TestStatsGoThroughJSON(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	s := observe(t, &peerpool.Transport{})
	s.get(origin.URL())
	s.CloseIdleConnections()
	s.get(origin.URL())
	text, err := json.Marshal(s.Stats())
	if err != nil {
		t.Fatal(err)
	}
	var back struct {
		Idle   int
		Opened uint64
		Closes map[string]uint64
		Peers  map[string]peerpool.PeerStats
	}
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if back.Idle != 1 || back.Opened != 2 || back.Closes["close_idle"] != 1 || back.Peers["http://"+origin.Addr()].Idle != 1 {
		t.Errorf("%s", text)
	}
}

func TestReasonsAreFitForLabels(t *testing.T) {
	label := regexp.MustCompile(`^[a-z][a-z0-9_]{2,24}$`)
	wire := httptestutil.NewWire(t, unreliable)
	s := observe(t, &peerpool.Transport{MaxConnReuse: 5})
	unrest(s, 4, 60, wire.URL())
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
