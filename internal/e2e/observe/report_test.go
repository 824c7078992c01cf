package observe_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/nettest"
	"github.com/peerpool/peerpool/internal/testkit"
)

// reported is newRequest with a Report.
func reported(t testing.TB, method, target string, body io.Reader) (*http.Request, *peerpool.Report) {
	t.Helper()
	req := testkit.NewRequest(t, method, target, body)
	ctx, report := peerpool.WithReport(req.Context())
	return req.WithContext(ctx), report
}

func TestAReportTellsOfEveryAttempt(t *testing.T) {
	wire := httptestutil.NewWire(t, testkit.GoneOnReuse(1, (*httptestutil.WireConn).Close))
	s := testkit.Observe(t, &peerpool.Transport{})
	s.Get(wire.URL())
	req, report := reported(t, http.MethodGet, wire.URL(), nil)
	s.Ok(req)
	all := report.Attempts()
	if len(all) != 2 {
		t.Fatalf("%d attempts, want two:\n%v", len(all), report)
	}
	stale, fresh := all[0], all[1]
	if stale.Number != 1 || !stale.Reused || !stale.Wrote || stale.Started || stale.Retry != "stale" || stale.Err != io.EOF ||
		stale.ErrorType != "response_ended" || stale.Status != 0 || !stale.Done || len(stale.Dials) != 0 {
		t.Errorf("the first: %v, %v", stale, stale.Err)
	}
	if fresh.Number != 2 || fresh.Request != 1 || fresh.Reused || !fresh.Wrote || !fresh.Started || fresh.Retry != "" ||
		fresh.Err != nil || fresh.ErrorType != "" || fresh.Status != 200 || !fresh.Done || len(fresh.Dials) != 1 {
		t.Errorf("the second: %v, %v", fresh, fresh.Err)
	}
	if fresh.Identity.Address() != wire.Addr() || fresh.Host != wire.Addr() || fresh.Method != "GET" || fresh.Protocol != "HTTP/1.1" {
		t.Errorf("the second: %v", fresh)
	}
}

func TestAReportTellsRequestsApart(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			http.Redirect(w, r, "/there", http.StatusFound)
		}
	})})
	s := testkit.Observe(t, &peerpool.Transport{})
	req, report := reported(t, http.MethodGet, origin.URL(), nil)
	resp, err := (&http.Client{Transport: s}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	testkit.ReadBody(t, resp)
	all := report.Attempts()
	if len(all) != 2 || all[0].Request != 1 || all[0].Status != 302 || all[1].Request != 2 || all[1].Number != 1 || !all[1].Reused {
		t.Errorf("got\n%v", report)
	}
}

func TestAReportTellsHowLongThingsTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, tr := testkit.InMemory(t, func(c *httptestutil.WireConn) {
			for c.ReadRequest() != nil {
				time.Sleep(2 * time.Second)
				c.Write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nso")
				time.Sleep(3 * time.Second)
				c.Write("me")
			}
		})
		dial := tr.DialContext
		tr.DialContext = func(ctx context.Context, network, addr string) (nc net.Conn, err error) {
			time.Sleep(time.Second)
			return dial(ctx, network, addr)
		}
		s := testkit.Observe(t, tr)
		req, report := reported(t, http.MethodGet, "http://example.test", nil)
		resp, err := s.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if a := report.Attempts()[0]; a.Done || a.Wait != time.Second || a.Head != 2*time.Second || a.Body != 0 || a.Status != 200 {
			t.Errorf("with the head: %v", a)
		}
		testkit.ReadBody(t, resp)
		a := report.Attempts()[0]
		if !a.Done || a.Wait != time.Second || a.Head != 2*time.Second || a.Body != 3*time.Second {
			t.Errorf("at the end: %v", a)
		}
		if len(a.Dials) != 1 || a.Dials[0].Connect != time.Second || a.Dials[0].Total != time.Second {
			t.Errorf("dials: %+v", a.Dials)
		}
	})
}

