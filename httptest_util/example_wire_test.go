package httptestutil_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// The server closes each connection before it has read anything.
func ExampleCloseAtOnce() {
	runExample(func(t testing.TB) {
		wire := httptestutil.NewWire(t, httptestutil.CloseAtOnce)
		fmt.Println(outcome(&http.Client{Transport: &http.Transport{}}, wire.URL()))
		fmt.Println("connections:", wire.Conns())
	})
	// Output:
	// failed
	// connections: 1
}

// The first connection fails, and all others work.
func ExamplePerConn() {
	runExample(func(t testing.TB) {
		wire := httptestutil.NewWire(t, httptestutil.PerConn(
			httptestutil.CloseAtOnce,
			httptestutil.Replies(httptestutil.Response("hello"))))
		transport := &http.Transport{}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport}
		fmt.Println(outcome(client, wire.URL()))
		fmt.Println(outcome(client, wire.URL()))
	})
	// Output:
	// failed
	// answered
}

// The server repeats its last answer for all further requests.
func ExampleReplies() {
	runExample(func(t testing.TB) {
		wire := httptestutil.NewWire(t, httptestutil.Replies(
			httptestutil.Response("one"), httptestutil.Response("two")))
		transport := &peerpool.Transport{}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport}
		for range 3 {
			fmt.Println(fetch(client, wire.URL()))
		}
		fmt.Println("connections:", wire.Conns())
	})
	// Output:
	// one
	// two
	// two
	// connections: 1
}

// The server closes the connection without having announced it.
func ExampleReplyThenClose() {
	runExample(func(t testing.TB) {
		wire := httptestutil.NewWire(t, httptestutil.ReplyThenClose(httptestutil.Response("hello")))
		transport := &peerpool.Transport{}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport}
		for range 2 {
			fmt.Println(fetch(client, wire.URL()))
			wire.WaitOpenConns(0)
		}
		fmt.Println("connections:", wire.Conns())
	})
	// Output:
	// hello
	// hello
	// connections: 2
}

// The server cuts off its answer and the TLS connection. It sends no
// close_notify, so the client cannot take this for the end of the answer.
func ExampleReplyThenCut() {
	runExample(func(t testing.TB) {
		wire := httptestutil.NewWireWith(t, httptestutil.WireOptions{CA: httptestutil.NewCA(t)},
			httptestutil.ReplyThenCut("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"))
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: wire.ClientTLS()}}
		fmt.Println(fetch(client, wire.URL()))
	})
	// Output: "half", then unexpected EOF
}

// A reset cuts the answer short.
func ExampleReplyThenReset() {
	runExample(func(t testing.TB) {
		wire := httptestutil.NewWire(t, httptestutil.ReplyThenReset(
			"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"))
		fmt.Println(outcome(&http.Client{Transport: &http.Transport{}}, wire.URL()))
	})
	// Output: failed
}

// The server closes its direction of the connection. The client must then
// close the other one.
func ExampleReplyThenHalfClose() {
	runExample(func(t testing.TB) {
		wire := httptestutil.NewWire(t, httptestutil.ReplyThenHalfClose(httptestutil.Response("hello")))
		transport := &peerpool.Transport{}
		defer transport.CloseIdleConnections()
		fmt.Println(fetch(&http.Client{Transport: transport}, wire.URL()))
		fmt.Println("closed by the client, error:", wire.WaitClientClosed(1))
	})
	// Output:
	// hello
	// closed by the client, error: <nil>
}

// The server reads the request and sends nothing.
func ExampleReplyThenStall() {
	runExample(func(t testing.TB) {
		wire := httptestutil.NewWire(t, httptestutil.ReplyThenStall(""))
		transport := &http.Transport{ResponseHeaderTimeout: time.Millisecond}
		fmt.Println(fetch(&http.Client{Transport: transport}, wire.URL()))
		fmt.Println("closed by the client, error:", wire.WaitClientClosed(1))
	})
	// Output:
	// no answer: net/http: timeout awaiting response headers
	// closed by the client, error: <nil>
}
