package httptestutil

import (
	"fmt"
	"net/http"
	"strings"
)

// Response returns an HTTP/1.1 response with status 200, a Content-Length and
// the given body.
func Response(body string) string { return ResponseWith(http.StatusOK, body) }

// ResponseWith returns an HTTP/1.1 response with the given status, header
// lines, a Content-Length and the given body. Each header line is given
// without its line end.
func ResponseWith(status int, body string, header ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	for _, line := range header {
		b.WriteString(line + "\r\n")
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	return b.String()
}

// PerConn returns a script that runs the first of scripts on the first
// connection, the second on the second, and so on. It runs the last one on
// all later connections.
func PerConn(scripts ...Script) Script {
	if len(scripts) == 0 {
		return ReadNothing
	}
	return func(c *WireConn) { scripts[min(c.Number(), len(scripts))-1](c) }
}

// Replies returns a script that answers the requests of each connection with
// responses, which are raw bytes, one after the other. It repeats the last
// response for as long as the client keeps the connection.
func Replies(responses ...string) Script {
	return func(c *WireConn) {
		for i := 0; c.ReadRequest() != nil; i++ {
			if len(responses) == 0 || !c.Write(responses[min(i, len(responses)-1)]) {
				break
			}
		}
		c.WaitClosed()
	}
}

// ReplyThenClose returns a script that answers one request with response and
// closes the connection.
func ReplyThenClose(response string) Script {
	return replyThen(response, (*WireConn).Close)
}

// ReplyThenCut returns a script that answers one request with response and
// closes the connection without a close_notify.
func ReplyThenCut(response string) Script {
	return replyThen(response, (*WireConn).Cut)
}

// ReplyThenReset returns a script that answers one request with response and
// resets the connection. The reset may overtake the response.
func ReplyThenReset(response string) Script {
	return replyThen(response, (*WireConn).Reset)
}

// ReplyThenHalfClose returns a script that answers one request with response,
// closes the direction to the client, and waits for the client to close the
// other direction.
func ReplyThenHalfClose(response string) Script {
	return replyThen(response, func(c *WireConn) {
		c.CloseWrite()
		c.WaitClosed()
	})
}

// ReplyThenStall returns a script that answers one request with response,
// which may be empty or incomplete. The script then reads, without ever
// writing again, until the client closes the connection.
func ReplyThenStall(response string) Script {
	return replyThen(response, func(c *WireConn) { c.WaitClosed() })
}

// ReplyWithExtra returns a script that answers each request with response and
// extra in one piece. With TLS, they are two records in one piece.
func ReplyWithExtra(response, extra string) Script {
	return func(c *WireConn) {
		for c.ReadRequest() != nil && c.WriteRecords(response, extra) {
		}
		c.WaitClosed()
	}
}

// ReplyThenExtra returns a script that answers one request with response, and
// writes extra when a value arrives from signal. The client may consider the
// connection idle by then. The script then continues to answer requests with
// response.
func ReplyThenExtra(response string, signal <-chan struct{}, extra string) Script {
	return replyThen(response, func(c *WireConn) {
		if c.Await(signal) && c.Write(extra) {
			Replies(response)(c)
		}
	})
}

// DripReply returns a script that answers each request with response, byte by
// byte, as [WireConn.Drip] does.
func DripReply(response string, tick <-chan struct{}) Script {
	return func(c *WireConn) {
		for c.ReadRequest() != nil && c.Drip(response, tick) {
		}
		c.WaitClosed()
	}
}

// WriteFirst returns a script that writes greeting before it reads anything,
// and then runs next.
func WriteFirst(greeting string, next Script) Script {
	return func(c *WireConn) {
		if c.Write(greeting) {
			next(c)
		}
	}
}

// ReadNothing is a script that neither reads nor writes. The bytes that a
// client sends accumulate until the client can send no more.
func ReadNothing(c *WireConn) { c.Stall() }

// CloseAtOnce is a script that closes the connection as soon as it is
// accepted.
func CloseAtOnce(c *WireConn) { c.Close() }

func replyThen(response string, ending func(*WireConn)) Script {
	return func(c *WireConn) {
		if c.ReadRequest() != nil && c.Write(response) {
			ending(c)
		}
	}
}
