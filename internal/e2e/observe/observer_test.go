package observe_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

func TestEveryHookMayBeNil(t *testing.T) {
	all := testkit.NewLedger().Observer()
	wire := httptestutil.NewWire(t, testkit.GoneOnReuse(1, (*httptestutil.WireConn).Close))
	for name, o := range map[string]*peerpool.Observer{
		"all":           {},
		"but Acquired":  {AcquireDone: all.AcquireDone},
		"but Dialed":    {DialDone: all.DialDone},
		"but Retried":   {RequestRetry: all.RequestRetry},
		"but Done":      {AttemptDone: all.AttemptDone},
		"but Closed":    {ConnClosed: all.ConnClosed},
		"but Started":   {RequestStart: all.RequestStart},
		"but Resolved":  {ResolveDone: all.ResolveDone},
		"but Ended":     {RequestDone: all.RequestDone},
		"and no Closed": {AcquireDone: all.AcquireDone, DialDone: all.DialDone, RequestRetry: all.RequestRetry, AttemptDone: all.AttemptDone},
	} {
		t.Run(name, func(t *testing.T) {
			s := testkit.Observe(t, &peerpool.Transport{Observer: o})
			for range 3 {
				s.Get(wire.URL())
			}
			s.RoundTrip(testkit.NewRequest(t, "GET", "http://127.0.0.1:1", nil))
		})
	}
}

func TestHooksMayCallTheTransport(t *testing.T) {
	var s *testkit.Subject
	look := func() { s.Stats() }
	wire := httptestutil.NewWire(t, testkit.GoneOnReuse(1, (*httptestutil.WireConn).Close))
	s = testkit.Observe(t, &peerpool.Transport{Observer: &peerpool.Observer{
		AcquireDone:  func(context.Context, peerpool.AcquireDone) { look() },
		DialDone:     func(context.Context, peerpool.DialDone) { look() },
		RequestRetry: func(context.Context, peerpool.RequestRetry) { look() },
		AttemptDone:  func(context.Context, peerpool.AttemptDone) { look() },
		ConnClosed:   func(peerpool.ConnClosed) { look() },
	}})
	for range 4 {
		s.Get(wire.URL())
	}
}

type markKey struct{}

func TestHooksGetTheContextOfTheirRequest(t *testing.T) {
	var mu sync.Mutex
	got := map[string]any{}
	mark := func(hook string) func(context.Context) {
		return func(ctx context.Context) {
			mu.Lock()
			defer mu.Unlock()
			got[hook] = ctx.Value(markKey{})
		}
	}
	acquired, dialed, retried, done := mark("Acquired"), mark("Dialed"), mark("Retried"), mark("Done")
	wire := httptestutil.NewWire(t, testkit.GoneOnReuse(1, (*httptestutil.WireConn).Close))
	s := testkit.Observe(t, &peerpool.Transport{Observer: &peerpool.Observer{
		AcquireDone:  func(ctx context.Context, _ peerpool.AcquireDone) { acquired(ctx) },
		DialDone:     func(ctx context.Context, _ peerpool.DialDone) { dialed(ctx) },
		RequestRetry: func(ctx context.Context, _ peerpool.RequestRetry) { retried(ctx) },
		AttemptDone:  func(ctx context.Context, _ peerpool.AttemptDone) { done(ctx) },
	}})
	for _, value := range []string{"first", "second"} {
		s.Ok(testkit.NewRequest(t, "GET", wire.URL(), nil).WithContext(context.WithValue(t.Context(), markKey{}, value)))
		for _, hook := range []string{"Acquired", "Dialed", "Done"} {
			if got[hook] != value {
				t.Errorf("%s saw the context of %v, want %s", hook, got[hook], value)
			}
		}
	}
	if got["Retried"] != "second" {
		t.Errorf("Retried saw the context of %v", got["Retried"])
	}
}

func TestEventsTellHowLongThingsTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, tr := testkit.InMemory(t, func(c *httptestutil.WireConn) {
			for c.ReadRequest() != nil {
				time.Sleep(2 * time.Second)
				c.Write("HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n")
				time.Sleep(time.Second)
				c.Write("ok")
			}
		})
		dial := tr.DialContext
		tr.DialContext = func(ctx context.Context, network, addr string) (nc net.Conn, err error) {
			time.Sleep(3 * time.Second)
			return dial(ctx, network, addr)
		}
		s := testkit.Observe(t, tr)
		start := time.Now()
		s.Send(testkit.NewRequest(t, "GET", "http://example.test", nil))
		time.Sleep(10 * time.Second)
		s.Send(testkit.NewRequest(t, "GET", "http://example.test", nil))

		const host, version = "example.test", "HTTP/1.1"
		dialed := s.Events.Dials()[0]
		id, conn := dialed.Identity, dialed.Conn
		if conn == 0 {
			t.Error("the connection has no number")
		}
		wantEvents(t, s.Events.Dials(), peerpool.DialDone{
			Identity: id, Host: host, Conn: conn, Protocol: version, Start: start, Connect: 3 * time.Second, Total: 3 * time.Second,
		})
		acquired := peerpool.AcquireDone{Identity: id, Host: host, Attempt: 1, Conn: conn, ConnHost: host, Protocol: version, Requests: 1}
		dialedFor, again := acquired, acquired
		dialedFor.Miss, dialedFor.Waited = "cold", 3*time.Second
		again.Reused, again.Uses, again.Idle, again.Age = true, 1, 10*time.Second, 13*time.Second
		wantEvents(t, s.Events.Acquisitions(), dialedFor, again)
		done := peerpool.AttemptDone{Identity: id, Host: host, Attempt: 1, Conn: conn, ConnHost: host, Protocol: version, Wrote: true, Started: true, Status: 201, Duration: 6 * time.Second}
		doneAgain := done
		doneAgain.Reused, doneAgain.Duration = true, 3*time.Second
		wantEvents(t, s.Events.Ends(), done, doneAgain)
		request := peerpool.RequestStart{Host: host, Scheme: "http", Method: "GET"}
		wantEvents(t, s.Events.Requests(), request, request)
		ended := peerpool.RequestDone{Host: host, Scheme: "http", Method: "GET", Attempts: 1, Status: 201, Duration: 6 * time.Second, Head: 5 * time.Second}
		endedAgain := ended
		endedAgain.Duration, endedAgain.Head, endedAgain.Reused = 3*time.Second, 2*time.Second, true
		wantEvents(t, s.Events.Outcomes(), ended, endedAgain)
		s.CloseIdleConnections()
		wantEvents(t, s.Events.Closings(), peerpool.ConnClosed{
			Identity: id, Host: host, Conn: conn, Protocol: version, Reason: "close_idle", Age: 16 * time.Second, Uses: 2,
		})
	})
}

