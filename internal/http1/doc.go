// Package http1 speaks HTTP/1.1 as a client over one connection, one exchange at a time (RFC 9112).
//
// An exchange runs on the caller's goroutine: it writes the request, reads the head of the response, and returns a body that
// reads the rest. Only a request body that may block has a goroutine of its own. An exchange takes its buffers from pools and
// gives them back at its end, so an idle connection holds none.
//
// The walk, file by file:
//
//	conn.go      Conn: a connection, its bytes in and out, how it is interrupted and closed
//	probe.go     Conn.Rest, Conn.Probe: whether an idle connection has been closed, or has bytes that answer no request
//	layers.go    which layers a connection consists of, and what can be seen of them
//	ahead.go     a read that is pending while a connection with unknown layers idles
//	records.go   the layer between crypto/tls and its socket: it shows what has arrived, and lets Conn.ask send and receive
//	exchange.go  Exchange.Run: one request and its response; who ends it, exactly once
//	send.go      its first half: writing the request, if possible while waiting for the answer (Conn.ask), and the time limit
//	request.go   the head of the request
//	outgoing.go  how the body of the request is sent
//	upload.go    the body of the request, if it may block
//	respond.go   its second half: from the first byte to the http.Response
//	head.go      the head of the response, and what it says about the length of the body (RFC 9112 section 6)
//	fields.go    its fields
//	body.go      the body of the response, read in parts, or copied or discarded as a whole, by the system where it can
//	drain.go     what Close does with the rest of it
//	chunked.go   the chunked coding of responses
//
// There is one way to interrupt an exchange: [Conn.Abort] closes the connection underneath, which every net.Conn supports,
// and the call that blocks returns its cause. [Conn.Rouse] only makes an exchange that waits look again.
package http1
