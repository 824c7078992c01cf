package httptestutil_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// A server that closes each connection before it has read anything.
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

// The first connection fails, all others work.
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

// The last answer is given again and again.
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

// A server that closes without having announced it.
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

// With TLS, an answer that is cut off together with its connection: no
// close_notify says that the end was meant.
func ExampleReplyThenCut() {
	runExample(func(t testing.TB) {
		wire := httptestutil.NewWireWith(t, httptestutil.WireOptions{CA: httptestutil.NewCA(t)},
			httptestutil.ReplyThenCut("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"))
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: wire.ClientTLS()}}
		fmt.Println(fetch(client, wire.URL()))
	})
	// Output: "half", then unexpected EOF
}

// An answer that a reset cuts short.
func ExampleReplyThenReset() {
	runExample(func(t testing.TB) {
		wire := httptestutil.NewWire(t, httptestutil.ReplyThenReset(
			"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"))
		fmt.Println(outcome(&http.Client{Transport: &http.Transport{}}, wire.URL()))
	})
	// Output: failed
}

// A client has to close its own direction once the server has closed the other.
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

// A server that reads the request and says nothing.
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
