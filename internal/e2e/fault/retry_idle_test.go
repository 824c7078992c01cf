package fault_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptrace"
	"testing"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// idlesUnused returns a server, and a client that has an idle connection to it which has served no request: the
// request that asked for it gave up while it was dialed. The server closes that connection when a request arrives.
func idlesUnused(t *testing.T) (*httptestutil.Wire, *testkit.Subject) {
	t.Helper()
	httptestutil.CheckLeaks(t)
	wire := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
		if c.Number() == 1 {
			c.ReadHead()
			c.Close()
			return
		}
		testkit.Digests(c)
	})
	dialing, proceed := make(chan struct{}, 8), make(chan struct{})
	s := testkit.Observe(t, &peerpool.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		dialing <- struct{}{}
		<-proceed
		return new(net.Dialer).DialContext(ctx, network, addr)
	}})
	ctx, cancel := context.WithCancel(t.Context())
	gaveUp := make(chan error, 1)
	go func() {
		_, err := s.RoundTrip(testkit.NewRequest(t, http.MethodGet, wire.URL(), nil).WithContext(ctx))
		gaveUp <- err
	}()
	<-dialing
	cancel()
	if err := <-gaveUp; err == nil {
		t.Fatal("the request was served")
	}
	close(proceed)
	s.Await("an idle connection", func(st peerpool.Stats) bool { return st.Idle == 1 })
	return wire, s
}

func TestARequestOnAConnectionThatIdledUnusedIsSentAgain(t *testing.T) {
	wire, s := idlesUnused(t)
	s.Get(wire.URL())
	s.Events.WantRetries(t, "stale")
	if wire.Conns() != 2 {
		t.Errorf("%d connections, want 2", wire.Conns())
	}
}

func TestAConnectionThatIdledUnusedCountsAsReusedForEverybody(t *testing.T) {
	wire, s := idlesUnused(t)
	var reused []bool
	req := testkit.NewRequest(t, http.MethodPost, wire.URL(), nil)
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) { reused = append(reused, i.Reused) },
	}))
	err := testkit.FailsToExchange(s, req)
	if !err.Reused || !err.Wrote || err.Started {
		t.Errorf("the error says %+v", err)
	}
	if len(reused) != 1 || !reused[0] {
		t.Errorf("GotConnInfo.Reused of each attempt: %v", reused)
	}
	tries := s.Events.Acquisitions()
	if last := tries[len(tries)-1]; !last.Reused || last.Uses != 0 || last.Miss != "" {
		t.Errorf("the Observer was told %+v", last)
	}
}
