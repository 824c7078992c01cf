package contrib_test

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/nettest"
)

// An incident is something that goes wrong, and everything that an operator sees of it, no less and no more. A play without
// signs shows a pool in good health.
type incident struct {
	name string // as in docs/observability.md

	// play prepares a stage, and returns what a caller does again and again. The stage says whether the incident is under way.
	play    func(s *stage) (call func(ctx context.Context))
	callers int           // 0: 3
	pause   time.Duration // between two calls of a caller; 0: 50 ms

	alerts []string // without "Peerpool"
	log    []string // message, hop, error_type and reason, at level info
	page   []string
	trace  []string // spans that have failed with their error.type, or that say why they waited, and events that name a cause

	chance []string // what the log, the page or the trace may say besides
}

// get returns a call that fetches a URL.
func (s *stage) get(url string) func(context.Context) {
	return func(ctx context.Context) { s.call(ctx, http.MethodGet, url) }
}

// incidents are those of the table in docs/observability.md.
var incidents = []incident{
	{
		name: "a server does not answer",
		play: func(s *stage) func(context.Context) {
			server := s.serve(httptestutil.WireOptions{}, func(c *httptestutil.WireConn, _ int) bool {
				_ = c.WaitClosed()
				return false
			})
			s.transport.ResponseHeaderTimeout = 200 * time.Millisecond
			return s.get(server.URL())
		},
		alerts: []string{"RequestsFail", "ConnectionsBreak"},
		log:    []string{"connection failed, timeout", "request failed, timeout"},
		page:   []string{"closes: timeout", "failed requests: timeout"},
		trace:  []string{"HTTP GET: timeout", "peerpool.failure: error, timeout, timeout", "peerpool.failure: error, timeout, timeout, reused"},
	},
	{
		name: "a server closes connections under POSTs",
		play: func(s *stage) func(context.Context) {
			server := s.serve(httptestutil.WireOptions{}, func(c *httptestutil.WireConn, n int) bool {
				return n < 3 && answer(c, n)
			})
			return func(ctx context.Context) { s.call(ctx, http.MethodPost, server.URL()) }
		},
		alerts: []string{"RequestsFail", "ConnectionsBreak", "StaleConnections"},
		log:    []string{"connection failed, error", "request failed, response_ended"},
		page:   []string{"closes: error", "failed requests: response_ended"},
		trace:  []string{"HTTP POST: *errors.errorString", "peerpool.failure: error, error, response_ended, reused"},
	},
	{
		name: "responses are truncated",
		play: func(s *stage) func(context.Context) {
			server := s.serve(httptestutil.WireOptions{}, func(c *httptestutil.WireConn, _ int) bool {
				c.Write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
				return false
			})
			return s.get(server.URL())
		},
		alerts: []string{"RequestsFail", "ConnectionsBreak"},
		log:    []string{"connection failed, error", "response truncated"},
		page:   []string{"closes: error", "failed requests: truncated"},
		trace:  []string{"HTTP GET: *errors.errorString", "peerpool.failure: truncated, error", "peerpool.failure: truncated, error, reused"},
	},
	{
		name: "new connections die",
		play: func(s *stage) func(context.Context) {
			server := s.serve(httptestutil.WireOptions{}, func(c *httptestutil.WireConn, n int) bool {
				return c.Number()%2 == 0 && n < 4 && answer(c, n)
			})
			return s.get(server.URL())
		},
		alerts: []string{"RequestsFail", "ConnectionsBreak", "RetriesFail", "StaleConnections"},
		log:    []string{"connection failed, error", "request failed, response_ended", "request sent again, stale"},
		page:   []string{"closes: error", "failed requests: response_ended", "retries: failed", "retries: saved", "retries: stale"},
		trace:  []string{"HTTP GET: *errors.errorString", "peerpool.failure: error, error, response_ended", "peerpool.retry: stale"},
	},
	{
		name: "a server refuses connections",
		play: func(s *stage) func(context.Context) {
			origin := httptestutil.NewOrigin(s.t, httptestutil.OriginOptions{})
			refused := "http://" + nettest.RefusingAddr(s.t)
			return func(ctx context.Context) {
				if s.broken.Load() {
					s.call(ctx, http.MethodGet, refused)
					return
				}
				s.call(ctx, http.MethodGet, origin.URL())
			}
		},
		alerts: []string{"RequestsFail", "DialsFail"},
		log:    []string{"dial failed, connect, connection_refused", "request failed, connection_error"},
		page:   []string{"failed requests: connection_error", "no connection: connect"},
		trace: []string{
			"HTTP GET: *net.OpError", "HTTP connection_setup: connection_error", "HTTP wait_for_connection: connection_error",
			"socket connect: connection_refused",
		},
	},
	{
		name: "DNS does not know a host",
		play: func(s *stage) func(context.Context) {
			server := s.serve(httptestutil.WireOptions{}, answer)
			s.resolver.Fail("gone.test", &net.DNSError{Err: "no such host", Name: "gone.test", IsNotFound: true})
			return func(ctx context.Context) {
				if s.broken.Load() {
					s.call(ctx, http.MethodGet, "http://gone.test")
					return
				}
				s.call(ctx, http.MethodGet, server.URL())
			}
		},
		alerts: []string{"RequestsFail", "LookupsFail"},
		log:    []string{"dial failed, resolve, host_not_found", "look-up failed, host_not_found", "request failed, name_resolution_error"},
		page:   []string{"failed look-ups", "failed requests: name_resolution_error", "no connection: resolve"},
		trace: []string{
			"DNS lookup: host_not_found", "HTTP GET: *net.OpError", "HTTP connection_setup: name_resolution_error",
			"HTTP wait_for_connection: name_resolution_error",
		},
	},
	{
		name: "the pool is exhausted",
		play: func(s *stage) func(context.Context) {
			s.transport.MaxConnsPerHost = 1
			server := s.serve(httptestutil.WireOptions{}, func(c *httptestutil.WireConn, n int) bool {
				time.Sleep(20 * time.Millisecond) // the server is as slow as its callers are fast
				return answer(c, n)
			})
			return s.get(server.URL())
		},
		callers: 6,
		pause:   time.Millisecond,
		alerts:  []string{"RequestsWait"},
		log:     []string{heldBack},
		page:    []string{pageHeldBack, "waiting"},
		trace:   []string{waitedAtMaxConns},
	},
	{
		name: "a server sends bytes that nobody asked for",
		play: func(s *stage) func(context.Context) {
			server := s.serve(httptestutil.WireOptions{}, func(c *httptestutil.WireConn, n int) bool {
				if n == 1 && c.Number()%2 == 0 { // the quarantine does not end with one that behaves
					return answer(c, n)
				}
				return c.Write(httptestutil.Response("ok"), httptestutil.Response("planted"))
			})
			return s.get(server.URL())
		},
		alerts: []string{"UnexpectedData"},
		log:    []string{"server in quarantine, connections serve one request each, behind_response", "server out of step, connection closed, unexpected_data"},
		page:   []string{"closes: quarantine", "closes: unexpected_data", "in quarantine: behind_response"},
		trace:  []string{"peerpool.unexpected_data: behind_response"},
	},
	{
		name: "one address of three is bad",
		play: func(s *stage) func(context.Context) {
			// Connects to it are answered, and requests are not. With other settings the test would last for minutes.
			s.transport.Outliers.EjectionTime, s.transport.Outliers.MaxEjectionTime = 500*time.Millisecond, 2*time.Second
			s.transport.Balance = peerpool.BalanceRoundRobin
			s.transport.ResponseHeaderTimeout = 200 * time.Millisecond
			port := threeServers(s, func(c *httptestutil.WireConn, _ int) bool {
				_ = c.WaitClosed()
				return false
			})
			s.resolver.Set(s.t, "three.test", "127.0.0.1", "127.0.0.2", "127.0.0.3")
			return s.get("http://three.test:" + port)
		},
		callers: 6, // so that the few requests that try the address are few among all
		pause:   20 * time.Millisecond,
		alerts:  []string{"AddressesLeftOut"},
		log: []string{
			"address left out, timeout", "address used again", "connection failed, timeout", "request failed, timeout",
		},
		page:  []string{"address ejected", "closes: timeout", "failed requests: timeout"},
		trace: []string{"HTTP GET: timeout", "peerpool.failure: error, timeout, timeout", "peerpool.failure: error, timeout, timeout, reused"},
	},
	{
		name: "a certificate has expired",
		play: func(s *stage) func(context.Context) {
			ca := httptestutil.NewCA(s.t)
			s.transport.TLSClientConfig = &tls.Config{RootCAs: ca.Pool()}
			expired := ca.Issue(httptestutil.CertOptions{NotAfter: time.Now().Add(-time.Hour)})
			valid := s.serve(httptestutil.WireOptions{CA: ca}, answer)
			old := httptestutil.NewOrigin(s.t, httptestutil.OriginOptions{
				TLS: &tls.Config{Certificates: []tls.Certificate{expired}}, CA: ca,
				Configure: quiet,
			})
			return func(ctx context.Context) {
				if s.broken.Load() {
					s.call(ctx, http.MethodGet, old.URL())
					return
				}
				s.call(ctx, http.MethodGet, valid.URL())
			}
		},
		alerts: []string{"RequestsFail", "DialsFail"},
		log:    []string{"dial failed, tls, secure_connection_error", "request failed, secure_connection_error"},
		page:   []string{"failed requests: secure_connection_error", "no connection: tls"},
		trace: []string{
			"HTTP GET: *tls.CertificateVerificationError", "HTTP connection_setup: secure_connection_error",
			"HTTP wait_for_connection: secure_connection_error", "TLS client handshake: secure_connection_error",
		},
	},
}

