// Package http2 runs exchanges on HTTP/2 connections (RFC 9113) that others have opened and others pool: an [Engine]
// for a configuration, a [Conn] for a connection, an [Exchange] for a request. Of golang.org/x/net/http2 it uses the
// Framer, to read frames, the types of errors, and hpack, and nothing else.
//
// # The way of a request
//
// All of it runs on the caller's goroutine, but for the reading of what the server sends and of a request body that may
// block:
//
//	Exchange.Run
//	  plan, planBody       what will be sent; a small body in memory is read
//	  open                 Conn.admitLocked: may there be one more stream?
//	                       Conn.addLocked: its number; HEADERS are appended to what is pending
//	                       Conn.unlockAndFlush: and written, together with what others append
//	  upload.run           a goroutine: body -> DATA, as the windows allow
//	  await                until the reading goroutine has the head
//	  respond              the response; its Body is the Exchange
//	body.Read, Close       DATA -> the caller; opens the windows; ends the exchange
//
//	Conn.read              the reading goroutine
//	  readFrame, handle    a frame -> the state of its stream, or of the connection
//	  deliver              wakes the exchanges that something has come for, when no whole frame is left in the buffer
//
// # The files
//
//	engine.go     the configuration, our preface (section 3.4)
//	conn.go       a connection: how it begins, retires, fails and is closed
//	send.go       what is pending, and who writes it
//	outlet.go     a socket that a caller can write to without being held up
//	receive.go    the reading goroutine; which frame goes where (sections 4 and 6)
//	rest.go       when there is nobody who reads
//	streams.go    how streams are opened, how many there may be, how they end (section 5.1)
//	flow.go       windows (section 5.2)
//	settings.go   the server's settings (section 6.5)
//	ping.go       whether the server is still there (section 6.7)
//	goaway.go     what becomes of streams when the server goes away (section 6.8)
//	fields.go     header blocks -> responses (sections 4.3, 6.2, 6.10, 8.2 and 8.3.2)
//	data.go       DATA -> what waits to be read (section 6.1)
//	request.go    requests -> header blocks (section 8.3.1)
//	count.go      HTTP2Config.CountError
//	exchange.go   one request and its response, how it begins and ends (section 8.1)
//	respond.go    waiting for the response, and what the caller gets to see of it
//	upload.go     the body of a request
//	body.go       the body of a response
//
// # Who owns what
//
// Conn.mu guards the state of the connection and of its streams. Apart from it, only a request body and a
// decoder of gzip have a lock. While Conn.mu is held, nothing blocks, calls out or takes another lock. A goroutine waits on
// Exchange.cond or output.turn, both of which use Conn.mu. A context or a timer that ends a wait changes the state under the
// lock and broadcasts. Conn.in belongs to the reading goroutine alone.
//
// Writing belongs to whoever has set output.flushing. It is done without the lock. A goroutine that only wants
// its frames written does not wait for that, so that a server that reads nothing stops neither a cancellation nor a
// Close, nor the reading goroutine. On sockets that we know it writes itself, without waiting; on others a goroutine does.
//
// Goroutines: the reading one (see rest.go for its end); one for each request body that may block, which ends with
// the stream or, if a Read blocks, with that; one while something is written; one for a moment when a timer is due.
package http2
