// Package http1 speaks HTTP/1.1 as a client over one connection, one exchange at a time (RFC 9112).
//
// An exchange runs on the caller's goroutine: it writes the request, reads the head of the response
// and hands out a body that reads the rest. Only a request body that may block is sent by a goroutine
// of its own. Buffers are taken for an exchange and given back at its end, so a connection that
// idles holds none.
//
// The walk, file by file:
//
//	conn.go      Conn: a connection, its bytes in and out, how it is interrupted and closed
//	probe.go     Conn.Rest, Conn.Probe: has an idle connection been closed, or does it hold bytes nobody asked for
//	ask.go       Conn.ask: the request written and the answer waited for in one go, where that is possible
//	records.go   what lies between crypto/tls and its socket to that end
//	exchange.go  Exchange.Run: one request and its response; who ends it, exactly once
//	send.go      its first half: writing the request, and the clock for the answer
//	request.go   the head of the request
//	outgoing.go  how the body of the request is sent
//	upload.go    the body of the request, if it may block
//	respond.go   its second half: from the first byte to the http.Response
//	head.go      the head of the response
//	framing.go   how long the body of the response is (RFC 9112 section 6)
//	body.go      the body of the response, its early end, and what is drained
//	copy.go      the body of the response, copied or discarded as a whole, by the system where it can
//	chunked.go   the chunked coding, both ways
//
// One way only exists to interrupt an exchange: [Conn.Abort] closes the connection underneath, which
// every net.Conn supports, and its cause becomes the error that the blocked call returns. [Conn.Rouse] only has
// one that waits look again.
package http1
