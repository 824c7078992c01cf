package http2_test

import (
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

func TestHooksAreCalledOverHTTP2InNetHTTPsOrder(t *testing.T) {
	for _, name := range []string{
		"fresh GET", "reused GET", "HEAD", "small POST", "chunked PUT", "large POST", "expecting POST", "early hints", "own fields",
	} {
		t.Run(name, func(t *testing.T) {
			c := testkit.TraceCases[name]
			handler := c.Handler
			if handler == nil {
				handler = testkit.AnswerWhenAsked
			}
			var current atomic.Pointer[testkit.Hooks]
			o := testkit.Http2Origin(t, 100, func(w http.ResponseWriter, r *http.Request) {
				h := current.Load()
				if len(c.Fields) > 0 && strings.HasPrefix(c.Fields[0], "Expect") { // the handler is not shown that one
					<-h.Waits
				}
				handler(w, r, h)
			})
			ours, theirs := testkit.Beside(t)
			ours.TLSClientConfig, theirs.TLSClientConfig = o.ClientTLS(), o.ClientTLS()
			ours.ForceAttemptHTTP2, theirs.ForceAttemptHTTP2 = true, true
			ours.ExpectContinueTimeout, theirs.ExpectContinueTimeout = time.Hour, time.Hour
			got, want := c.CallsOverHTTP2(t, ours, o.URL(), &current), c.CallsOverHTTP2(t, theirs, o.URL(), &current)
			if !slices.Equal(got, want) {
				t.Errorf("ours:\n\t%s\nnet/http's:\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
			}
			if len(want) < 7 {
				t.Errorf("only %q were called", want)
			}
		})
	}
}

func TestGotConnTellsTheTruthOfStreams(t *testing.T) {
	http2Bubble(t, &peerpool.Transport{}, func(t *testing.T, b *bubble) {
		var got httptrace.GotConnInfo
		get := func(path string) *http.Response {
			req := testkit.NewRequest(t, http.MethodGet, "http://example.test"+path, nil)
			resp, err := b.RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
				GotConn: func(i httptrace.GotConnInfo) { got = i },
			})))
			if err != nil {
				t.Fatal(err)
			}
			return resp
		}
		slow := get("/slow")
		if got.Reused || got.WasIdle || got.Conn == nil {
			t.Errorf("a new connection: %+v", got)
		}
		first := got.Conn
		testkit.ReadBody(t, get("/"))
		if !got.Reused || got.IdleTime != 0 || got.Conn != first {
			t.Errorf("one that is in use: %+v", got)
		}
		close(b.leave)
		testkit.ReadBody(t, slow)
		time.Sleep(9 * time.Second)
		testkit.ReadBody(t, get("/"))
		if !got.Reused || !got.WasIdle || got.IdleTime != 9*time.Second || got.Conn != first {
			t.Errorf("one that was idle: %+v", got)
		}
	})
}

// moody is a handler that ends requests in many ways, and connections.
func moody(o **httptestutil.Origin) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch rand.N(12) {
		case 0:
			panic(http.ErrAbortHandler)
		case 1:
			io.WriteString(w, "some")
			testkit.Flush(w)
			panic(http.ErrAbortHandler)
		case 2:
			w.Header().Set("Connection", "close") // GOAWAY
		case 3:
			(*o).CloseConns()
		case 4:
			w.WriteHeader(http.StatusMisdirectedRequest)
		case 5:
			return // without reading the body
		}
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, strings.Repeat("x", rand.N(100_000)))
	}
}

func TestEventsAndCountersAgreeOverHTTP2(t *testing.T) {
	httptestutil.CheckLeaks(t)
	var o *httptestutil.Origin
	o = testkit.Http2Origin(t, 5, func(w http.ResponseWriter, r *http.Request) { moody(&o)(w, r) })
	s := onHTTP2(t, o, &peerpool.Transport{MaxConnReuse: 40, MaxConnsPerHost: 4})
	var over atomic.Bool
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		for !over.Load() {
			s.Balanced()
			s.PeersAddUp()
		}
	}()
	testkit.Unrest(s, 16, 60, o.URL())
	over.Store(true)
	<-looked
	s.CloseIdleConnections()
	s.Await("all is at rest", func(st peerpool.Stats) bool {
		return st.Active+st.Idle+st.Dialing == 0 && uint64(len(s.Events.Closings())) == st.Opened
	})
	st := s.Stats()
	leases := 0
	for _, a := range s.Events.Acquisitions() {
		if a.Err == nil {
			leases++
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
	testkit.Agree(t, "exchanges", len(s.Events.Ends()), leases)
	testkit.Agree(t, "dials", uint64(len(s.Events.Dials())), st.Dials)
	testkit.Agree(t, "opened", st.Dials-st.DialFailures, st.Opened)
	testkit.Agree(t, "stale", retries["stale"], st.Retries.Stale)
	testkit.Agree(t, "refused", retries["refused"], st.Retries.Refused)
	testkit.Agree(t, "misdirected", retries["misdirected"], st.Retries.Misdirected)
	testkit.Agree(t, "lost", retries["lost"], st.Retries.Lost)
	if !maps.Equal(closes, st.Closes) {
		t.Errorf("closes: observed %v, counted %v", closes, st.Closes)
	}
	if len(closes) < 3 || len(retries) < 2 {
		t.Errorf("little has gone wrong: closes %v, retries %v", closes, retries)
	}
}
