package parity_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool/internal/testkit"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// stage is a place at which a request stops. The channel reached gets a value when the request has come there.
type stage struct {
	config  *http.Transport
	url     string
	reached chan struct{}
}

// newStage returns a stage with a server in memory that does what comes first, tells, and waits for the client to
// give up. Every address leads to it.
func newStage(s *testkit.Scene, url string, first func(*httptestutil.WireConn)) *stage {
	g := &stage{url: url, reached: make(chan struct{}, 4)}
	ln := httptestutil.NewListener(0)
	httptestutil.NewWireWith(s, httptestutil.WireOptions{Listener: ln, Bound: time.Hour}, func(c *httptestutil.WireConn) {
		first(c)
		g.reached <- struct{}{}
		c.WaitClosed()
	})
	g.config = &http.Transport{DialContext: ln.Dial}
	return g
}

const anywhere, anywhereSecure = "http://example.test", "https://example.test"

// stages are the places where a request can come to a halt.
var stages = map[string]func(s *testkit.Scene) *stage{
	"dial": func(s *testkit.Scene) *stage {
		release := make(chan struct{})
		s.Cleanup(func() { close(release) })
		g := &stage{url: anywhere, reached: make(chan struct{}, 4)}
		g.config = &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			g.reached <- struct{}{}
			<-release
			return nil, errors.New("released")
		}}
		return g
	},
	"proxy": func(s *testkit.Scene) *stage {
		g := newStage(s, anywhereSecure, func(c *httptestutil.WireConn) { c.ReadHead() })
		g.config.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: "proxy.test"})
		return g
	},
	"handshake": func(s *testkit.Scene) *stage {
		return newStage(s, anywhereSecure, func(c *httptestutil.WireConn) { _, _ = c.Conn().Read(make([]byte, 1)) })
	},
	"head": func(s *testkit.Scene) *stage {
		return newStage(s, anywhere, func(c *httptestutil.WireConn) { c.ReadHead() })
	},
	"half a head": func(s *testkit.Scene) *stage {
		return newStage(s, anywhere, func(c *httptestutil.WireConn) {
			c.ReadHead()
			c.Write("HTTP/1.1 200 OK\r\nX-")
		})
	},
	"body": func(s *testkit.Scene) *stage {
		return newStage(s, anywhere, func(c *httptestutil.WireConn) {
			c.ReadHead()
			c.Write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
		})
	},
}

// interruptions end a request that has come to a halt. Each returns the request's context and what to call then.
var interruptions = map[string]func(ctx context.Context) (context.Context, func()){
	"cancel": func(ctx context.Context) (context.Context, func()) { return context.WithCancel(ctx) },
	"cause": func(ctx context.Context) (context.Context, func()) {
		ctx, cancel := context.WithCancelCause(ctx)
		return ctx, func() { cancel(errCause) }
	},
	"deadline": func(ctx context.Context) (context.Context, func()) {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		context.AfterFunc(ctx, cancel)
		return ctx, func() {}
	},
	"deadline with a cause": func(ctx context.Context) (context.Context, func()) {
		ctx, cancel := context.WithTimeoutCause(ctx, time.Second, errCause)
		context.AfterFunc(ctx, cancel)
		return ctx, func() {}
	},
}

var errCause = errors.New("enough of it")

func TestAContextEndsARequestAsWithNetHTTP(t *testing.T) {
	for where, at := range stages {
		for how, interrupt := range interruptions {
			t.Run(where+", "+how, func(t *testing.T) {
				sideBySideInBubble(t, func(s *testkit.Scene) {
					g := at(s)
					tr := s.Use(g.config)
					ctx, fire := interrupt(s.Context())
					go func() { <-g.reached; fire() }()
					resp, err := tr.RoundTrip(testkit.NewRequest(s, http.MethodGet, g.url, nil).WithContext(ctx))
					if err == nil {
						_, err = io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
					}
					if err == nil {
						s.Fatal("the request was not interrupted")
					}
					s.Fault("RoundTrip", err)
					s.Note("the very cause: %v", err == context.Cause(ctx)) //nolint:errorlint // identity is what is asked
				})
			})
		}
	}
}

