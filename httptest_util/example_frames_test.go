package httptestutil_test

import (
	"fmt"
	"net/http"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"golang.org/x/net/http2"
)

// overHTTP2 returns a client that speaks HTTP/2 without TLS from the first
// byte on.
func overHTTP2(t testing.TB) *http.Client {
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &p}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// A server of HTTP/2 that answers every request.
func ExampleFrameConn_Serve() {
	runExample(func(t testing.TB) {
		wire := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
			c.Frames().Serve(func(f *httptestutil.FrameConn, req *httptestutil.FrameRequest) {
				f.Respond(req.Stream, http.StatusOK, fmt.Sprintf("%s on stream %d", req.Path, req.Stream))
			})
		})
		client := overHTTP2(t)
		fmt.Println(fetch(client, wire.URL()+"/a"))
		fmt.Println(fetch(client, wire.URL()+"/b"))
		fmt.Println("connections:", wire.Conns())
	})
	// Output:
	// /a on stream 1
	// /b on stream 3
	// connections: 1
}

// A server that announces, in the middle of an answer, that it takes no
// further requests.
func ExampleFrameConn_GoAway() {
	runExample(func(t testing.TB) {
		wire := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
			c.Frames().Serve(func(f *httptestutil.FrameConn, req *httptestutil.FrameRequest) {
				f.Head(req.Stream, http.StatusOK, false)
				f.GoAway(req.Stream, http2.ErrCodeNo)
				f.Data(req.Stream, "hello", true)
			})
		})
		client := overHTTP2(t)
		fmt.Println(fetch(client, wire.URL()))
		fmt.Println(fetch(client, wire.URL()))
		fmt.Println("connections:", wire.Conns())
	})
	// Output:
	// hello
	// hello
	// connections: 2
}

// A server that breaks an answer off.
func ExampleFrameConn_Reset() {
	runExample(func(t testing.TB) {
		wire := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
			c.Frames().Serve(func(f *httptestutil.FrameConn, req *httptestutil.FrameRequest) {
				f.Head(req.Stream, http.StatusOK, false)
				f.Data(req.Stream, "half", false)
				f.Reset(req.Stream, http2.ErrCodeInternal)
			})
		})
		fmt.Println(outcome(overHTTP2(t), wire.URL()))
	})
	// Output: failed
}

// A client that has seen enough of an answer resets the stream.
func ExampleFrameConn_AwaitReset() {
	runExample(func(t testing.TB) {
		codes := make(chan http2.ErrCode, 1)
		wire := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
			f := c.Frames()
			f.Settings()
			if req := f.ReadRequest(); req != nil {
				f.Head(req.Stream, http.StatusOK, false)
				code, _ := f.AwaitReset(req.Stream)
				codes <- code
			}
		})
		resp, err := overHTTP2(t).Get(wire.URL())
		if err != nil {
			t.Fatalf("GET: %v", err)
		}
		resp.Body.Close()
		fmt.Println(<-codes)
	})
	// Output: CANCEL
}
