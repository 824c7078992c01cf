package peerpool_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// hooks writes down which hooks of httptrace were called, with what, in which order.
type hooks struct {
	mu    sync.Mutex // guards calls
	calls []string

	// These get a value with Wait100Continue, Got1xxResponse, WroteRequest and PutIdleConn, so that others can
	// wait for it.
	waits, interim, wrote, idle chan struct{}
}

func newHooks() *hooks {
	return &hooks{
		waits: make(chan struct{}, 1), interim: make(chan struct{}, 2),
		wrote: make(chan struct{}, 1), idle: make(chan struct{}, 1),
	}
}

func (h *hooks) call(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, fmt.Sprintf(format, args...))
}

func (h *hooks) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn: func(hostPort string) { h.call("GetConn %s", hostPort) },
		GotConn: func(i httptrace.GotConnInfo) {
			h.call("GotConn reused %v, idle %v, Conn %v", i.Reused, i.WasIdle, i.Conn != nil)
		},
		PutIdleConn: func(err error) {
			h.call("PutIdleConn %v", err == nil)
			h.idle <- struct{}{}
		},
		GotFirstResponseByte: func() { h.call("GotFirstResponseByte") },
		Got100Continue:       func() { h.call("Got100Continue") },
		Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			h.call("Got1xxResponse %d %q", code, header["Link"])
			h.interim <- struct{}{}
			return nil
		},
		DNSStart:          func(i httptrace.DNSStartInfo) { h.call("DNSStart %s", i.Host) },
		DNSDone:           func(i httptrace.DNSDoneInfo) { h.call("DNSDone %v", i.Err) },
		ConnectStart:      func(network, addr string) { h.call("ConnectStart %s %s", network, addr) },
		ConnectDone:       func(network, addr string, err error) { h.call("ConnectDone %s %s %v", network, addr, err) },
		TLSHandshakeStart: func() { h.call("TLSHandshakeStart") },
		TLSHandshakeDone: func(s tls.ConnectionState, err error) {
			h.call("TLSHandshakeDone %v %s %v", s.HandshakeComplete, s.NegotiatedProtocol, err)
		},
		WroteHeaderField: func(key string, values []string) { h.call("WroteHeaderField %s %q", key, values) },
		WroteHeaders:     func() { h.call("WroteHeaders") },
		Wait100Continue: func() {
			h.call("Wait100Continue")
			h.waits <- struct{}{}
		},
		WroteRequest: func(i httptrace.WroteRequestInfo) {
			h.call("WroteRequest %v", i.Err)
			h.wrote <- struct{}{}
		},
	}
}

// traceCase is a request, after the first ones of its connection, and the server that it is sent to.
type traceCase struct {
	first   int // requests before the one that counts
	method  string
	body    func(*hooks) io.Reader
	fields  []string
	tls     bool
	proxy   func(*testing.T) *url.URL
	handler func(w http.ResponseWriter, r *http.Request, h *hooks)
}

func answerWhenAsked(w http.ResponseWriter, r *http.Request, h *hooks) {
	if r.Header.Get("Expect") != "" {
		<-h.waits
	}
	io.Copy(io.Discard, r.Body)
	<-h.wrote
	io.WriteString(w, "answer")
}

var traceCases = map[string]traceCase{
	"fresh GET":      {},
	"reused GET":     {first: 1},
	"HEAD":           {method: "HEAD"},
	"small POST":     {method: "POST", body: func(*hooks) io.Reader { return again("small") }},
	"chunked PUT":    {method: "PUT", body: func(*hooks) io.Reader { return once("of no known length") }, first: 1},
	"large POST":     {method: "POST", body: func(*hooks) io.Reader { return again(strings.Repeat("x", 1<<20)) }},
	"expecting POST": {method: "POST", body: func(h *hooks) io.Reader { return io.MultiReader(atEnd(func() { <-h.interim }), once("body")) }, fields: []string{"Expect: 100-continue"}},
	"early hints": {handler: func(w http.ResponseWriter, r *http.Request, h *hooks) {
		<-h.wrote
		w.Header().Set("Link", "</x>")
		w.WriteHeader(103)
		w.WriteHeader(103)
		io.WriteString(w, "answer")
	}},
	"TLS":                     {tls: true},
	"reused TLS":              {tls: true, first: 2},
	"own fields":              {fields: []string{"X-A: 1", "X-A: 2", "Accept-Encoding: identity", "User-Agent: me"}},
	"proxy, in absolute form": {proxy: func(t *testing.T) *url.URL { return httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{}).URL() }},
	"proxy, with CONNECT": {tls: true, proxy: func(t *testing.T) *url.URL {
		return httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{Username: "u", Password: "p"}).URL()
	}},
	"proxy, with SOCKS": {proxy: func(t *testing.T) *url.URL { return httptestutil.NewSOCKS5Proxy(t, httptestutil.ProxyOptions{}).URL() }},
}

