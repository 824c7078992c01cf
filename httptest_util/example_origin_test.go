package httptestutil_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// The Origin shows what it has seen of a request.
func ExampleNewOrigin() {
	runExample(func(t testing.TB) {
		origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
		transport := &http.Transport{TLSClientConfig: origin.ClientTLS(), DialContext: origin.Dial}
		defer transport.CloseIdleConnections()
		resp, err := (&http.Client{Transport: transport}).Get("https://example.test/path")
		if err != nil {
			t.Fatalf("GET: %v", err)
		}
		seen := httptestutil.ReadSeen(t, resp)
		fmt.Println(seen.Method, seen.Host, seen.Target, seen.Proto, seen.SNI)
	})
	// Output: GET example.test /path HTTP/1.1 example.test
}

// The Origin closes each connection after two requests, and announces that.
func ExampleSeenBy() {
	runExample(func(t testing.TB) {
		origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				seen := httptestutil.SeenBy(r)
				if seen.Seq == 2 {
					w.Header().Set("Connection", "close")
				}
				fmt.Fprintf(w, "request %d on connection %d", seen.Seq, seen.Conn)
			}),
		})
		transport := &peerpool.Transport{}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport}
		for range 3 {
			fmt.Println(fetch(client, origin.URL()))
		}
	})
	// Output:
	// request 1 on connection 1
	// request 2 on connection 1
	// request 1 on connection 2
}

// The Origin closes connections that have been idle for a while, without
// announcing it.
func ExampleOriginOptions() {
	runExample(func(t testing.TB) {
		origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{
			Configure: func(s *http.Server) { s.IdleTimeout = time.Millisecond },
		})
		transport := &peerpool.Transport{}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport}
		for range 2 {
			fmt.Println(outcome(client, origin.URL()))
			origin.WaitOpenConns(0)
		}
		fmt.Println("connections:", origin.Conns())
	})
	// Output:
	// answered
	// answered
	// connections: 2
}

// The Origin closes the idle connection that the client keeps.
func ExampleOrigin_CloseIdle() {
	runExample(func(t testing.TB) {
		origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
		transport := &peerpool.Transport{}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport}
		fmt.Println(outcome(client, origin.URL()))
		origin.CloseIdle()
		fmt.Println(outcome(client, origin.URL()))
		fmt.Println("connections:", origin.Conns())
	})
	// Output:
	// answered
	// answered
	// connections: 2
}

// The Origin resets a connection while it answers a request.
func ExampleOrigin_ResetConns() {
	runExample(func(t testing.TB) {
		origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{
			Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }),
		})
		result := make(chan string)
		go func() { result <- outcome(&http.Client{Transport: &http.Transport{}}, origin.URL()) }()
		origin.WaitRequests(1)
		origin.ResetConns()
		fmt.Println(<-result)
	})
	// Output: failed
}

// The Origin is down for a while and then comes back on the same address.
func ExampleOrigin_Stop() {
	runExample(func(t testing.TB) {
		origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
		transport := &peerpool.Transport{}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport}
		fmt.Println(outcome(client, origin.URL()))
		origin.Stop()
		fmt.Println(outcome(client, origin.URL()))
		origin.Start()
		fmt.Println(outcome(client, origin.URL()))
	})
	// Output:
	// answered
	// failed
	// answered
}

// The Origin prefers HTTP/2, and TLS negotiates it.
func ExampleOriginOptions_http2() {
	runExample(func(t testing.TB) {
		var both http.Protocols
		both.SetHTTP1(true)
		both.SetHTTP2(true)
		origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t), Protocols: &both})
		transport := &http.Transport{TLSClientConfig: origin.ClientTLS(), Protocols: &both}
		defer transport.CloseIdleConnections()
		resp, err := (&http.Client{Transport: transport}).Get(origin.URL())
		if err != nil {
			t.Fatalf("GET: %v", err)
		}
		seen := httptestutil.ReadSeen(t, resp)
		fmt.Println(seen.Proto, seen.ALPN)
	})
	// Output: HTTP/2.0 h2
}
