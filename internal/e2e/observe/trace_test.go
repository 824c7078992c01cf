package observe_test

import (
	"fmt"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

func TestHooksAreCalledInNetHTTPsOrder(t *testing.T) {
	for name, c := range testkit.TraceCases {
		t.Run(name, func(t *testing.T) {
			// The hooks let the server and the body go on: what came first, the last byte of a request or
			// the first of its response, would be up to chance otherwise.
			var current *testkit.Hooks
			handler := c.Handler
			if handler == nil {
				handler = testkit.AnswerWhenAsked
			}
			opts := httptestutil.OriginOptions{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				handler(w, r, current)
			})}
			if c.Tls {
				opts.CA = httptestutil.NewCA(t)
			}
			origin := httptestutil.NewOrigin(t, opts)
			ours, theirs := testkit.Beside(t)
			ours.TLSClientConfig, theirs.TLSClientConfig = origin.ClientTLS(), origin.ClientTLS()
			ours.ExpectContinueTimeout, theirs.ExpectContinueTimeout = time.Hour, time.Hour
			if c.Proxy != nil {
				u := c.Proxy(t)
				ours.Proxy, theirs.Proxy = http.ProxyURL(u), http.ProxyURL(u)
			}
			calls := func(rt http.RoundTripper) []string {
				for range c.First + 1 {
					current = testkit.NewHooks()
					c.Exchange(t, rt, origin.URL(), current)
				}
				return current.Calls
			}
			got, want := calls(ours), calls(theirs)
			if !slices.Equal(got, want) {
				t.Errorf("ours:\n\t%s\nnet/http's:\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
			}
			if len(want) < 8 {
				t.Errorf("only %q were called", want)
			}
		})
	}
}

func TestGotConnTellsTheTruth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, tr := testkit.InMemory(t, testkit.Numbered())
		s := testkit.Observe(t, tr)
		var infos []httptrace.GotConnInfo
		get := func() *http.Response {
			req := testkit.NewRequest(t, "GET", "http://example.test", nil)
			resp, err := s.RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
				GotConn: func(i httptrace.GotConnInfo) { infos = append(infos, i) },
			})))
			if err != nil {
				t.Fatal(err)
			}
			return resp
		}
		testkit.ReadBody(t, get())
		time.Sleep(17 * time.Second)
		first := get()
		second := get() // while the first is in use
		testkit.ReadBody(t, first)
		testkit.ReadBody(t, second)
		time.Sleep(5 * time.Second)
		testkit.ReadBody(t, get())
		want := []httptrace.GotConnInfo{
			{}, {Reused: true, WasIdle: true, IdleTime: 17 * time.Second}, {}, {Reused: true, WasIdle: true, IdleTime: 5 * time.Second},
		}
		for i := range want {
			if infos[i].Conn == nil {
				t.Errorf("%d: no connection", i)
			}
			got := infos[i]
			got.Conn = nil
			if got != want[i] {
				t.Errorf("%d: %+v, want %+v", i, got, want[i])
			}
		}
		if infos[1].Conn != infos[0].Conn || infos[2].Conn == infos[0].Conn || infos[3].Conn != infos[2].Conn {
			t.Errorf("the connections are not those that were used: %+v", infos)
		}
	})
}

func TestAConnectionHandedOverWasNotIdle(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	s := testkit.Observe(t, &peerpool.Transport{MaxConnsPerHost: 1})
	resp := s.Open(origin.URL(), 0)
	got := make(chan httptrace.GotConnInfo, 1)
	ended := make(chan error, 1)
	go func() {
		req := testkit.NewRequest(t, "GET", origin.URL(), nil)
		_, err := s.Try(req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
			GotConn: func(i httptrace.GotConnInfo) { got <- i },
		})))
		ended <- err
	}()
	s.Await("the second request waits", func(st peerpool.Stats) bool { return st.Waiting == 1 })
	testkit.ReadBody(t, resp)
	if i := <-got; !i.Reused || i.WasIdle || i.IdleTime != 0 || i.Conn == nil {
		t.Errorf("%+v", i)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestARetryCallsTheHooksAgain(t *testing.T) {
	wire, s := testkit.Stale(t, 1)
	var got []string
	req := testkit.NewRequest(t, "GET", wire.URL(), nil)
	s.Ok(req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GetConn:      func(string) { got = append(got, "get") },
		GotConn:      func(i httptrace.GotConnInfo) { got = append(got, fmt.Sprint("got reused ", i.Reused)) },
		WroteRequest: func(i httptrace.WroteRequestInfo) { got = append(got, "wrote") },
	})))
	if want := []string{"get", "got reused true", "wrote", "get", "got reused false", "wrote"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