func wantEvents[E comparable](t *testing.T, got []E, want ...E) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestADialIsReportedHopByHop(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{TLS: &tls.Config{}})
	proxy := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
	s := testkit.Observe(t, &peerpool.Transport{TLSClientConfig: origin.ClientTLS(), Proxy: http.ProxyURL(proxy.URL()), DisableKeepAlives: true})
	for i := range 2 {
		s.Get(origin.URL())
		d := s.Events.Dials()[i]
		if d.Err != nil || d.Connect <= 0 || d.Proxy <= 0 || d.TLS <= 0 || d.Total < d.Connect+d.Proxy+d.TLS || d.Resumed != (i == 1) {
			t.Errorf("%d: %+v", i, d)
		}
		if d.Identity.Target() != origin.Addr() || d.Identity.Address() != proxy.Addr() {
			t.Errorf("%d: %v", i, d.Identity)
		}
	}
}

func TestADialThatFailsIsReported(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{TLS: &tls.Config{}})
	s := testkit.Observe(t, &peerpool.Transport{})
	err := testkit.FailsToDial(s, testkit.NewRequest(t, "GET", origin.URL(), nil))
	dials, tries := s.Events.Dials(), s.Events.Acquisitions()
	if len(dials) != 1 || !errors.Is(dials[0].Err, err.Err) || dials[0].TLS <= 0 || dials[0].Proxy != 0 {
		t.Errorf("dials: %+v", dials)
	}
	if len(tries) != 1 || !errors.Is(tries[0].Err, err.Err) || tries[0].Reused {
		t.Errorf("acquisitions: %+v", tries)
	}
	if ends := s.Events.Ends(); len(ends) != 0 {
		t.Errorf("an exchange that never was ended: %+v", ends)
	}
}

func TestAnExchangeEndsOnceWhateverBecomesOfIt(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Handler: http.HandlerFunc(testkit.EchoUpgrade)})
	s := testkit.Observe(t, &peerpool.Transport{})
	s.Get(origin.URL())
	discarded := s.Open(origin.URL(), 1)
	peerpool.DiscardConn(discarded)
	testkit.ReadBody(t, discarded)
	s.Send(testkit.NewRequest(t, "HEAD", origin.URL(), nil))
	resp, err := s.RoundTrip(testkit.Upgrading(t, origin.URL()))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.(io.Closer).Close()
	var got []string
	for _, e := range s.Events.Ends() {
		got = append(got, strings.TrimSpace(http.StatusText(e.Status)+" "+string(e.Close)))
	}
	if want := []string{"OK", "OK discarded", "OK", "Switching Protocols hijacked"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestARequestThatFindsNoRouteIsReported(t *testing.T) {
	var resolver httptestutil.Resolver
	resolver.Fail("nowhere.test", errors.New("the resolver is out"))
	var seen []peerpool.AcquireDone
	transport := &peerpool.Transport{
		Resolver: &resolver,
		Observer: &peerpool.Observer{AcquireDone: func(_ context.Context, a peerpool.AcquireDone) { seen = append(seen, a) }},
	}
	if _, err := transport.RoundTrip(testkit.NewRequest(t, "GET", "http://nowhere.test/", nil)); err == nil {
		t.Fatal("the request succeeded")
	}
	if len(seen) != 1 || seen[0].Err == nil || seen[0].Attempt != 1 {
		t.Errorf("told %+v, want one failure of the first attempt", seen)
	}
}

// TestTheStatusOfAResponseWithoutABodyIsReported tries every protocol. The exchange of such a response ends as soon as its
// head has arrived.
func TestTheStatusOfAResponseWithoutABodyIsReported(t *testing.T) {
	o := testkit.Http2Origin(t, 0, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	for _, forced := range []bool{false, true} {
		var done peerpool.AttemptDone
		s := testkit.Observe(t, &peerpool.Transport{
			TLSClientConfig: o.ClientTLS(), ForceAttemptHTTP2: forced,
			Observer: &peerpool.Observer{AttemptDone: func(_ context.Context, e peerpool.AttemptDone) { done = e }},
		})
		resp, err := s.RoundTrip(testkit.NewRequest(t, http.MethodGet, o.URL(), nil))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if done.Status != http.StatusNoContent {
			t.Errorf("%s: the status is %d", resp.Proto, done.Status)
		}
	}
}
