package httptestutil_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// A Pipe is a connection in memory. Either end can close only its own
// direction.
func ExamplePipe() {
	client, server := httptestutil.Pipe(0)
	defer client.Close()
	defer server.Close()
	fmt.Fprint(client, "question")
	_ = client.CloseWrite() // it is open
	all, err := io.ReadAll(server)
	fmt.Printf("%q, %v\n", all, err)
	fmt.Fprint(server, "answer")
	answer := make([]byte, len("answer"))
	_, err = io.ReadFull(client, answer)
	fmt.Printf("%q, %v\n", answer, err)
	// Output:
	// "question", <nil>
	// "answer", <nil>
}

// The reader gets what was written before the reset, and then the error.
func ExamplePipeConn_Reset() {
	client, server := httptestutil.Pipe(0)
	defer client.Close()
	fmt.Fprint(server, "half")
	_ = server.Reset() // it is open
	all, err := io.ReadAll(client)
	fmt.Printf("%q, %v\n", all, errors.Is(err, syscall.ECONNRESET))
	// Output: "half", true
}

// A deadline ends a read as it does on a socket. In a testing/synctest bubble
// a deadline in the future costs no time.
func ExamplePipeConn_SetReadDeadline() {
	client, server := httptestutil.Pipe(0)
	defer client.Close()
	defer server.Close()
	_ = client.SetReadDeadline(time.Unix(1, 0)) // it is open
	_, err := client.Read(make([]byte, 1))
	fmt.Println(errors.Is(err, os.ErrDeadlineExceeded))
	// Output: true
}

// An origin works without sockets. The same lines work in a testing/synctest
// bubble, where an hour of idling passes at once.
func ExampleNewListener() {
	runExample(func(t testing.TB) {
		listener := httptestutil.NewListener(0)
		origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Listener: listener})
		transport := &http.Transport{DialContext: listener.Dial}
		defer transport.CloseIdleConnections()
		fmt.Println(outcome(&http.Client{Transport: transport}, origin.URL()))
		fmt.Println("dials:", listener.Dials())
	})
	// Output:
	// answered
	// dials: 1
}

// The address of a name changes.
func ExampleResolver_Set() {
	runExample(func(t testing.TB) {
		var resolver httptestutil.Resolver
		for _, address := range []string{"192.0.2.1", "192.0.2.2"} {
			resolver.Set(t, "example.test", address)
			fmt.Println(resolver.LookupNetIP(context.Background(), "ip", "example.test"))
		}
		fmt.Println("look-ups:", resolver.Lookups("example.test"))
	})
	// Output:
	// [192.0.2.1] <nil>
	// [192.0.2.2] <nil>
	// look-ups: 2
}

// The Resolver does not find a name.
func ExampleResolver_Fail() {
	var resolver httptestutil.Resolver
	resolver.Fail("example.test", errors.New("the name server is down"))
	_, err := resolver.LookupNetIP(context.Background(), "ip", "example.test")
	fmt.Println(err)
	// Output: the name server is down
}

// A look-up takes longer than its context allows.
func ExampleResolver_Hold() {
	var resolver httptestutil.Resolver
	defer resolver.Hold("example.test")()
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_, err := resolver.LookupNetIP(ctx, "ip", "example.test")
	fmt.Println(err != nil, ctx.Err())
	// Output: true context deadline exceeded
}
