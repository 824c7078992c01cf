package testkit

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// InMemory starts a server that works inside a bubble, and returns it with a Transport that connects every address to it.
func InMemory(t *testing.T, script httptestutil.Script) (*httptestutil.Wire, *peerpool.Transport) {
	t.Helper()
	ln := httptestutil.NewListener(0)
	wire := httptestutil.NewWireWith(t, httptestutil.WireOptions{Listener: ln, Bound: 240 * time.Hour}, script)
	return wire, &peerpool.Transport{DialContext: ln.Dial}
}

// Hooks notes which hooks of httptrace were called, with which arguments, and in which order.
type Hooks struct {
	mu    sync.Mutex // guards calls
	Calls []string

	// These channels get a value when Wait100Continue, Got1xxResponse, WroteRequest and PutIdleConn are called, so that
	// other goroutines can wait for that.
	Waits, interim, wrote, idle chan struct{}
}

func NewHooks() *Hooks {
	return &Hooks{
		Waits: make(chan struct{}, 1), interim: make(chan struct{}, 2),
		wrote: make(chan struct{}, 1), idle: make(chan struct{}, 1),
	}
}

func (h *Hooks) call(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.Calls = append(h.Calls, fmt.Sprintf(format, args...))
}

func (h *Hooks) Trace() *httptrace.ClientTrace {
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
			h.Waits <- struct{}{}
		},
		WroteRequest: func(i httptrace.WroteRequestInfo) {
			h.call("WroteRequest %v", i.Err)
			h.wrote <- struct{}{}
		},
	}
}

// traceCase is a request and the server to which it is sent, after the first requests of the connection.
type traceCase struct {
	First   int // number of requests before the one that counts
	method  string
	body    func(*Hooks) io.Reader
	Fields  []string
	Tls     bool
	Proxy   func(*testing.T) *url.URL
	Handler func(w http.ResponseWriter, r *http.Request, h *Hooks)
}

func AnswerWhenAsked(w http.ResponseWriter, r *http.Request, h *Hooks) {
	if r.Header.Get("Expect") != "" {
		<-h.Waits
	}
	io.Copy(io.Discard, r.Body)
	<-h.wrote
	io.WriteString(w, "answer")
}

var TraceCases = map[string]traceCase{
	"fresh GET":      {},
	"reused GET":     {First: 1},
	"HEAD":           {method: "HEAD"},
	"small POST":     {method: "POST", body: func(*Hooks) io.Reader { return Again("small") }},
	"chunked PUT":    {method: "PUT", body: func(*Hooks) io.Reader { return Once("of no known length") }, First: 1},
	"large POST":     {method: "POST", body: func(*Hooks) io.Reader { return Again(strings.Repeat("x", 1<<20)) }},
	"expecting POST": {method: "POST", body: func(h *Hooks) io.Reader { return io.MultiReader(AtEnd(func() { <-h.interim }), Once("body")) }, Fields: []string{"Expect: 100-continue"}},
	"early hints": {Handler: func(w http.ResponseWriter, r *http.Request, h *Hooks) {
		<-h.wrote
		w.Header().Set("Link", "</x>")
		w.WriteHeader(103)
		w.WriteHeader(103)
		io.WriteString(w, "answer")
	}},
	"TLS":                     {Tls: true},
	"reused TLS":              {Tls: true, First: 2},
	"own fields":              {Fields: []string{"X-A: 1", "X-A: 2", "Accept-Encoding: identity", "User-Agent: me"}},
	"proxy, in absolute form": {Proxy: func(t *testing.T) *url.URL { return httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{}).URL() }},
	"proxy, with CONNECT": {Tls: true, Proxy: func(t *testing.T) *url.URL {
		return httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{Username: "u", Password: "p"}).URL()
	}},
	"proxy, with SOCKS": {Proxy: func(t *testing.T) *url.URL { return httptestutil.NewSOCKS5Proxy(t, httptestutil.ProxyOptions{}).URL() }},
}

func (c traceCase) Exchange(t *testing.T, rt http.RoundTripper, url string, h *Hooks) {
	t.Helper()
	ReadBody(t, c.send(t, rt, url, h))
	<-h.idle
}

// send sends the request of the case with hooks, and returns its response.
func (c traceCase) send(t *testing.T, rt http.RoundTripper, url string, h *Hooks) *http.Response {
	t.Helper()
	method, body := c.method, io.Reader(nil)
	if method == "" {
		method = http.MethodGet
	}
	if c.body != nil {
		body = c.body(h)
	}
	req := With(NewRequest(t, method, url, body), c.Fields...)
	resp, err := rt.RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), h.Trace())))
	if err != nil {
		t.Fatalf("%T: %v", rt, err)
	}
	return resp
}