// others are incidents beyond those of the table, and situations that may look like incidents but are none.
var others = []incident{
	{
		name: "a server closes idle connections early",
		play: func(s *stage) func(context.Context) {
			server := s.serve(httptestutil.WireOptions{}, func(c *httptestutil.WireConn, n int) bool {
				return n < 8 && answer(c, n)
			})
			return s.get(server.URL())
		},
		alerts: []string{"StaleConnections", "ConnectionsBreak"},
		log:    []string{"connection failed, error", "request sent again, stale"},
		page:   []string{"closes: error", "retries: saved", "retries: stale"},
		trace:  []string{"peerpool.retry: stale"},
	},
	{
		name: "a server closes after each response",
		play: func(s *stage) func(context.Context) {
			server := s.serve(httptestutil.WireOptions{}, func(c *httptestutil.WireConn, _ int) bool {
				c.Write(httptestutil.ResponseWith(200, "ok", "Connection: close"))
				return false
			})
			return s.get(server.URL())
		},
		alerts: []string{"LittleReuse"},
		page:   []string{"closes: connection_close"},
	},
	{
		name: "good health",
		play: func(s *stage) func(context.Context) {
			return s.get(s.serve(httptestutil.WireOptions{}, answer).URL())
		},
	},
	{
		name: "connections are not kept on purpose",
		play: func(s *stage) func(context.Context) {
			s.transport.DisableKeepAlives = true
			return s.get(s.serve(httptestutil.WireOptions{}, answer).URL())
		},
		page: []string{"closes: connection_close"},
	},
	{
		name: "twelve callers share two connections",
		play: func(s *stage) func(context.Context) {
			s.transport.MaxConnsPerHost = 2
			return s.get(s.serve(httptestutil.WireOptions{}, answer).URL())
		},
		callers: 12,
		pause:   400 * time.Millisecond, // or they would wait most of the time
		chance:  []string{heldBack, pageHeldBack, waitedAtMaxConns},
	},
	{
		name: "a response is not closed and has the only connection",
		play: func(s *stage) func(context.Context) {
			s.transport.MaxConnsPerHost = 1
			server := s.serve(httptestutil.WireOptions{}, answer)
			holds, patient := make(chan struct{}, 1), make(chan struct{}, 3) // the calls that have the connection, and that wait for ever
			return func(ctx context.Context) {
				if !s.broken.Load() {
					s.call(ctx, http.MethodGet, server.URL())
					return
				}
				select {
				case holds <- struct{}{}:
					s.holdConnection(ctx, server.URL())
					<-holds
					return
				default:
				}
				select {
				case patient <- struct{}{}:
					s.call(ctx, http.MethodGet, server.URL())
					<-patient
				default:
					ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
					defer cancel()
					s.call(ctx, http.MethodGet, server.URL())
				}
			}
		},
		callers: 7,
		alerts:  []string{"RequestsFail", "RequestsWait"},
		log: []string{
			heldBack, "request ended while it waited for a connection, MaxConnsPerHost is reached, timeout", "request failed, timeout",
		},
		page: []string{"failed requests: timeout", "no connection: timed out", pageHeldBack, "waiting"},
		trace: []string{
			waitedAtMaxConns, "HTTP wait_for_connection: timeout", "HTTP GET: context.deadlineExceededError",
		},
	},
	{
		name: "callers give up early",
		play: func(s *stage) func(context.Context) {
			server := s.serve(httptestutil.WireOptions{}, answer)
			under := make(chan struct{})
			silent := s.serve(httptestutil.WireOptions{}, func(c *httptestutil.WireConn, _ int) bool {
				under <- struct{}{}
				_ = c.WaitClosed()
				return false
			})
			return func(ctx context.Context) {
				s.call(ctx, http.MethodGet, server.URL())
				if s.broken.Load() {
					ctx, cancel := context.WithCancel(ctx)
					defer cancel()
					go func() { // ends with a request that has arrived, or with the call
						select {
						case <-under:
							cancel()
						case <-ctx.Done():
						}
					}()
					s.call(ctx, http.MethodGet, silent.URL())
				}
			}
		},
		callers: 1, // so that a request that has arrived is that of the call
		alerts:  []string{"RequestsCanceled"},
		page:    []string{"closes: canceled"},
		trace:   []string{"HTTP GET: *errors.errorString"},
	},
}