func TestHooksAreCalledInNetHTTPsOrder(t *testing.T) {
	for name, c := range traceCases {
		t.Run(name, func(t *testing.T) {
			// The hooks let the server and the body go on: what came first, the last byte of a request or
			// the first of its response, would be up to chance otherwise.
			var current *hooks
			handler := c.handler
			if handler == nil {
				handler = answerWhenAsked
			}
			opts := httptestutil.OriginOptions{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				handler(w, r, current)
			})}
			if c.tls {
				opts.CA = httptestutil.NewCA(t)
			}
			origin := httptestutil.NewOrigin(t, opts)
			ours, theirs := beside(t)
			ours.TLSClientConfig, theirs.TLSClientConfig = origin.ClientTLS(), origin.ClientTLS()
			ours.ExpectContinueTimeout, theirs.ExpectContinueTimeout = time.Hour, time.Hour
			if c.proxy != nil {
				u := c.proxy(t)
				ours.Proxy, theirs.Proxy = http.ProxyURL(u), http.ProxyURL(u)
			}
			calls := func(rt http.RoundTripper) []string {
				for range c.first + 1 {
					current = newHooks()
					c.exchange(t, rt, origin.URL(), current)
				}
				return current.calls
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

func (c traceCase) exchange(t *testing.T, rt http.RoundTripper, url string, h *hooks) {
	t.Helper()
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
	readBody(t, resp)
	<-h.idle
}

func TestGotConnTellsTheTruth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, tr := inMemory(t, numbered())
		s := observe(t, tr)
		var infos []httptrace.GotConnInfo
		get := func() *http.Response {
			req := newRequest(t, "GET", "http://example.test", nil)
			resp, err := s.RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
				GotConn: func(i httptrace.GotConnInfo) { infos = append(infos, i) },
			})))
			if err != nil {
				t.Fatal(err)
			}
			return resp
		}
		readBody(t, get())
		time.Sleep(17 * time.Second)
		first := get()
		second := get() // while the first is in use
		readBody(t, first)
		readBody(t, second)
		time.Sleep(5 * time.Second)
		readBody(t, get())
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
	s := observe(t, &peerpool.Transport{MaxConnsPerHost: 1})
	resp := s.open(origin.URL(), 0)
	got := make(chan httptrace.GotConnInfo, 1)
	ended := make(chan error, 1)
	go func() {
		req := newRequest(t, "GET", origin.URL(), nil)
		_, err := s.try(req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
			GotConn: func(i httptrace.GotConnInfo) { got <- i },
		})))
		ended <- err
	}()
	s.await("the second request waits", func(st peerpool.Stats) bool { return st.Waiting == 1 })
	readBody(t, resp)
	if i := <-got; !i.Reused || i.WasIdle || i.IdleTime != 0 || i.Conn == nil {
		t.Errorf("%+v", i)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestARetryCallsTheHooksAgain(t *testing.T) {
	wire, s := stale(t, 1)
	var got []string
	req := newRequest(t, "GET", wire.URL(), nil)
	s.ok(req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GetConn:      func(string) { got = append(got, "get") },
		GotConn:      func(i httptrace.GotConnInfo) { got = append(got, fmt.Sprint("got reused ", i.Reused)) },
		WroteRequest: func(i httptrace.WroteRequestInfo) { got = append(got, "wrote") },
	})))
	if want := []string{"get", "got reused true", "wrote", "get", "got reused false", "wrote"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