// TestAReportNeedsNoObserver checks that a Report has the same contents without an Observer.
func TestAReportNeedsNoObserver(t *testing.T) {
	tr := &peerpool.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	req, report := reported(t, http.MethodPost, origin.URL(), strings.NewReader("body"))
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	testkit.ReadBody(t, resp)
	a := report.Attempts()[0]
	if a.Protocol != "HTTP/1.1" || a.Status != 200 || !a.Wrote || !report.Wrote() || len(a.Dials) != 1 || a.Dials[0].Protocol != "HTTP/1.1" {
		t.Errorf("%v", report)
	}
	origin.Stop()
	tr.CloseIdleConnections()
	req, report = reported(t, http.MethodPost, origin.URL(), strings.NewReader("body"))
	if _, err := tr.RoundTrip(req); err == nil {
		t.Fatal("no error")
	}
	if a := report.Attempts()[0]; a.Hop != "connect" || a.Wrote || report.Wrote() || a.ErrorType != "connection_error" || len(a.Dials) != 1 {
		t.Errorf("%v", report)
	}
}

func TestAReportMayBeReadWhileRequestsAreUnderWay(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	s := testkit.Observe(t, &peerpool.Transport{})
	ctx, report := peerpool.WithReport(t.Context())
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 20 {
				if _, err := s.Try(testkit.NewRequest(t, http.MethodGet, origin.URL(), nil).WithContext(ctx)); err != nil {
					t.Error(err)
				}
				_, _ = report.String(), report.Wrote()
			}
		})
	}
	group.Wait()
	requests := map[int]bool{}
	for _, a := range report.Attempts() {
		if !a.Done || a.Status != 200 {
			t.Errorf("%v", a)
		}
		requests[a.Request] = true
	}
	if len(requests) != 160 {
		t.Errorf("%d requests, want 160", len(requests))
	}
}

func TestAReportAndAPeerShareAContext(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	s := testkit.Observe(t, &peerpool.Transport{})
	peer, err := peerpool.NewPeer(peerpool.PeerOptions{Group: "tenant"})
	if err != nil {
		t.Fatal(err)
	}
	inner, report := peerpool.WithReport(peerpool.WithPeer(t.Context(), peer))
	outer, other := peerpool.WithReport(t.Context())
	innermost, last := peerpool.WithReport(peerpool.WithPeer(outer, peer))
	for _, ctx := range []context.Context{inner, peerpool.WithPeer(outer, peer), innermost} {
		s.Ok(testkit.NewRequest(t, http.MethodGet, origin.URL(), nil).WithContext(ctx))
	}
	for name, r := range map[string]*peerpool.Report{"inside": report, "outside": other, "innermost": last} {
		if all := r.Attempts(); len(all) != 1 || !strings.Contains(all[0].Identity.String(), "tenant") {
			t.Errorf("%s: %v", name, r)
		}
	}
}

func TestAReportShowsNoSecret(t *testing.T) {
	const secret = "s3cret"
	proxy := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{Username: "user", Password: secret})
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
	s := testkit.Observe(t, &peerpool.Transport{
		Proxy: http.ProxyURL(proxy.URL()), ProxyConnectHeader: http.Header{"X-Token": {secret}}, TLSClientConfig: origin.ClientTLS(),
	})
	target := strings.Replace(origin.URL(), "https://", "https://user:"+secret+"@", 1) + "/" + secret + "?key=" + secret
	req, report := reported(t, http.MethodGet, target, nil)
	req.Header.Set("Authorization", "Bearer "+secret)
	s.Ok(req)
	all := report.Attempts()
	if len(all) != 1 || len(all[0].Dials) != 1 || all[0].Status != 200 {
		t.Fatalf("%v", report)
	}
	for what, text := range map[string]string{
		"the report": report.String(), "its attempt": all[0].String(), "its host": all[0].Host,
		"its dial's identity": all[0].Dials[0].Identity.String(), "its dial's host": all[0].Dials[0].Host,
	} {
		if strings.Contains(text, secret) {
			t.Errorf("%s shows a secret: %s", what, text)
		}
	}
}

