package httptestutil_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// In your own test, t is the *testing.T of the test.
func Example() {
	runExample(func(t testing.TB) {
		origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
		transport := &http.Transport{} // the client under test
		defer transport.CloseIdleConnections()
		rec := httptestutil.NewRecorder(transport)
		client := &http.Client{Transport: rec}

		for range 2 {
			resp, err := client.Get(origin.URL())
			if err != nil {
				t.Fatalf("GET: %v", err)
			}
			seen := httptestutil.ReadSeen(t, resp)
			fmt.Printf("request %d on connection %d\n", seen.Seq, seen.Conn)
			transport.CloseIdleConnections()
			origin.WaitOpenConns(0)
		}
		rec.WantFresh(t)
		rec.WantConns(t, 2)
	})
	// Output:
	// request 1 on connection 1
	// request 1 on connection 2
}

// The server announces ten bytes and closes the connection after four.
func ExampleNewWire() {
	runExample(func(t testing.TB) {
		wire := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
			req := c.ReadRequest()
			if req == nil {
				return // the client has changed its mind
			}
			c.Write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", "half")
			c.Close()
		})
		transport := &http.Transport{}
		defer transport.CloseIdleConnections()
		resp, err := (&http.Client{Transport: transport}).Get(wire.URL())
		if err != nil {
			t.Fatalf("GET: %v", err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		fmt.Printf("%q, %v\n", body, err)
	})
	// Output: "half", unexpected EOF
}

// The proxy refuses requests until its fault is removed.
func ExampleProxy_SetFault() {
	runExample(func(t testing.TB) {
		origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
		proxy := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
		transport := &http.Transport{Proxy: http.ProxyURL(proxy.URL())}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport}

		proxy.SetFault(httptestutil.FaultRefuse(http.StatusServiceUnavailable))
		for range 2 {
			resp, err := client.Get(origin.URL())
			if err != nil {
				t.Fatalf("GET: %v", err)
			}
			resp.Body.Close()
			fmt.Println(resp.Status)
			proxy.Heal()
		}
		fmt.Println("asked", len(proxy.Asked()), "granted", proxy.Granted())
	})
	// Output:
	// 503 Service Unavailable
	// 200 OK
	// asked 2 granted 1
}

// runExample lends an example a testing.TB; a failure shows in its output.
func runExample(f func(testing.TB)) {
	tb := &recordingTB{}
	for _, text := range tb.finish(f) {
		fmt.Println(text)
	}
}
