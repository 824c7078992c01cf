// Package httptestutil provides servers that misbehave on purpose, and
// assertions on connection reuse, for testing HTTP clients.
//
// A client's connection pool is judged by what happens on the wire: which
// request travels on which connection, when a connection is closed, what is
// done with an answer that is cut short, doubled or late. The package offers
// both sides of that judgment, for any [net/http.RoundTripper].
//
// Servers, all on loopback, all ended by the test that started them:
//
//   - [Origin] is an honest server that tells each request, in its answer, the
//     number of its connection and its place on it, with what the TLS handshake
//     said about the client. It can close its connections, or all of itself,
//     and come back on the same address.
//   - [Wire] is a raw server: a [Script] decides byte by byte what each
//     connection gets, and when it is closed, reset or left hanging. It also
//     watches when the client closes.
//   - A [FrameConn] is the same for HTTP/2, frame by frame, on a connection of
//     a Wire or on any other.
//   - A [Proxy], for HTTP or SOCKS5, carries connections, records what it was
//     asked and by whom, and answers wrongly when told to with a [Fault].
//   - [CA] issues certificates: good, expired, for another name, with a serial
//     number already used elsewhere.
//
// Without sockets:
//
//   - [Pipe] and [Listener] are buffered connections in memory, for tests inside
//     a testing/synctest bubble.
//   - [Resolver] answers look-ups from a script.
//
// Assertions:
//
//   - [Recorder] wraps a RoundTripper and says which connections its requests
//     used.
//   - [CheckLeaks] fails a test that leaves goroutines or sockets behind.
//
// A test that wants its client to use a connection twice:
//
//	func TestTheConnectionIsReused(t *testing.T) {
//		httptestutil.CheckLeaks(t)
//		origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
//		transport := &http.Transport{} // or whichever is under test
//		t.Cleanup(transport.CloseIdleConnections)
//		rec := httptestutil.NewRecorder(transport)
//		client := &http.Client{Transport: rec}
//		for range 2 {
//			resp, err := client.Get(origin.URL())
//			if err != nil {
//				t.Fatal(err)
//			}
//			httptestutil.ReadSeen(t, resp)
//		}
//		rec.WantReused(t, 1)
//	}
//
// A client may keep a connection only a moment after the end of the answer has
// been read. A test of such a client waits for PutIdleConn, of
// [net/http/httptrace.ClientTrace], between the two requests.
//
// # Time
//
// No server waits for ever: what a script may wait for is bounded by [Bound],
// and everything is closed when the test ends. Nothing sleeps; methods that
// wait for an event, WaitOpenConns for one, return as soon as it happens.
package httptestutil

import "time"

// Bound is how long a server or a waiting method of this package waits for
// something that a correct client does at once, before it gives up. A failing
// test takes this long, a passing one never does.
const Bound = 10 * time.Second
