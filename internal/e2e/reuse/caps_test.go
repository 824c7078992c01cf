package reuse_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

func TestAConnectionCarriesMaxConnReusePlusOneRequests(t *testing.T) {
	testkit.InBubble(t, testkit.Numbered(), &peerpool.Transport{MaxConnReuse: 3}, func(t *testing.T, s *testkit.Subject) {
		s.WantNumbers("1.1", "1.2", "1.3", "1.4", "2.1", "2.2", "2.3", "2.4", "3.1")
		s.ClosedNow("max_reuse", 2)
	})
}

func TestMaxConnReuseHoldsWithManyCallers(t *testing.T) {
	const reuse, callers, rounds = 4, 16, 30
	wire := httptestutil.NewWire(t, testkit.Numbered())
	s := testkit.Observe(t, &peerpool.Transport{MaxConnReuse: reuse, MaxConnsPerHost: 5})
	var mu sync.Mutex
	carried := map[string]int{}
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range rounds {
				numbers, err := s.Try(testkit.NewRequest(t, "GET", wire.URL(), nil))
				if err != nil {
					t.Error(err)
				}
				conn, _, _ := strings.Cut(numbers, ".")
				mu.Lock()
				carried[conn]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	full := 0
	for conn, n := range carried {
		if n > reuse+1 {
			t.Errorf("connection %s carried %d requests", conn, n)
		}
		if n == reuse+1 {
			full++
		}
	}
	if want := callers * rounds / (reuse + 1); full < want-5 {
		t.Errorf("%d connections were used to the full, want about %d", full, want)
	}
}

func TestMaxConnReuseOfZeroIsNoCap(t *testing.T) {
	testkit.InBubble(t, testkit.Numbered(), &peerpool.Transport{}, func(t *testing.T, s *testkit.Subject) {
		for i := range 300 {
			s.WantNumbers("1." + strconv.Itoa(i+1))
		}
	})
}

func TestAConnectionTakesNoRequestAfterMaxConnLifetime(t *testing.T) {
	tr := &peerpool.Transport{MaxConnLifetime: time.Hour}
	testkit.InBubble(t, testkit.Numbered(), tr, func(t *testing.T, s *testkit.Subject) {
		s.WantNumbers("1.1")
		time.Sleep(54*time.Minute - time.Second) // the jitter is 10 %
		s.WantNumbers("1.2")
		time.Sleep(12*time.Minute + 2*time.Second)
		s.ClosedNow("max_lifetime", 1) // by itself
		s.WantNumbers("2.1")
	})
}

func TestAConnectionInUseIsNotCutForItsAge(t *testing.T) {
	tr := &peerpool.Transport{MaxConnLifetime: time.Minute}
	slow := func(c *httptestutil.WireConn) {
		for c.ReadRequest() != nil {
			c.Write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha")
			time.Sleep(time.Hour)
			c.Write("lf")
		}
	}
	testkit.InBubble(t, slow, tr, func(t *testing.T, s *testkit.Subject) {
		if got := s.Get("http://example.test"); got != "half" {
			t.Errorf("got %q", got)
		}
		s.ClosedNow("max_lifetime", 1)
	})
}

func TestConnectionsMadeTogetherDoNotEndTogether(t *testing.T) {
	tr := &peerpool.Transport{MaxConnLifetime: time.Hour}
	testkit.InBubble(t, testkit.Numbered(), tr, func(t *testing.T, s *testkit.Subject) {
		const n = 50
		for i := range n {
			s.Get(fmt.Sprintf("http://host%d.test", i))
		}
		time.Sleep(time.Hour)
		if st := s.Stats(); st.Idle == 0 || st.Idle == n {
			t.Errorf("at the mean of their lifetimes %d of %d are left", st.Idle, n)
		}
		time.Sleep(6*time.Minute + time.Second)
		s.ClosedNow("max_lifetime", n)
	})
}

func TestAConnectionIdlesForIdleConnTimeout(t *testing.T) {
	tr := &peerpool.Transport{IdleConnTimeout: time.Minute}
	testkit.InBubble(t, testkit.Numbered(), tr, func(t *testing.T, s *testkit.Subject) {
		s.WantNumbers("1.1")
		time.Sleep(time.Minute - 1)
		s.WantNumbers("1.2")
		time.Sleep(time.Minute)
		s.WantNumbers("2.1")
		time.Sleep(time.Minute + testkit.Reaping)
		s.ClosedNow("idle_timeout", 2) // the second one by itself
		if ends := s.Events.Closings(); len(ends) != 2 || ends[1].Reason != "idle_timeout" {
			t.Errorf("the observer was told %+v", ends)
		}
	})
}

func TestKeepAliveTimeoutOfTheServerIsHeededWithAMargin(t *testing.T) {
	for _, c := range []struct {
		field string
		own   time.Duration
		want  time.Duration
	}{
		{"Keep-Alive: timeout=10, max=1000", time.Minute, 9 * time.Second},
		{"Keep-Alive: timeout=10", 0, 9 * time.Second},
		{"Keep-Alive: timeout=99999999999999999999, max=99999999999999999999", time.Minute, time.Minute},
		{"Keep-Alive: timeout=100", time.Minute, time.Minute}, // it lowers our own limit, and never raises it
		{"Keep-Alive: timeout=0", time.Minute, 1},
		{"Keep-Alive: nonsense, timeout=x", time.Minute, time.Minute},
	} {
		tr := &peerpool.Transport{IdleConnTimeout: c.own}
		testkit.InBubble(t, testkit.Numbered(c.field), tr, func(t *testing.T, s *testkit.Subject) {
			s.WantNumbers("1.1")
			time.Sleep(c.want - 1)
			s.WantNumbers("1.2")
			time.Sleep(c.want)
			s.WantNumbers("2.1")
			s.ClosedNow("idle_timeout", 1)
		})
	}
}

func TestKeepAliveMaxOfTheServerIsHeeded(t *testing.T) {
	testkit.InBubble(t, testkit.Numbered("Keep-Alive: max=2"), &peerpool.Transport{}, func(t *testing.T, s *testkit.Subject) {
		s.WantNumbers("1.1", "1.2", "1.3", "2.1", "2.2", "2.3", "3.1")
	})
	testkit.InBubble(t, testkit.Numbered("Keep-Alive: max=0"), &peerpool.Transport{}, func(t *testing.T, s *testkit.Subject) {
		s.WantNumbers("1.1", "2.1", "3.1")
		s.ClosedNow("max_reuse", 3)
	})
	testkit.InBubble(t, testkit.Numbered("Keep-Alive: max=100"), &peerpool.Transport{MaxConnReuse: 1}, func(t *testing.T, s *testkit.Subject) {
		s.WantNumbers("1.1", "1.2", "2.1")
	})
}

// idleHosts returns the hosts of the idle connections, in alphabetical order.
func idleHosts(s *testkit.Subject) string {
	var hosts []string
	for _, p := range s.Stats().Peers {
		for range p.Idle {
			host, _, _ := strings.Cut(p.Identity.Address(), ".")
			hosts = append(hosts, host)
		}
	}
	slices.Sort(hosts)
	return strings.Join(hosts, "")
}

func TestMaxIdleConnsClosesWhatIdledLongestOfAllPeers(t *testing.T) {
	tr := &peerpool.Transport{MaxIdleConns: 3}
	testkit.InBubble(t, testkit.Numbered(), tr, func(t *testing.T, s *testkit.Subject) {
		for _, step := range []struct{ host, idle string }{
			{"a", "a"}, {"b", "ab"}, {"c", "abc"},
			{"a", "abc"}, // used again: now b has idled longest
			{"d", "acd"}, {"e", "ade"}, {"a", "ade"}, {"d", "ade"},
			{"f", "adf"}, // not e, had the order been that of dialing
		} {
			s.Get("http://" + step.host + ".test")
			if got := idleHosts(s); got != step.idle {
				t.Fatalf("after %s: %s idle, want %s", step.host, got, step.idle)
			}
		}
		s.ClosedNow("idle_limit", 3)
	})
}

func TestMaxIdleConnsPerHostBoundsTheIdleOnesOfAPeer(t *testing.T) {
	for limit, kept := range map[int]int{0: 64, 3: 3, 1: 1, -1: 0} {
		tr := &peerpool.Transport{MaxIdleConnsPerHost: limit}
		testkit.InBubble(t, testkit.Numbered(), tr, func(t *testing.T, s *testkit.Subject) {
			s.Together(70)
			if st := s.Stats(); st.Idle != kept {
				t.Errorf("limit %d: %d idle, want %d", limit, st.Idle, kept)
			}
			s.ClosedNow("key_idle_limit", uint64(70-kept))
		})
	}
}

func TestTheMostRecentlyReleasedConnectionIsUsedFirst(t *testing.T) {
	testkit.InBubble(t, testkit.Numbered(), &peerpool.Transport{}, func(t *testing.T, s *testkit.Subject) {
		s.Together(3) // released in the order 1, 2, 3
		s.WantNumbers("3.2", "3.3")
	})
}

func TestMaxConnsPerHostServesInTheOrderOfArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []string // only ever appended to by the one connection
		start := make(chan struct{})
		_, tr := testkit.InMemory(t, func(c *httptestutil.WireConn) {
			for req := c.ReadRequest(); req != nil && c.Await(start); req = c.ReadRequest() {
				order = append(order, req.URL.Path)
				c.Write(testkit.Ok)
			}
		})
		tr.MaxConnsPerHost = 1
		s := testkit.Observe(t, tr)
		var wg sync.WaitGroup
		var want []string
		for i := range 20 {
			path := fmt.Sprintf("/%d", i)
			want = append(want, path)
			wg.Go(func() {
				if _, err := s.Try(testkit.NewRequest(t, "GET", "http://example.test"+path, nil)); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		if st := s.Stats(); st.Waiting != 19 || st.Opened != 1 {
			t.Errorf("%+v", st)
		}
		close(start)
		wg.Wait()
		if !slices.Equal(order, want) {
			t.Errorf("served %v, want %v", order, want)
		}
	})
}
