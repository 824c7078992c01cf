package peerpool_test

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

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// callsOverHTTP2 sends the request of a case, after those that come first, and returns which hooks it has called.
func (c traceCase) callsOverHTTP2(t *testing.T, rt http.RoundTripper, url string, current *atomic.Pointer[hooks]) []string {
	t.Helper()
	for range c.first + 1 {
		h := newHooks()
		current.Store(h)
		method, body := c.method, io.Reader(nil)
		if method == "" {
			method = http.MethodGet
		}
		if c.body != nil {
			body = c.body(h)
		}
		req := with(newRequest(t, method, url, body), c.fields...)
		resp, err := rt.RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), h.trace())))
		if err != nil {
			t.Fatalf("%T: %v", rt, err)
		}
		if resp.ProtoMajor != 2 {
			t.Errorf("%T: served over %s", rt, resp.Proto)
		}
		readBody(t, resp)
	}
	return fieldsSorted(current.Load().calls)
}

// fieldsSorted puts the fields of a head, which come in the random order of a map, in one that can be compared.
func fieldsSorted(calls []string) []string {
	isField := func(call string) bool { return strings.HasPrefix(call, "WroteHeaderField") }
	first := slices.IndexFunc(calls, isField)
	if first < 0 {
		return calls
	}
	n := slices.IndexFunc(calls[first:], func(call string) bool { return !isField(call) })
	slices.Sort(calls[first : first+n])
	return calls
}

func TestHooksAreCalledOverHTTP2InNetHTTPsOrder(t *testing.T) {
	for _, name := range []string{
		"fresh GET", "reused GET", "HEAD", "small POST", "chunked PUT", "large POST", "expecting POST", "early hints", "own fields",
	} {
		t.Run(name, func(t *testing.T) {
			c := traceCases[name]
			handler := c.handler
			if handler == nil {
				handler = answerWhenAsked
			}
			var current atomic.Pointer[hooks]
			o := http2Origin(t, 100, func(w http.ResponseWriter, r *http.Request) {
				h := current.Load()
				if len(c.fields) > 0 && strings.HasPrefix(c.fields[0], "Expect") { // the handler is not shown that one
					<-h.waits
				}
				handler(w, r, h)
			})
			ours, theirs := beside(t)
			ours.TLSClientConfig, theirs.TLSClientConfig = o.ClientTLS(), o.ClientTLS()
			ours.ForceAttemptHTTP2, theirs.ForceAttemptHTTP2 = true, true
			ours.ExpectContinueTimeout, theirs.ExpectContinueTimeout = time.Hour, time.Hour
			got, want := c.callsOverHTTP2(t, ours, o.URL(), &current), c.callsOverHTTP2(t, theirs, o.URL(), &current)
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
			req := newRequest(t, http.MethodGet, "http://example.test"+path, nil)
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
		readBody(t, get("/"))
		if !got.Reused || got.IdleTime != 0 || got.Conn != first {
			t.Errorf("one that is in use: %+v", got)
		}
		close(b.leave)
		readBody(t, slow)
		time.Sleep(9 * time.Second)
		readBody(t, get("/"))
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
			flush(w)
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
	o = http2Origin(t, 5, func(w http.ResponseWriter, r *http.Request) { moody(&o)(w, r) })
	s := onHTTP2(t, o, &peerpool.Transport{MaxConnReuse: 40, MaxConnsPerHost: 4})
	var over atomic.Bool
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		for !over.Load() {
			s.balanced()
			s.peersAddUp()
		}
	}()
	unrest(s, 16, 60, o.URL())
	over.Store(true)
	<-looked
	s.CloseIdleConnections()
	s.await("all is at rest", func(st peerpool.Stats) bool {
		return st.Active+st.Idle+st.Dialing == 0 && uint64(len(s.events.closings())) == st.Opened
	})
	st := s.Stats()
	leases := 0
	for _, a := range s.events.acquisitions() {
		if a.Err == nil {
			leases++
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
	agree(t, "exchanges", len(s.events.ends()), leases)
	agree(t, "dials", uint64(len(s.events.dials())), st.Dials)
	agree(t, "opened", st.Dials-st.DialFailures, st.Opened)
	agree(t, "stale", retries["stale"], st.Retries.Stale)
	agree(t, "refused", retries["refused"], st.Retries.Refused)
	agree(t, "misdirected", retries["misdirected"], st.Retries.Misdirected)
	agree(t, "lost", retries["lost"], st.Retries.Lost)
	if !maps.Equal(closes, st.Closes) {
		t.Errorf("closes: observed %v, counted %v", closes, st.Closes)
	}
	if len(closes) < 3 || len(retries) < 2 {
		t.Errorf("little has gone wrong: closes %v, retries %v", closes, retries)
	}
}
