// Package http2 runs exchanges on HTTP/2 connections (RFC 9113). Its caller opens the connections and pools them. An [Engine]
// holds a configuration, a [Conn] is a connection, and an [Exchange] is a request and its response. The package uses only a
// part of golang.org/x/net/http2: the Framer, to read frames, the types of errors, and hpack.
//
// # The way of a request
//
// All of it runs on the caller's goroutine, with two exceptions: one goroutine reads what the server sends, unless the caller is
// alone on the connection, and another one reads the request's body if that may block.
//
//	Exchange.Run
//	  plan, planBody       decide what to send; read a small body in memory
//	  open                 Conn.admitLocked: may the exchange open one more stream?
//	                       Conn.addLocked: gives it a number; its HEADERS are appended to the pending frames
//	                       Conn.unlockAndFlush: writes them, together with the frames that others have appended
//	  upload.run           a goroutine: body -> DATA, as the windows allow
//	  await                waits until the reading goroutine has the head
//	  respond              builds the response; its Body is the Exchange
//	body.Read, Close       DATA -> the caller; open the windows; end the exchange
//
//	Conn.read              the reading goroutine
//	  readFrame, handle    a frame -> the state of its stream, or of the connection
//	  deliver              wakes the exchanges for which something has come, once the buffer holds no complete frame
//
// # The files
//
//	engine.go     the configuration, our preface (section 3.4)
//	conn.go       a connection: how it begins, retires, fails and is closed
//	send.go       the pending frames, and who writes them
//	outlet.go     a socket that a caller can write to without waiting for the server
//	inlet.go      reading from that socket
//	receive.go    the reading goroutine; which frame goes where (sections 4 and 6)
//	rest.go       when the reading goroutine ends and begins again
//	callers.go    callers that read by themselves
//	streams.go    how streams are opened, how many there may be, how they end (section 5.1)
//	flow.go       windows (section 5.2)
//	settings.go   the server's settings (section 6.5)
//	ping.go       whether the server still answers (section 6.7)
//	goaway.go     what happens to streams when the server sends GOAWAY (section 6.8)
//	fields.go     header blocks -> responses (sections 4.3, 6.2, 6.10, 8.2 and 8.3.2)
//	data.go       DATA -> bytes that wait to be read (section 6.1)
//	request.go    requests -> header blocks (section 8.3.1)
//	names.go      the names of a request's fields
//	compress.go   fields -> their representation in HPACK
//	count.go      HTTP2Config.CountError
//	exchange.go   one request and its response, how it begins and ends (section 8.1)
//	limits.go     the time limits of an exchange
//	respond.go    waiting for the response, and what the caller sees of it
//	upload.go     the body of a request
//	body.go       the body of a response
//	errors.go     errors with the types and texts of net/http's
//
// # Who owns what
//
// Conn.mu guards the state of the connection and of its streams. Only a request body, an outlet and a gzip decoder have a
// lock of their own. A goroutine that holds Conn.mu does not block, does not call functions of others, and takes no other
// lock. A goroutine waits on Exchange.cond or output.turn, which both use Conn.mu. A context or a timer that ends such a wait
// changes the state under the lock and broadcasts. An exchange whose caller reads by itself waits in the Read of the socket, and
// a read deadline wakes it. Only the goroutine that reads uses Conn.in: the reading goroutine, or a caller. Conn.reading says
// which.
//
// The goroutine that has set output.flushing writes, without holding the lock. A goroutine that only wants its frames to be
// written does not wait for that. So a server that reads nothing does not delay a cancellation, a Close, or the reading
// goroutine. If we know the type of the socket, such a goroutine writes its frames itself, without waiting. Otherwise another
// goroutine writes them.
//
// There are these goroutines: the reading one (see rest.go for its end); one for each request body that may block, which ends
// with the stream or, if a Read blocks, when that Read returns; one while something is written; and one for a moment when a
// timer fires.
package http2
