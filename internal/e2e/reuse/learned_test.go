package reuse_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/testkit"
)

// origin is a URL whose host is that of every server in a bubble.
const origin = "http://origin.test/"

// closing answers requests, and closes a connection that has been idle for that long, or that has served that many
// requests if that is not 0.
func closing(idle time.Duration, requests int) httptestutil.Script {
	return func(c *httptestutil.WireConn) {
		for n := 1; ; n++ {
			timer := time.AfterFunc(idle, c.Close)
			req := c.ReadRequest()
			if req == nil || !timer.Stop() {
				return
			}
			c.Write(httptestutil.Response("x"))
			if n == requests {
				c.Close()
				return
			}
		}
	}
}

func post(s *testkit.Subject, url string) error {
	_, err := s.Try(testkit.NewRequest(s.T, http.MethodPost, url, strings.NewReader("body")))
	return err
}

// idleOut makes n connections one after the other, each of which idles until the server closes it.
func idleOut(s *testkit.Subject, url string, n int, idle time.Duration) {
	for range n {
		s.Get(url)
		time.Sleep(idle + time.Second)
	}
}

func TestAServerThatClosesIdleConnectionsAtOneAgeTeachesItsLimit(t *testing.T) {
	var changes []peerpool.LimitsChange
	tr := &peerpool.Transport{Observer: &peerpool.Observer{
		LimitsChange: func(l peerpool.LimitsChange) { changes = append(changes, l) },
	}}
	testkit.InBubble(t, closing(10*time.Second, 0), tr, func(t *testing.T, s *testkit.Subject) {
		idleOut(s, origin, 2, 10*time.Second)
		if learned := s.Stats().Learned; len(learned) != 0 {
			t.Errorf("learned %+v from two closes", learned)
		}
		before := time.Now()
		idleOut(s, origin, 1, 10*time.Second)
		learned := s.Stats().Learned
		if len(learned) != 1 || learned[0].IdleClose != 10*time.Second || learned[0].IdleTime > 9500*time.Millisecond ||
			learned[0].IdleTime < 9*time.Second || learned[0].IdleSince.Before(before) {
			t.Fatalf("learned %+v", learned)
		}
		if len(changes) != 1 || changes[0].LearnedLimits != learned[0].LearnedLimits || changes[0].Identity != learned[0].Identity {
			t.Errorf("the Observer was told %+v", changes)
		}

		s.Get(origin)
		opened := s.Stats().Opened
		time.Sleep(9800 * time.Millisecond)
		if err := post(s, origin); err != nil || s.Stats().Opened != opened+1 {
			t.Errorf("a POST took a connection that the server is about to close, or failed: %v", err)
		}
		s.Get(origin)
		time.Sleep(9800 * time.Millisecond)
		s.Get(origin)
		if s.Stats().Opened != opened+1 {
			t.Error("a GET, which can be sent again, did not take the connection")
		}
		time.Sleep(9 * time.Second)
		if err := post(s, origin); err != nil || s.Stats().Opened != opened+1 {
			t.Errorf("a POST did not take a connection within the limit, or failed: %v", err)
		}
	})
}

func TestARestartTeachesNoLimit(t *testing.T) {
	script := func(c *httptestutil.WireConn) {
		restart := time.Date(2000, 1, 1, 0, 0, 5, 0, time.UTC) // a bubble's clock begins 5 seconds earlier
		time.AfterFunc(time.Until(restart), c.Close)
		testkit.Numbered()(c)
	}
	testkit.InBubble(t, script, &peerpool.Transport{}, func(t *testing.T, s *testkit.Subject) {
		s.Together(20)
		time.Sleep(6 * time.Second)
		if st := s.Stats(); len(st.Learned) != 0 || st.Closes["peer_closed"] != 20 {
			t.Errorf("learned %+v from %v", st.Learned, st.Closes)
		}
	})
}

func TestAServerThatClosesAfterSomeRequestsTeachesTheirNumber(t *testing.T) {
	testkit.InBubble(t, closing(time.Hour, 3), &peerpool.Transport{}, func(t *testing.T, s *testkit.Subject) {
		for range 4 {
			for range 3 {
				s.Get(origin)
			}
			time.Sleep(time.Second)
		}
		learned := s.Stats().Learned
		if len(learned) != 1 || learned[0].Requests != 3 || learned[0].RequestsSince.IsZero() || learned[0].IdleTime != 0 {
			t.Fatalf("learned %+v", learned)
		}
		for range 3 {
			if err := post(s, origin); err != nil {
				t.Error(err)
			}
		}
		s.ClosedNow("max_reuse", 1)
	})
}

func TestAnAnnouncedEndAfterSomeRequestsTeachesTheirNumber(t *testing.T) {
	const requests = 5
	script := func(c *httptestutil.WireConn) {
		for n := 1; c.ReadRequest() != nil; n++ {
			if n == requests {
				c.Write(httptestutil.ResponseWith(200, "x", "Connection: close"))
				return
			}
			c.Write(httptestutil.Response("x"))
		}
	}
	testkit.InBubble(t, script, &peerpool.Transport{}, func(t *testing.T, s *testkit.Subject) {
		for range 4 {
			for range requests {
				s.Get(origin)
			}
			time.Sleep(time.Second)
		}
		if learned := s.Stats().Learned; len(learned) != 1 || learned[0].Requests != requests {
			t.Errorf("learned %+v", learned)
		}
	})
}
