package httptestutil_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// Three requests use one connection.
func ExampleRecorder_WantConns() {
	runExample(func(t testing.TB) {
		origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
		transport := &peerpool.Transport{}
		defer transport.CloseIdleConnections()
		recorder := httptestutil.NewRecorder(transport)
		client := &http.Client{Transport: recorder}
		for range 3 {
			fmt.Println(outcome(client, origin.URL()))
		}
		recorder.WantConns(t, 1)
	})
	// Output:
	// answered
	// answered
	// answered
}

// The second request uses the connection of the first.
func ExampleRecorder_WantReused() {
	runExample(func(t testing.TB) {
		origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
		transport := &peerpool.Transport{}
		defer transport.CloseIdleConnections()
		recorder := httptestutil.NewRecorder(transport)
		client := &http.Client{Transport: recorder}
		fmt.Println(outcome(client, origin.URL()))
		fmt.Println(outcome(client, origin.URL()))
		recorder.WantReused(t, 1)
	})
	// Output:
	// answered
	// answered
}

// A client that keeps no connections opens one for each request.
func ExampleRecorder_WantFresh() {
	runExample(func(t testing.TB) {
		origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
		recorder := httptestutil.NewRecorder(&http.Transport{DisableKeepAlives: true})
		client := &http.Client{Transport: recorder}
		for range 2 {
			fmt.Println(outcome(client, origin.URL()))
			recorder.WantFresh(t)
		}
	})
	// Output:
	// answered
	// answered
}

// Exchanges returns what the Recorder knows of each request.
func ExampleRecorder_Exchanges() {
	runExample(func(t testing.TB) {
		origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
		transport := &peerpool.Transport{}
		defer transport.CloseIdleConnections()
		recorder := httptestutil.NewRecorder(transport)
		client := &http.Client{Transport: recorder}
		fmt.Println(outcome(client, origin.URL()))
		fmt.Println(outcome(client, origin.URL()))
		for _, e := range recorder.Exchanges() {
			fmt.Println(e.Method, e.Status, "connection", e.Conn, "request", e.Seq, "reused", e.Reused)
		}
	})
	// Output:
	// answered
	// answered
	// GET 200 connection 1 request 1 reused false
	// GET 200 connection 1 request 2 reused true
}

// After CloseIdleConnections, no connection of the client is left.
func ExampleOrigin_WaitOpenConns() {
	runExample(func(t testing.TB) {
		origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
		transport := &peerpool.Transport{}
		fmt.Println(outcome(&http.Client{Transport: transport}, origin.URL()))
		fmt.Println("open:", origin.OpenConns())
		transport.CloseIdleConnections()
		origin.WaitOpenConns(0)
		fmt.Println("open:", origin.OpenConns())
	})
	// Output:
	// answered
	// open: 1
	// open: 0
}

// Call CheckLeaks first. It looks for leaks when the test ends. A response
// body that was left open would fail the test, because its connection stays
// open.
func ExampleCheckLeaks() {
	runExample(func(t testing.TB) {
		httptestutil.CheckLeaks(t)
		origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
		transport := &peerpool.Transport{}
		t.Cleanup(transport.CloseIdleConnections)
		resp, err := (&http.Client{Transport: transport}).Get(origin.URL())
		if err != nil {
			t.Fatalf("GET: %v", err)
		}
		resp.Body.Close()
		fmt.Println(resp.Status)
	})
	// Output: 200 OK
}
