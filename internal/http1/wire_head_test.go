package http1

import (
	"io"
	"net/http"
	"strings"

	"github.com/peerpool/peerpool/internal/exchange"
)

func asks(name, value string) func(*http.Request) {
	return func(req *http.Request) { req.Header.Set(name, value) }
}

func asksToSwitch(req *http.Request) {
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "websocket")
}

const early = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"

// interimCases: responses before the final one, and 101, which is final too.
var interimCases = []wireCase{
	{name: "an interim response that speaks of a length spoils the connection",
		answer: "HTTP/1.1 103 Early Hints\r\nContent-Length: 38\r\n\r\n" + hello, status: 200, body: "hello", end: exchange.EndAmbiguous},
	{name: "an interim response that speaks of no length to be spoils the connection",
		answer: "HTTP/1.1 103 Early Hints\r\nContent-Length: 0\r\n\r\n" + hello, status: 200, body: "hello", end: exchange.EndAmbiguous},
	{name: "an interim response that says chunked spoils the connection",
		answer: "HTTP/1.1 102 Processing\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + hello,
		status: 200, body: "hello", end: exchange.EndAmbiguous},
	{name: "an interim response to HEAD that speaks of a length spoils the connection", method: http.MethodHead,
		answer: "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n" + ok + "Content-Length: 5\r\n\r\n", status: 200, end: exchange.EndAmbiguous},
	{name: "an interim response is passed over", answer: early + hello, status: 200, body: "hello"},
	{name: "100 without Expect is passed over", answer: "HTTP/1.1 100 Continue\r\n\r\n" + hello, status: 200, body: "hello"},
	{name: "ten interim responses are passed over", answer: strings.Repeat(early, 10) + hello, status: 200, body: "hello"},
	{name: "a malformed length in an interim response is an error",
		answer: "HTTP/1.1 102 Processing\r\nContent-Length: 5, 6\r\n\r\n" + hello, says: "bad Content-Length", end: exchange.EndError},
	{name: "a close behind an interim response is an error",
		answer: early, then: closes, is: io.ErrUnexpectedEOF, end: exchange.EndError},
	{name: "a hundred interim responses are too many", answer: strings.Repeat(early, 100) + hello,
		says: "too many 1xx", end: exchange.EndError},
	{name: "101 that nobody asked for takes the connection away",
		answer: "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		then:   closes, status: 101, end: exchange.EndHijacked},
	{name: "101 to another protocol takes the connection away", ask: asksToSwitch,
		answer: "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
		then:   closes, status: 101, end: exchange.EndHijacked},
	{name: "101 that names no protocol takes the connection away", ask: asksToSwitch,
		answer: "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n",
		then:   closes, status: 101, end: exchange.EndHijacked},
	{name: "a connection that refused an upgrade is not used again", ask: asksToSwitch,
		answer: hello, status: 200, body: "hello", end: exchange.EndTunnel},
	{name: "a connection that carried CONNECT is not used again", method: http.MethodConnect,
		answer: "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 2\r\n\r\nno", status: 405, body: "no", end: exchange.EndTunnel},
	{name: "a tunnel is read until the connection ends", method: http.MethodConnect,
		answer: ok + "\r\ntunnel", then: closes, status: 200, body: "tunnel", end: exchange.EndClose},
	{name: "a tunnel that has a length is read that far and not used again", method: http.MethodConnect,
		answer: hello + "tunnel", status: 200, body: "hello", end: exchange.EndTunnel},
}

// persistenceCases: who says that the connection ends.
var persistenceCases = []wireCase{
	{name: "close ends the connection", answer: ok + "Connection: close\r\nContent-Length: 5\r\n\r\nhello",
		status: 200, body: "hello", end: exchange.EndClose},
	{name: "close anywhere in a list ends the connection",
		answer: ok + "Connection: keep-alive, Close\r\nContent-Length: 5\r\n\r\nhello", status: 200, body: "hello", end: exchange.EndClose},
	{name: "close in a second line ends the connection",
		answer: ok + "Connection: keep-alive\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
		status: 200, body: "hello", end: exchange.EndClose},
	{name: "close in the request ends the connection", ask: asks("Connection", "close"),
		answer: hello, status: 200, body: "hello", end: exchange.EndClose},
	{name: "Request.Close ends the connection", ask: func(req *http.Request) { req.Close = true },
		answer: hello, status: 200, body: "hello", end: exchange.EndClose},
	{name: "HTTP/1.0 ends the connection",
		answer: "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", status: 200, body: "hello", end: exchange.EndClose},
	{name: "HTTP/1.0 with keep-alive keeps the connection",
		answer: "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 5\r\n\r\nhello", status: 200, body: "hello"},
	{name: "HTTP/1.0 with keep-alive and close ends the connection",
		answer: "HTTP/1.0 200 OK\r\nConnection: keep-alive, close\r\nContent-Length: 5\r\n\r\nhello",
		status: 200, body: "hello", end: exchange.EndClose},
	{name: "HTTP/1.2 is taken for HTTP/1.1",
		answer: "HTTP/1.2 200 OK\r\nContent-Length: 5\r\n\r\nhello", status: 200, body: "hello"},
	{name: "Proxy-Connection means nothing without a proxy",
		answer: ok + "Proxy-Connection: close\r\nContent-Length: 5\r\n\r\nhello", status: 200, body: "hello"},
	{name: "Proxy-Connection from a proxy ends the connection", proxied: true,
		answer: ok + "Proxy-Connection: close\r\nContent-Length: 5\r\n\r\nhello", status: 200, body: "hello", end: exchange.EndClose},
	{name: "a request that carries NTLM binds the connection", ask: asks("Authorization", "NTLM TlRMTVNTUAAB"),
		answer: hello, status: 200, body: "hello", end: exchange.EndAuth},
	{name: "a challenge to negotiate binds the connection",
		answer: "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=x, Negotiate\r\nContent-Length: 2\r\n\r\nno",
		status: 401, body: "no", end: exchange.EndAuth},
	{name: "any other challenge does not bind the connection",
		answer: "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nContent-Length: 2\r\n\r\nno", status: 401, body: "no"},
}

// syntaxCases: heads that are malformed, incomplete, or too long.
var syntaxCases = []wireCase{
	{name: "lines of the head may end in LF alone", answer: "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", status: 200, body: "hello"},
	{name: "an empty line before the head is an error", answer: "\r\n" + hello, says: "malformed HTTP response", end: exchange.EndError},
	{name: "a status of two digits is an error", answer: "HTTP/1.1 20 OK\r\n\r\n", says: "malformed HTTP status code", end: exchange.EndError},
	{name: "a status of four digits is an error", answer: "HTTP/1.1 2000 OK\r\n\r\n", says: "malformed HTTP status code", end: exchange.EndError},
	{name: "a status with a sign is an error", answer: "HTTP/1.1 +20 OK\r\n\r\n", says: "malformed HTTP status code", end: exchange.EndError},
	{name: "a status of 000 is an error", answer: "HTTP/1.1 000 OK\r\n\r\n", says: "malformed HTTP status code", end: exchange.EndError},
	{name: "a status of 099 is an error", answer: "HTTP/1.1 099 OK\r\n\r\n", says: "malformed HTTP status code", end: exchange.EndError},
	{name: "a status of 999 is a status", answer: "HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n", status: 999},
	{name: "a status needs no reason", answer: "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", status: 200},
	{name: "a status line without a status is an error", answer: "HTTP/1.1\r\n\r\n", says: "malformed HTTP response", end: exchange.EndError},
	{name: "a control character in the reason is an error", answer: "HTTP/1.1 200 O\x01K\r\n\r\n", says: "malformed HTTP response", end: exchange.EndError},
	{name: "HTTP/2.0 on HTTP/1 is an error", answer: "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", says: "malformed HTTP version", end: exchange.EndError},
	{name: "a version of two digits is an error", answer: "HTTP/1.10 200 OK\r\n\r\n", says: "malformed HTTP version", end: exchange.EndError},
	{name: "a text without a head is an error", answer: "hello, this is HTTP/0.9\n", says: "malformed HTTP status code", end: exchange.EndError},
	{name: "bytes of another protocol are an error at once", answer: "\x16\x03\x01\x00", says: "malformed HTTP response", end: exchange.EndError},
	{name: "a line without a colon is an error", answer: ok + "Content-Length 5\r\n\r\n", says: "malformed MIME header", end: exchange.EndError},
	{name: "an empty field name is an error", answer: ok + ": x\r\n\r\n", says: "malformed MIME header", end: exchange.EndError},
	{name: "a space in a field name is an error", answer: ok + "X Y: x\r\n\r\n", says: "malformed MIME header", end: exchange.EndError},
	{name: "a field name beyond ASCII is an error", answer: ok + "X-\xe9: x\r\n\r\n", says: "malformed MIME header", end: exchange.EndError},
	{name: "a folded line is an error", answer: ok + "X-A: 1\r\n 2\r\nContent-Length: 0\r\n\r\n", says: "malformed MIME header", end: exchange.EndError},
	{name: "a folded first line is an error", answer: ok + " X-A: 1\r\nContent-Length: 0\r\n\r\n", says: "malformed MIME header", end: exchange.EndError},
	{name: "NUL in a field is an error", answer: ok + "X-A: \x00\r\nContent-Length: 0\r\n\r\n", says: "malformed MIME header", end: exchange.EndError},
	{name: "a bare CR in a field is an error",
		answer: ok + "X-A: 1\rContent-Length: 3\r\nContent-Length: 0\r\n\r\n", says: "malformed MIME header", end: exchange.EndError},
	{name: "two CR at the end of a line are an error", answer: ok + "Content-Length: 0\r\r\n\r\n", says: "malformed MIME header", end: exchange.EndError},
	{name: "a value beyond ASCII is passed on", answer: ok + "X-A: \xe9\r\nContent-Length: 0\r\n\r\n", status: 200},
	{name: "a head beyond the limit is an error", limit: 64 << 10,
		answer: ok + "X-A: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", says: "exceeded 65536 bytes", end: exchange.EndError},
	{name: "a head within the limit is not", limit: 64 << 10,
		answer: ok + "X-A: " + strings.Repeat("x", 63<<10) + "\r\nContent-Length: 0\r\n\r\n", status: 200},
	{name: "a head of too many fields is an error",
		answer: ok + strings.Repeat("A:\r\n", maxFields+1) + "\r\n", says: "too many fields", end: exchange.EndError},
	{name: "interim responses count as part of the head", limit: 64 << 10,
		answer: strings.Repeat("HTTP/1.1 103 Early Hints\r\nX: "+strings.Repeat("x", 16<<10)+"\r\n\r\n", 4) + hello,
		says:   "server response headers exceeded", end: exchange.EndError},
	{name: "a close before the first byte is the end", then: closes, is: io.EOF, end: exchange.EndError},
	{name: "a reset before the first byte is an error", then: resets, is: reset, end: exchange.EndError},
	{name: "a close within the status line is an error", answer: "HTTP/1.1 200 ", then: closes, is: io.ErrUnexpectedEOF, end: exchange.EndError},
	{name: "a close within a status is an error", answer: "HTTP/1.1 20", then: closes, says: "malformed HTTP status code", end: exchange.EndError},
	{name: "a close within the head is an error",
		answer: ok + "Content-Length: 5\r\n", then: closes, is: io.ErrUnexpectedEOF, end: exchange.EndError},
	{name: "a reset within the head is an error", answer: ok + "Content-Length: 5\r\n", then: resets, is: reset, end: exchange.EndError},
	{name: "half a line of the head is an error, as with net/http", answer: ok + "Content-Le", then: closes, says: "missing colon", end: exchange.EndError},
}
