package observe_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// named makes tr find the origin under a name.
func named(t *testing.T, origin *httptestutil.Origin) (tr *peerpool.Transport, url string, resolver *httptestutil.Resolver) {
	t.Helper()
	host, port, err := net.SplitHostPort(origin.Addr())
	if err != nil {
		t.Fatal(err)
	}
	resolver = new(httptestutil.Resolver)
	resolver.Set(t, "origin.test", host)
	return &peerpool.Transport{Resolver: resolver}, "http://origin.test:" + port, resolver
}

func TestTheHooksFollowTheWalk(t *testing.T) {
	tr, url, _ := named(t, httptestutil.NewOrigin(t, httptestutil.OriginOptions{}))
	s := testkit.Observe(t, tr)
	s.Get(url)
	s.Get(url)
	s.CloseIdleConnections()
	want := "RequestStart ResolveDone DialDone AcquireDone AttemptDone RequestDone RequestStart AcquireDone AttemptDone RequestDone ConnClosed"
	if got := s.Events.Story(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestARetryStandsBetweenItsAttempts(t *testing.T) {
	wire := httptestutil.NewWire(t, testkit.GoneOnReuse(1, (*httptestutil.WireConn).Close))
	s := testkit.Observe(t, &peerpool.Transport{})
	s.Get(wire.URL())
	first := len(s.Events.Story())
	s.Get(wire.URL())
	want := "RequestStart AcquireDone ConnClosed AttemptDone RequestRetry DialDone AcquireDone AttemptDone RequestDone"
	if got := strings.TrimSpace(s.Events.Story()[first:]); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	retried, acquired := s.Events.Retries()[0], s.Events.Acquisitions()
	if retried.Conn != acquired[1].Conn || retried.Conn == acquired[2].Conn || retried.Host != acquired[2].Host {
		t.Errorf("%+v between %+v", retried, acquired[1:])
	}
	if ended := s.Events.Outcomes()[1]; ended.Attempts != 2 || ended.Err != nil || ended.Status != http.StatusOK {
		t.Errorf("%+v, want two attempts and no error", ended)
	}
	if closed := s.Events.Closings()[0]; !closed.InUse || closed.Uses != 2 || closed.Conn != retried.Conn {
		t.Errorf("%+v, want the connection that failed under its second request", closed)
	}
}

func TestARequestEndsWithItsBody(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Handler: http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })})
	s := testkit.Observe(t, &peerpool.Transport{})
	resp, err := s.RoundTrip(testkit.NewRequest(t, "GET", origin.URL(), nil))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(s.Events.Outcomes()); n != 0 {
		t.Errorf("%d requests ended before the body was read", n)
	}
	testkit.ReadBody(t, resp)
	if n := len(s.Events.Outcomes()); n != 1 {
		t.Errorf("%d requests ended, want 1", n)
	}
}

func TestARequestThatFailsEndsOnceWithItsError(t *testing.T) {
	s := testkit.Observe(t, &peerpool.Transport{})
	err := testkit.FailsToDial(s, testkit.NewRequest(t, "", "http://127.0.0.1:1", nil))
	ended := s.Events.Outcomes()
	if len(ended) != 1 || !errors.Is(ended[0].Err, err.Err) || ended[0].Status != 0 || ended[0].Method != "GET" {
		t.Errorf("%+v, want one end with %v", ended, err)
	}
}

func TestARequestThatIsRefusedIsNotHeardOf(t *testing.T) {
	s := testkit.Observe(t, &peerpool.Transport{})
	if _, err := s.RoundTrip(testkit.With(testkit.NewRequest(t, "GET", "http://127.0.0.1:1", nil), "Bad Name: x")); err == nil {
		t.Fatal("a malformed request was sent")
	}
	if got := s.Events.Story(); got != "" {
		t.Errorf("heard of: %s", got)
	}
}