// TestEveryKindOfErrorHasItsType checks the report and the last event of the Observer.
func TestEveryKindOfErrorHasItsType(t *testing.T) {
	says := func(answer string) func(testing.TB) string {
		return func(t testing.TB) string { return httptestutil.NewWire(t, httptestutil.ReplyThenClose(answer)).URL() }
	}
	var names httptestutil.Resolver
	names.Fail("nowhere.test", errors.New("the resolver is out"))
	for name, c := range map[string]struct {
		target    func(testing.TB) string
		config    *peerpool.Transport
		change    func(*http.Request) *http.Request
		hop       string
		errorType peerpool.ErrorType
	}{
		"no such name": {target: func(testing.TB) string { return "http://nowhere.test" }, hop: "resolve", errorType: "name_resolution_error"},
		"refused":      {target: func(t testing.TB) string { return "http://" + nettest.RefusingAddr(t) }, hop: "connect", errorType: "connection_error"},
		"no TLS": {target: func(t testing.TB) string { return strings.Replace(says("garbage")(t), "http:", "https:", 1) },
			hop: "tls", errorType: "secure_connection_error"},
		"no handshake in time": {target: func(t testing.TB) string {
			w := httptestutil.NewWire(t, func(c *httptestutil.WireConn) { c.WaitClosed() })
			return strings.Replace(w.URL(), "http:", "https:", 1)
		}, config: &peerpool.Transport{TLSHandshakeTimeout: time.Millisecond}, hop: "tls", errorType: "timeout"},
		"no head in time": {target: func(t testing.TB) string {
			return httptestutil.NewWire(t, func(c *httptestutil.WireConn) { c.WaitClosed() }).URL()
		}, config: &peerpool.Transport{ResponseHeaderTimeout: time.Millisecond}, errorType: "timeout"},
		"garbage":     {target: says("garbage\r\n"), errorType: "invalid_response"},
		"two lengths": {target: says("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"), errorType: "invalid_response"},
		"no answer":   {target: says(""), errorType: "response_ended"},
		"half a head": {target: says("HTTP/1.1 200 OK\r\nA: b\r\n"), errorType: "response_ended"},
		"its own body": {target: says("HTTP/1.1 200 OK\r\n\r\n"), change: func(r *http.Request) *http.Request {
			r.Method, r.Body, r.ContentLength = http.MethodPost, io.NopCloser(testkit.Failing(10)), -1
			return r
		}, errorType: "_OTHER"},
		"canceled": {target: says(""), change: func(r *http.Request) *http.Request {
			ctx, cancel := context.WithCancel(r.Context())
			r.Method, r.ContentLength = http.MethodPost, -1
			r.Body = io.NopCloser(testkit.ReaderFunc(func([]byte) (int, error) { cancel(); <-ctx.Done(); return 0, io.EOF }))
			return r.WithContext(ctx)
		}, errorType: ""},
		"an unknown proxy": {target: says(""), config: &peerpool.Transport{Proxy: func(*http.Request) (*url.URL, error) {
			return nil, errors.New("no proxy")
		}}, errorType: "_OTHER"},
	} {
		t.Run(name, func(t *testing.T) {
			tr := &peerpool.Transport{}
			if c.config != nil {
				tr = c.config
			}
			tr.Resolver = &names
			s := testkit.Observe(t, tr)
			req := testkit.NewRequest(t, http.MethodGet, c.target(t), nil)
			if c.change != nil {
				req = c.change(req)
			}
			last := testkit.Fails(s, req)
			if last.Hop != c.hop || last.ErrorType != c.errorType {
				t.Errorf("the report has hop %q and type %q: %v", last.Hop, last.ErrorType, last.Err)
			}
			ended := s.Events.Outcomes()
			if len(ended) != 1 || ended[0].Hop != c.hop || ended[0].ErrorType != c.errorType || ended[0].Err != last.Err {
				t.Errorf("the Observer is told %+v", ended)
			}
		})
	}
}