// These are what the log, the page and a span say of a request that has to wait because of MaxConnsPerHost.
const (
	pageHeldBack     = "latest misses: MaxConnsPerHost is reached"
	heldBack         = "requests wait for a connection, MaxConnsPerHost is reached"
	waitedAtMaxConns = "HTTP wait_for_connection: max_conns"
)

// holdConnection gets a response, and does not read its body before the incident is over.
func (s *stage) holdConnection(ctx context.Context, url string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		s.t.Error(err)
		return
	}
	resp, err := s.send.RoundTrip(req)
	if err != nil {
		return // the test is over
	}
	defer resp.Body.Close()
	until(time.Hour, func() bool { return !s.broken.Load() || ctx.Err() != nil })
}

// threeServers starts servers on one port of three addresses, of which the first has a part in the incident, and returns the
// port.
func threeServers(s *stage, incident script) (port string) {
	for range 100 {
		first, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			s.t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(first.Addr().String())
		second, err2 := net.Listen("tcp4", "127.0.0.2:"+port)
		third, err3 := net.Listen("tcp4", "127.0.0.3:"+port)
		if err2 == nil && err3 == nil {
			s.serve(httptestutil.WireOptions{Listener: first}, incident)
			s.serve(httptestutil.WireOptions{Listener: second}, answer)
			s.serve(httptestutil.WireOptions{Listener: third}, answer)
			return port
		}
		for _, ln := range []net.Listener{first, second, third} { // somebody else has the port
			if ln != nil {
				ln.Close()
			}
		}
	}
	s.t.Fatal("no port is free on three addresses")
	return ""
}

// quiet keeps an origin from logging handshakes that fail.
func quiet(s *http.Server) { s.ErrorLog = log.New(io.Discard, "", 0) }

// slug returns the name as the value of a label.
func (i *incident) slug() string { return strings.ReplaceAll(i.name, " ", "-") }