func TestALookUpIsReportedOnceAndBelongsToTheDialThatWaitedForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testkit.Observe(t, &peerpool.Transport{Resolver: slowResolver{}, DNSRefresh: time.Hour})
		start := time.Now()
		for range 2 { // both are refused: nobody listens in the bubble
			if _, err := s.RoundTrip(testkit.NewRequest(t, "GET", "http://slow.test:1", nil)); err == nil {
				t.Fatal("somebody answered")
			}
		}
		lookups := s.Events.Lookups()
		if len(lookups) != 1 || lookups[0].Host != "slow.test" || lookups[0].Duration != 2*time.Second || !lookups[0].Start.Equal(start) ||
			!slices.Equal(lookups[0].Addrs, []netip.Addr{netip.MustParseAddr("127.0.0.1")}) {
			t.Errorf("look-ups: %+v", lookups)
		}
		dials := s.Events.Dials()
		if len(dials) != 2 || dials[0].Resolve != 2*time.Second || dials[1].Resolve != 0 || !dials[0].Start.Equal(start) {
			t.Errorf("dials: %+v", dials)
		}
		if waited := s.Events.Acquisitions()[0].Waited; waited < 2*time.Second {
			t.Errorf("the request says that it waited %v", waited)
		}
	})
}

type slowResolver struct{}

func (slowResolver) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	time.Sleep(2 * time.Second)
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

func TestADialThatCannotBeginIsReported(t *testing.T) {
	var resolver httptestutil.Resolver
	resolver.Fail("nowhere.test", errors.New("the resolver is out"))
	resolver.Set(t, "silent.test", "127.0.0.1", "127.0.0.2")
	s := testkit.Observe(t, &peerpool.Transport{Resolver: &resolver})
	for host, op := range map[string]string{"nowhere.test": "resolve", "silent.test": "connect"} {
		before := len(s.Events.Dials())
		err := testkit.FailsToDial(s, testkit.NewRequest(t, "GET", "http://"+host+":1", nil))
		dials := s.Events.Dials()[before:]
		if err.Hop != op || len(dials) != 1 || !errors.Is(dials[0].Err, err.Err) || dials[0].Host != host+":1" || dials[0].Conn != 0 {
			t.Errorf("%s: %v; dials: %+v", host, err, dials)
		}
	}
	if lookup := s.Events.Lookups()[0]; len(s.Events.Lookups()) != 2 || lookup.Err == nil && lookup.Addrs == nil {
		t.Errorf("look-ups: %+v", s.Events.Lookups())
	}
}

func TestARaceOfAddressesIsPartOfItsDial(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	tr, url, resolver := named(t, origin)
	host, _, _ := net.SplitHostPort(origin.Addr())
	resolver.Set(t, "origin.test", host, "127.0.0.9")
	s := testkit.Observe(t, tr)
	s.Get(url)
	d := s.Events.Dials()[0]
	if d.Resolve <= 0 || d.Connect <= 0 || d.Total < d.Resolve+d.Connect {
		t.Errorf("%+v", d)
	}
}

func TestADialOverTLSSaysItsVersion(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{TLS: &tls.Config{MaxVersion: tls.VersionTLS12}})
	s := testkit.Observe(t, &peerpool.Transport{TLSClientConfig: origin.ClientTLS()})
	s.Get(origin.URL())
	if got := s.Events.Dials()[0].Version; got != tls.VersionTLS12 {
		t.Errorf("TLS %#x, want 1.2", got)
	}
}

func TestAConnectionThatCameBackFitIsNotClosedUnderARequest(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	s := testkit.Observe(t, &peerpool.Transport{MaxConnReuse: 1})
	s.Get(origin.URL())
	s.Get(origin.URL())
	s.Closes("max_reuse", 1)
	if c := s.Events.Closings()[0]; c.InUse || c.Uses != 2 || c.Age <= 0 {
		t.Errorf("%+v", c)
	}
}

func TestRequestsThatShareAConnectionAreCounted(t *testing.T) {
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{TLS: &tls.Config{}, Protocols: protocols})
	s := testkit.Observe(t, &peerpool.Transport{TLSClientConfig: origin.ClientTLS(), ForceAttemptHTTP2: true})
	s.Get(origin.URL()) // from here on it is known that the server speaks HTTP/2
	first := s.Open(origin.URL(), 1)
	second := s.Open(origin.URL(), 1)
	testkit.ReadBody(t, first)
	testkit.ReadBody(t, second)
	var counts []int
	for _, e := range s.Events.Acquisitions()[1:] {
		counts = append(counts, e.Requests)
		if e.Protocol != "HTTP/2" || e.Conn != s.Events.Dials()[0].Conn {
			t.Errorf("%+v", e)
		}
	}
	for _, e := range s.Events.Ends()[1:] {
		counts = append(counts, e.Requests)
	}
	if want := []int{1, 2, 1, 0}; !slices.Equal(counts, want) {
		t.Errorf("requests on the connection: %d, want %d", counts, want)
	}
}