// TestAClientsTimeoutReadsAsWithNetHTTP runs net/http on the wall clock. Its client compares the clock with the deadline,
// and in a bubble the clock never passes the deadline by itself.
func TestAClientsTimeoutReadsAsWithNetHTTP(t *testing.T) {
	for where, at := range stages {
		t.Run(where, func(t *testing.T) {
			testkit.Compare(t, func(s *testkit.Scene) {
				g := at(s)
				client := &http.Client{Transport: s.Use(g.config), Timeout: 300 * time.Millisecond}
				s.Response(client.Do(testkit.NewRequest(s, http.MethodGet, g.url, nil)))
			}, testkit.OnTheWall, synctest.Test)
		})
	}
}

func TestATransportsTimeoutReadsAsWithNetHTTP(t *testing.T) {
	for where, set := range map[string]func(*http.Transport){
		"head":        func(c *http.Transport) { c.ResponseHeaderTimeout = time.Second },
		"half a head": func(c *http.Transport) { c.ResponseHeaderTimeout = time.Second },
		"handshake":   func(c *http.Transport) { c.TLSHandshakeTimeout = time.Second },
	} {
		t.Run(where, func(t *testing.T) {
			sideBySideInBubble(t, func(s *testkit.Scene) {
				g := stages[where](s)
				set(g.config)
				s.Get(s.Use(g.config), g.url)
			})
		})
	}
}

func TestARequestWhoseContextIsOverReadsAsWithNetHTTP(t *testing.T) {
	for how, interrupt := range interruptions {
		t.Run(how, func(t *testing.T) {
			sideBySideInBubble(t, func(s *testkit.Scene) {
				g := stages["head"](s)
				tr := s.Use(g.config)
				ctx, fire := interrupt(s.Context())
				fire()
				<-ctx.Done()
				body := testkit.TrackBody(strings.NewReader("body"))
				_, err := tr.RoundTrip(testkit.NewRequest(s, http.MethodPost, g.url, body).WithContext(ctx))
				s.Fault("RoundTrip", err)
				s.Note("the very cause: %v", err == context.Cause(ctx)) //nolint:errorlint // identity is what is asked
				body.WantClosed(s)
				s.Note("the server was reached: %v", len(g.reached) > 0)
			})
		})
	}
}

// TestARequestInTheQueueIsCanceledAsWithNetHTTP cancels a request that waits because the only connection that is allowed is
// in use.
func TestARequestInTheQueueIsCanceledAsWithNetHTTP(t *testing.T) {
	for how, interrupt := range interruptions {
		t.Run(how, func(t *testing.T) {
			sideBySideInBubble(t, func(s *testkit.Scene) {
				g := stages["body"](s)
				g.config.MaxConnsPerHost = 1
				tr := s.Use(g.config)
				held, err := tr.RoundTrip(testkit.NewRequest(s, http.MethodGet, g.url, nil))
				if err != nil {
					s.Fatal(err)
				}
				defer held.Body.Close()
				ctx, fire := interrupt(s.Context())
				queued := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GetConn: func(string) { go fire() }})
				_, err = tr.RoundTrip(testkit.NewRequest(s, http.MethodGet, g.url, nil).WithContext(queued))
				s.Fault("RoundTrip", err)
				s.Note("the very cause: %v", err == context.Cause(ctx)) //nolint:errorlint // identity is what is asked
			})
		})
	}
}

// TestARequestOutOfTimeGivesItsClientTheTimeToNotice checks that RoundTrip waits for the client's timer, which may fire a
// little later than the context's.
func TestARequestOutOfTimeGivesItsClientTheTimeToNotice(t *testing.T) {
	for where, at := range stages {
		if where == "body" {
			continue // its response is there in time
		}
		t.Run(where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &testkit.Scene{T: t, Ours: true}
				g := at(s)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				req := testkit.NewRequest(t, http.MethodGet, g.url, nil).WithContext(ctx)
				late := make(chan struct{})
				//lint:ignore SA1019 http.Client sets it
				req.Cancel = late
				time.AfterFunc(time.Second+time.Millisecond, func() { close(late) })
				_, err := s.Use(g.config).RoundTrip(req)
				select {
				case <-late:
				default:
					t.Error("the request has not waited for its client")
				}
				if err != context.DeadlineExceeded { //nolint:errorlint // identity is what is asked
					t.Errorf("got %v, want the error of the context", err)
				}
			})
		})
	}
}
