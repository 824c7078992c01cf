package httptestutil_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// The server sends bytes on an idle connection. A client must not take them
// for the answer to its next request. The client in this example reads from
// idle connections. A client that does not read would not close the
// connection, so do not wait for that.
func ExampleReplyThenExtra() {
	runExample(func(t testing.TB) {
		speak := make(chan struct{})
		wire := httptestutil.NewWire(t, httptestutil.ReplyThenExtra(
			httptestutil.Response("hello"), speak, httptestutil.Response("not asked for")))
		transport := &http.Transport{}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport}

		fmt.Println(fetch(client, wire.URL()))
		speak <- struct{}{}
		_ = wire.WaitClientClosed(1) // in order or not: bytes are left unread
		fmt.Println(fetch(client, wire.URL()))
		fmt.Println("connections:", wire.Conns())
	})
	// Output:
	// hello
	// hello
	// connections: 2
}

// The server sends a 408 on an idle connection and closes it, as some servers
// do.
func ExampleResponseWith() {
	runExample(func(t testing.TB) {
		expire := make(chan struct{})
		wire := httptestutil.NewWire(t, httptestutil.ReplyThenExtra(httptestutil.Response("hello"), expire,
			httptestutil.ResponseWith(http.StatusRequestTimeout, "", "Connection: close")))
		transport := &http.Transport{}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport}

		fmt.Println(fetch(client, wire.URL()))
		expire <- struct{}{}
		_ = wire.WaitClientClosed(1) // in order or not: bytes are left unread
		fmt.Println(fetch(client, wire.URL()))
	})
	// Output:
	// hello
	// hello
}

// The server sends an answer and another one behind it, in one write.
func ExampleReplyWithExtra() {
	runExample(func(t testing.TB) {
		wire := httptestutil.NewWire(t, httptestutil.ReplyWithExtra(
			httptestutil.Response("hello"), httptestutil.Response("not asked for")))
		transport := &peerpool.Transport{}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport}
		fmt.Println(fetch(client, wire.URL()))
		fmt.Println(fetch(client, wire.URL()))
		fmt.Println("connections:", wire.Conns())
	})
	// Output:
	// hello
	// hello
	// connections: 2
}

// The server sends its answer byte by byte.
func ExampleDripReply() {
	runExample(func(t testing.TB) {
		wire := httptestutil.NewWire(t, httptestutil.DripReply(httptestutil.Response("slowly"), nil))
		transport := &http.Transport{}
		defer transport.CloseIdleConnections()
		fmt.Println(fetch(&http.Client{Transport: transport}, wire.URL()))
	})
	// Output: slowly
}

// The server speaks another protocol, in which it writes first.
func ExampleWriteFirst() {
	runExample(func(t testing.TB) {
		wire := httptestutil.NewWire(t, httptestutil.WriteFirst(
			"220 mail.example.test ready\r\n", httptestutil.ReplyThenStall("")))
		fmt.Println(outcome(&http.Client{Transport: &peerpool.Transport{}}, wire.URL()))
		wire.WaitOpenConns(0)
	})
	// Output: failed
}

// The server holds its answer back until the test has checked what is going
// on.
func ExampleWireConn_Await() {
	runExample(func(t testing.TB) {
		proceed := make(chan struct{})
		wire := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
			if c.ReadRequest() != nil && c.Await(proceed) {
				c.Write(httptestutil.Response("at last"))
			}
		})
		body := make(chan string)
		go func() { body <- fetch(&http.Client{Transport: &http.Transport{}}, wire.URL()) }()
		wire.WaitRequests(1)
		fmt.Println("open while it waits:", wire.OpenConns())
		close(proceed)
		fmt.Println(<-body)
	})
	// Output:
	// open while it waits: 1
	// at last
}

// The server reads only the head of an upload and refuses it.
func ExampleWireConn_ReadHead() {
	runExample(func(t testing.TB) {
		wire := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
			if req := c.ReadHead(); req != nil {
				fmt.Println(req.Method, "of", req.ContentLength, "bytes")
				c.Write(httptestutil.ResponseWith(http.StatusExpectationFailed, ""))
				c.WaitClosed()
			}
		})
		transport := &http.Transport{ExpectContinueTimeout: httptestutil.Bound}
		req, err := http.NewRequest(http.MethodPut, wire.URL(), strings.NewReader("contents"))
		if err != nil {
			t.Fatalf("PUT: %v", err)
		}
		req.Header.Set("Expect", "100-continue")
		resp, err := (&http.Client{Transport: transport}).Do(req)
		if err != nil {
			t.Fatalf("PUT: %v", err)
		}
		resp.Body.Close()
		fmt.Println(resp.Status)
		transport.CloseIdleConnections()
		wire.WaitOpenConns(0)
	})
	// Output:
	// PUT of 8 bytes
	// 417 Expectation Failed
}
