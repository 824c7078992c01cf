// Package httptestutil provides servers that misbehave on purpose, and
// assertions on connection reuse, for testing HTTP clients.
//
// Whether a connection pool works shows on the wire: which request travels on
// which connection, when a connection is closed, and what the client does with
// an answer that is cut short, doubled or late. The package provides servers
// that cause such events and assertions that check the result. It works with
// any [net/http.RoundTripper].
//
// These servers listen on loopback, and each is closed at the end of the test
// that started it:
//
//   - [Origin] is a well-behaved server. Its answer to each request holds the
//     number of the connection, the number of the request on it, and what the
//     TLS handshake said about the client. It can close its connections, or
//     stop and start again on the same address.
//   - [Wire] is a raw server: a [Script] decides byte by byte what each
//     connection gets, and when it is closed, reset or left hanging. It also
//     notices when the client closes a connection.
//   - A [Proxy], for HTTP or SOCKS5, carries connections, records each request
//     with its user name, and gives wrong answers if a [Fault] is set.
//   - [CA] issues certificates: valid ones, expired ones, and ones for another
//     name or with a serial number that is already used elsewhere.
//
// These need no sockets:
//
//   - [Pipe] and [Listener] are buffered connections in memory, for tests inside
//     a testing/synctest bubble.
//   - [Resolver] answers look-ups from a script.
//
// Assertions:
//
//   - [Recorder] wraps a RoundTripper and records which connections its
//     requests used.
//   - [CheckLeaks] fails a test that leaves goroutines or sockets behind.
//
// This test checks that its client uses a connection twice:
//
//	func TestTheConnectionIsReused(t *testing.T) {
//		httptestutil.CheckLeaks(t)
//		origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
//		transport := &http.Transport{} // or the client under test
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
// Some clients put a connection back into the pool only a moment after the
// caller has read the end of the answer. A test of such a client waits for
// PutIdleConn, of [net/http/httptrace.ClientTrace], between the two requests.
//
// # Time
//
// No server waits for ever: [Bound] limits how long a script can wait, and all
// servers are closed when the test ends. Nothing sleeps. Methods that wait for
// an event, for example WaitOpenConns, return as soon as the event happens.
package httptestutil

import "time"

// Bound is how long a server or a waiting method of this package waits,
// before it gives up, for something that a correct client does at once. Only
// a failing test takes this long.
const Bound = 30 * time.Second
